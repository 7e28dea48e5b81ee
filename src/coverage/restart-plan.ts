import type { RestartEntry, RestartRecord } from './restart-record.ts';
import type { SeenPod } from './seen-pod.ts';
import type { Workload } from './workload.ts';

/** A pod as a replacement sees it. */
export interface ReplaceablePod
  extends Pick<SeenPod, 'name' | 'uid' | 'revision' | 'createdAt' | 'ready' | 'ending'> {
  /** It is not what the webhook would make of it today. */
  readonly behind: boolean;
  /** It was created without the webhook. */
  readonly missed: boolean;
  /** A container of ours or falcosidekick is in trouble. */
  readonly failing: boolean;
}

/** All pods of a workload with Falco or falcosidekick, those that are being deleted too. */
export interface ReplaceableWorkload {
  readonly workload: Workload;
  /** Names today's settings for its pods; another name: other settings. */
  readonly settings: string;
  /** Whether these have been in force long enough for every replica to have read them. */
  readonly steady: boolean;
  /** When they came after others, by the clock that only goes forward; `undefined`: we know of no others. */
  readonly changedAt: number | undefined;
  readonly pods: readonly ReplaceablePod[];
}

/** What is next for a workload. */
export type RestartStep =
  /** All its pods are as they should be, and nothing is under way. */
  | { readonly kind: 'whole' }
  | { readonly kind: 'wait'; readonly why: string }
  /** A pod that was created under these settings is not what they ask for: more of the same would not mend it. */
  | { readonly kind: 'stopped'; readonly pod: ReplaceablePod }
  | { readonly kind: 'evict'; readonly pod: ReplaceablePod };

/** By how much the clocks of two API servers may differ, milliseconds. */
const slack = 5_000;

/** A workload that has no pods may be between two; what was done about it is remembered so long. */
const remembered = 60 * 60_000;

/** After so long a successor under former settings is no longer waited for: its node may be gone. */
const patience = 10 * 60_000;

/** Controllers that make a successor and count no failure. A Job's pod that is evicted is a failed one. */
const replacing: ReadonlySet<string> = new Set(['DaemonSet', 'Deployment', 'ReplicaSet', 'StatefulSet']);

const createdSince = (pods: readonly ReplaceablePod[], time: number): readonly ReplaceablePod[] =>
  pods.filter(({ createdAt }) => createdAt >= time - slack);

const wait = (why: string): RestartStep => ({ kind: 'wait', why });

/**
 * What the pod that went last leaves to be done before another may go. `undefined`: nothing.
 *
 * | the pod that was to go | its successors               | settings since | next                        |
 * | ---------------------- | ---------------------------- | -------------- | --------------------------- |
 * | is ending              |                              | any            | wait                        |
 * | is there, and behind   |                              | any            | that pod again              |
 * | is there, as it should |                              | any            | wait until it is ready      |
 * | is gone                | none yet                     | the same       | wait                        |
 * | is gone                | none for ten minutes         | changed        | nothing                     |
 * | is gone                | one is not ready             | the same       | wait                        |
 * | is gone                | one is not ready, and behind | changed        | that one: it serves nobody  |
 * | is gone                | all ready                    | any            | nothing                     |
 */
function stepAfterLast(
  live: readonly ReplaceablePod[],
  { pod, name, at }: RestartEntry,
  isSame: boolean,
  now: number,
): RestartStep | undefined {
  const there = live.find(({ uid }) => uid === pod);
  if (there !== undefined) return stepAtSame(there);
  const successors = createdSince(live, at);
  if (successors.length === 0) {
    return !isSame && now - at > patience ? undefined : wait(`the successor of ${name} is not there`);
  }
  const unready = successors.find(({ ready }) => !ready);
  if (unready === undefined) return undefined;
  if (!isSame && unready.behind) return { kind: 'evict', pod: unready };
  return wait(`${unready.name} is not ready`);
}

/** It may itself be a successor that was not ready when other settings asked for it to go. */
function stepAtSame(pod: ReplaceablePod): RestartStep | undefined {
  if (pod.behind) return { kind: 'evict', pod };
  return pod.ready ? undefined : wait(`${pod.name} is not ready`);
}

/**
 * Of a DaemonSet's pods those that are not ready come last: their nodes may be down, and they would be ending for long.
 * Of others' they come first: nothing is lost with them.
 */
function firstToGo({ kind }: Workload, behind: readonly ReplaceablePod[]): ReplaceablePod | undefined {
  const readyFirst = kind === 'DaemonSet' ? -1 : 1;
  return behind.toSorted(
    (a, b) =>
      readyFirst * (Number(a.ready) - Number(b.ready)) ||
      a.createdAt - b.createdAt ||
      (a.name < b.name ? -1 : 1),
  )[0];
}

