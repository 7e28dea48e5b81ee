import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { leaseSeconds, leaseWatch } from '../../src/coverage/lease.ts';
import { type ReplaceablePod, type ReplaceableWorkload, stepFor } from '../../src/coverage/restart-plan.ts';
import { type RestartEntry, readRecord } from '../../src/coverage/restart-record.ts';
import { restartView } from '../../src/coverage/restart-view.ts';
import { identityOf, seen, today } from './pods.ts';

const now = 10_000_000;
const delay = 60_000;

const one = (name: string, parts: Partial<ReplaceablePod> = {}): ReplaceablePod => ({
  ...{ name, uid: name, revision: 'r', createdAt: 1_000_000, ready: true, ending: false },
  ...{ behind: true, missed: false, failing: false },
  ...parts,
});
const good = (name: string, parts: Partial<ReplaceablePod> = {}) => one(name, { behind: false, ...parts });

function workload(kind: string, pods: readonly ReplaceablePod[], parts: Partial<ReplaceableWorkload> = {}) {
  const named = {
    namespace: 'falco',
    apiVersion: 'apps/v1',
    kind,
    name: 'falco',
    uid: 'u',
    key: `falco/${kind}/falco`,
  };
  return { workload: named, settings: 'today', steady: true, changedAt: undefined, pods, ...parts };
}

const entry: RestartEntry = { settings: 'today', since: 5_000_000, pod: 'gone', name: 'gone', at: 6_000_000 };
const former = { ...entry, settings: 'former' };

const since = { createdAt: 6_001_000 };

const cases: readonly (readonly [string, ReplaceableWorkload, RestartEntry | undefined, string])[] = [
  ['nothing is behind', workload('DaemonSet', [good('a')]), undefined, 'whole'],
  [
    'the oldest goes first',
    workload('DaemonSet', [one('b', { createdAt: 2 }), one('a', { createdAt: 1 })]),
    undefined,
    'evict a',
  ],
  [
    "a DaemonSet's ready one before one whose node may be down",
    workload('DaemonSet', [one('a', { ready: false }), one('b')]),
    undefined,
    'evict b',
  ],
  [
    "a Deployment's that serves nobody before one that does",
    workload('Deployment', [one('a'), one('b', { ready: false })]),
    undefined,
    'evict b',
  ],
  ['a bare pod stays', workload('Pod', [one('a')]), undefined, 'wait pods of a Pod are not replaced'],
  ["a Job's pod stays", workload('Job', [one('a')]), undefined, 'wait pods of a Job are not replaced'],
  [
    "an unknown controller's stays",
    workload('Rollout', [one('a')]),
    undefined,
    'wait pods of a Rollout are not replaced',
  ],
  [
    'settings are new',
    workload('DaemonSet', [one('a')], { steady: false }),
    undefined,
    'wait the settings are new',
  ],
  [
    'two templates at once',
    workload('DaemonSet', [one('a'), good('b', { revision: 's' })]),
    undefined,
    'wait its own controller is replacing pods',
  ],
  [
    'a pod is ending',
    workload('DaemonSet', [one('a'), good('b', { ending: true })]),
    undefined,
    'wait b is ending',
  ],
  [
    'a pod is seconds old',
    workload('DaemonSet', [one('a'), good('b', { createdAt: now - 9_000 })]),
    undefined,
    'wait its newest pod is seconds old',
  ],
  [
    'what is behind is younger than replicas may be late',
    workload('DaemonSet', [one('a', { createdAt: now - delay + 1 })]),
    undefined,
    'wait what is behind is new',
  ],
  ['no successor yet', workload('DaemonSet', [one('a')]), entry, 'wait the successor of gone is not there'],
  [
    'no successor yet, and nothing else is behind',
    workload('DaemonSet', [good('a')]),
    entry,
    'wait the successor of gone is not there',
  ],
  [
    'the successor is not ready',
    workload('DaemonSet', [one('a'), good('s', { ...since, ready: false })]),
    entry,
    'wait s is not ready',
  ],
  ['the successor is ready', workload('DaemonSet', [one('a'), good('s', since)]), entry, 'evict a'],
  [
    'the successor is ready, and the last',
    workload('DaemonSet', [good('a'), good('s', since)]),
    entry,
    'whole',
  ],
  [
    'the successor was created without the webhook',
    workload('DaemonSet', [one('a'), one('s', { ...since, missed: true })]),
    entry,
    'stopped s',
  ],
  [
    'the successor has former settings',
    workload('DaemonSet', [one('a'), one('s', since)]),
    entry,
    'stopped s',
  ],
  [
    'the successor is in trouble',
    workload('DaemonSet', [one('a'), good('s', { ...since, failing: true, ready: false })]),
    entry,
    'stopped s',
  ],
  [
    'an earlier successor is behind',
    workload('DaemonSet', [one('a'), one('e', { createdAt: 5_500_000 }), good('s', since)]),
    entry,
    'stopped e',
  ],
  ['it was to go and is there', workload('DaemonSet', [one('a'), one('gone')]), entry, 'evict gone'],
  [
    'it was to go, is there, and is as it should be again',
    workload('DaemonSet', [one('a'), good('gone')]),
    former,
    'evict a',
  ],
  [
    'the same, and not ready',
    workload('DaemonSet', [one('a'), good('gone', { ready: false })]),
    former,
    'wait gone is not ready',
  ],
  [
    'other settings since: a successor that is not ready serves nobody',
    workload('DaemonSet', [one('a'), one('s', { ...since, ready: false })]),
    former,
    'evict s',
  ],
  [
    'other settings since: a successor that is not ready and right',
    workload('DaemonSet', [one('a'), good('s', { ...since, ready: false })]),
    former,
    'wait s is not ready',
  ],
  [
    'other settings since: a successor that is ready goes in its turn',
    workload('DaemonSet', [one('s', since)]),
    former,
    'evict s',
  ],
  ['other settings since: no successor for long', workload('DaemonSet', [one('a')]), former, 'evict a'],
  [
    'other settings since: no successor for a moment',
    workload('DaemonSet', [one('a')]),
    { ...former, at: now - 60_000 },
    'wait the successor of gone is not there',
  ],
  [
    'the settings of before are back: what others made may go',
    workload('DaemonSet', [one('s', since)], { changedAt: now - 120_000 }),
    entry,
    'evict s',
  ],
];

