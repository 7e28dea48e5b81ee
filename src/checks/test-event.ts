/**
 * An alert that goes the whole way: each forwarder keeps a test event, and delivers it to the hub's receiver, which says
 * so when its falcosidekick has it.
 *
 * | after it was kept                                        | told                         |
 * | -------------------------------------------------------- | ---------------------------- |
 * | what waits is younger, more was delivered, none refused  | well                         |
 * | the same, and something was refused or dropped           | refused: an error            |
 * | it, or what is older, still waits after some seconds     | it waits: an error           |
 */
import type { InspectedPod } from '../cluster/index.ts';
import { messageOf } from '../reasons/message-of.ts';
import type { Check } from './check.ts';
import { sum, usesForwarder } from './forwarder.ts';
import { error, type Line, ok, warning } from './line.ts';
import { isReady, type Metrics, portOf, readMetrics } from './replica.ts';
import type { View } from './view.ts';

/** Milliseconds. */
const patience = 10_000;
const lookAgainAfter = 250;

const check = 'test_event';

/** Somebody else's test event was a moment ago. */
const tooSoon = 429;
const triesAgainAfter = 1_100;

const delivered = (metrics: Metrics): number => sum(metrics, 'events_delivered_total');
const lost = (metrics: Metrics): number =>
  sum(metrics, 'events_rejected_total') + sum(metrics, 'events_dropped_total');

interface Way {
  readonly metrics: () => Promise<Metrics>;
  readonly post: () => Promise<{ readonly status: number; readonly text: string }>;
}

async function wayThrough({ cluster, place }: View, pod: InspectedPod): Promise<Way> {
  const namespace = await place();
  const at = (name: string): string => String(portOf(pod, name) ?? name);
  const { name } = pod.metadata;
  return {
    metrics: async () =>
      readMetrics((await cluster.getFromPod(namespace, name, at('metrics'), 'metrics')).text),
    post: () => cluster.postToPod(namespace, name, at('health'), 'test', {}),
  };
}

async function goneThrough({ pause }: View, way: Way, name: string): Promise<Line> {
  const text = `${name}: a test event went to the hub and its falcosidekick`;
  const before = await way.metrics();
  let posted = await way.post();
  for (let tries = 0; posted.status === tooSoon && tries < 3; tries++) {
    await pause(triesAgainAfter);
    posted = await way.post();
  }
  if (posted.status !== 200)
    return error(check, text, `the forwarder does not keep it: ${posted.status} ${posted.text.trim()}`);
  const kept = performance.now();
  let now = before;
  for (let waited = 0; waited <= patience; waited += lookAgainAfter) {
    now = await way.metrics();
    const waits = sum(now, 'waiting_events') > 0;
    const younger = sum(now, 'oldest_waiting_seconds') * 1000 < performance.now() - kept;
    if (lost(now) > lost(before))
      return error(check, text, 'it was refused by the hub, or dropped to make room');
    if ((!waits || younger) && delivered(now) > delivered(before)) return ok(check, text);
    await pause(lookAgainAfter);
  }
  const others = sum(now, 'waiting_events') - 1;
  const behind = others > 0 ? `; ${others} more wait with it` : '';
  return error(
    check,
    text,
    `it did not arrive within ${patience / 1000} s, and waits at the forwarder${behind}`,
  );
}

export const testEvent: Check = {
  name: check,
  title: 'a test event goes to the hub',
  look: async (view) => {
    if (!(await usesForwarder(view))) return [];
    const namespace = await view.place();
    const pods = (await view.podsOf('forwarder')).filter(isReady);
    return await Promise.all(
      pods.map(async (pod): Promise<Line> => {
        const { name } = pod.metadata;
        const fix = `kubectl --namespace ${namespace} logs ${name}`;
        try {
          const line = await goneThrough(view, await wayThrough(view, pod), name);
          return line.mark === 'error' ? { ...line, fix } : line;
        } catch (failure) {
          // A policy or a missing permission is no fault of the way's.
          const why = `cannot be sent through the API server: ${messageOf(failure)}`;
          return warning(check, `${name}: a test event to the hub`, why, fix);
        }
      }),
    );
  },
};