/** Why none may go whatever was done before; `undefined`: one may. */
function hindranceOf({ workload, steady, pods }: ReplaceableWorkload, now: number): string | undefined {
  const ending = pods.find((pod) => pod.ending);
  if (ending !== undefined) return `${ending.name} is ending`;
  if (!replacing.has(workload.kind)) return `pods of a ${workload.kind} are not replaced`;
  if (!steady) return 'the settings are new';
  if (new Set(pods.map(({ revision }) => revision)).size > 1) return 'its own controller is replacing pods';
  if (pods.some(({ createdAt }) => createdAt > now - 2 * slack)) return 'its newest pod is seconds old';
  return undefined;
}

/** Settings that come back after others are new ones: a pod may have been created under those. */
function isForToday(
  { settings, changedAt }: ReplaceableWorkload,
  entry: RestartEntry | undefined,
  { now, clock }: RestartTime,
): boolean {
  if (entry?.settings !== settings) return false;
  return changedAt === undefined || entry.since > now - (clock - changedAt);
}

/**
 * What is next for one workload. One pod at a time: the next one only when the former's successor is ready and what
 * the settings ask for. No pod that was created under the same settings ever goes.
 *
 * @param entry what was done about it before, by whoever did it
 */
export function stepFor(
  one: ReplaceableWorkload,
  entry: RestartEntry | undefined,
  time: RestartTime,
): RestartStep {
  const { now, delay } = time;
  const live = one.pods.filter(({ ending }) => !ending);
  const isSame = isForToday(one, entry, time);
  if (entry !== undefined && isSame) {
    const ill = createdSince(live, entry.since).find(({ behind, failing }) => behind || failing);
    if (ill !== undefined) return { kind: 'stopped', pod: ill };
  }
  const behind = live.filter((pod) => pod.behind);
  const next = entry === undefined ? undefined : stepAfterLast(live, entry, isSame, now);
  if (next?.kind === 'wait') return next;
  if (behind.length === 0 && live.length === one.pods.length) return { kind: 'whole' };
  const hindrance = hindranceOf(one, now);
  if (hindrance !== undefined) return wait(hindrance);
  const old = behind.filter(({ createdAt }) => createdAt <= now - delay);
  const pod = next?.kind === 'evict' ? next.pod : firstToGo(one.workload, old);
  return pod !== undefined && old.includes(pod) ? { kind: 'evict', pod } : wait('what is behind is new');
}

/** Milliseconds. */
export interface RestartTime {
  /** By the API server's clock. */
  readonly now: number;
  /** The same moment by the clock that only goes forward. */
  readonly clock: number;
  /**
   * How old a pod must be: another replica may have read newer settings than ours before it made it, and we will have
   * read them by then.
   */
  readonly delay: number;
}

/** What is next for each, and what is to be remembered before anything is done. */
export interface RestartPlan {
  readonly steps: ReadonlyMap<string, RestartStep>;
  readonly evictions: readonly { readonly workload: Workload; readonly pod: ReplaceablePod }[];
  readonly record: RestartRecord;
}

function entryFor(
  one: ReplaceableWorkload,
  { uid, name }: ReplaceablePod,
  before: RestartEntry | undefined,
  time: RestartTime,
): RestartEntry {
  const { now } = time;
  const since = before !== undefined && isForToday(one, before, time) ? before.since : now;
  return { settings: one.settings, since, pod: uid, name, at: now };
}

/** A pod that was created without the webhook although it should have been called: the same may happen to the next. */
function isMissed(step: RestartStep): boolean {
  return step.kind === 'stopped' && step.pod.missed;
}

/** What is next for all workloads. While the webhook is seen not to be called, none goes anywhere. */
export function planRestarts(
  workloads: readonly ReplaceableWorkload[],
  before: RestartRecord,
  time: RestartTime,
): RestartPlan {
  const { now } = time;
  const steps = new Map(
    workloads.map((one) => [one.workload.key, stepFor(one, before[one.workload.key], time)]),
  );
  const isCalled = ![...steps.values()].some(isMissed);
  const record: Record<string, RestartEntry> = {};
  for (const [key, entry] of Object.entries(before)) {
    const isKnown = steps.has(key) ? steps.get(key)?.kind !== 'whole' : now - entry.at < remembered;
    if (isKnown) record[key] = entry;
  }
  const evictions: RestartPlan['evictions'][number][] = [];
  for (const one of workloads) {
    const { key } = one.workload;
    const step = steps.get(key);
    if (step?.kind !== 'evict') continue;
    if (!isCalled) {
      steps.set(key, wait('the webhook was not called for another workload'));
      continue;
    }
    record[key] = entryFor(one, step.pod, before[key], time);
    evictions.push({ workload: one.workload, pod: step.pod });
  }
  return { steps, evictions, record };
}