describe('what is next for a workload', () => {
  for (const [about, it, before, is] of cases) {
    test(`${about}: ${is}`, () => {
      const step = stepFor(it, before, { now, clock: now, delay });
      const told = 'pod' in step ? step.pod.name : 'why' in step ? step.why : '';
      assert.equal(`${step.kind} ${told}`.trim(), is);
    });
  }
});

test('a Lease may be taken when nobody holds it, or nothing was written for long by the clock of who looks', () => {
  const mayTake = leaseWatch('me');
  const held = { holder: 'other', version: '1', record: '' };
  const long = leaseSeconds * 1_000;
  assert.equal(mayTake(undefined, 0), true);
  assert.equal(mayTake({ ...held, holder: '' }, 0), true);
  assert.equal(mayTake({ ...held, holder: 'me' }, 0), true);
  assert.equal(mayTake(held, 0), false);
  assert.equal(mayTake(held, long), false);
  assert.equal(mayTake(held, long + 1), true);
  assert.equal(mayTake({ ...held, version: '2' }, long + 2), false, 'it gave a sign');
});

test('a record that someone damaged counts as none', () => {
  const record = { 'falco/DaemonSet/falco': entry };
  assert.deepEqual(readRecord(JSON.stringify(record)), record);
  for (const text of ['', '{', '[]', '{"a":{}}', '{"a":3}', 'null']) assert.deepEqual(readRecord(text), {});
});

test('settings are steady when they have been the same for long, and remember that they were others', () => {
  let clock = 0;
  const view = restartView(delay, () => clock);
  const owner = { kind: 'DaemonSet', name: 'falco' };
  const pods = [seen({ owner }), seen({ owner, injected: today })].filter((pod) => pod !== undefined);
  const look = (identify = identityOf) => view(pods, identify, 0)[0];
  assert.deepEqual([look()?.steady, look()?.changedAt], [false, undefined]);
  clock = delay;
  assert.deepEqual([look()?.steady, look()?.changedAt], [true, undefined]);
  assert.deepEqual(
    look()?.pods.map(({ behind, missed }) => [behind, missed]),
    [
      [true, true],
      [false, false],
    ],
  );
  const other = look((...of) => ({ ...identityOf(...of), hash: 'other' }));
  assert.deepEqual([other?.steady, other?.changedAt], [false, delay]);
  clock += 5;
  assert.deepEqual([look()?.steady, look()?.changedAt], [false, delay + 5], 'and back again');
});
