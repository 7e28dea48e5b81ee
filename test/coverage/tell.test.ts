import assert from 'node:assert/strict';
import { test } from 'node:test';
import { announcementsOf, telling } from '../../src/coverage/announce.ts';
import { countsOf } from '../../src/coverage/counts.ts';
import { rememberedSettings } from '../../src/coverage/remembered-settings.ts';
import { survey } from '../../src/coverage/survey.ts';
import { before, effectiveFor, type PodParts, seen, today } from './pods.ts';

const daemonSet = { kind: 'DaemonSet', name: 'falco' };

function surveyed(...pods: readonly (PodParts & { readonly in?: string })[]) {
  const kept = pods.map(({ in: namespace, ...parts }) => seen(parts, today, namespace));
  return survey(
    kept.filter((one) => one !== undefined),
    effectiveFor,
    0,
  );
}

test('gauges lose no pod', () => {
  const many = ['a', 'b'].flatMap((namespace) =>
    Array(20).fill({ in: namespace, owner: daemonSet, injected: before }),
  );
  const { states } = countsOf(surveyed(...many, { in: 'a', owner: daemonSet, injected: today }));
  assert.deepEqual(
    states.map(({ namespace, workloadKind, state, pods }) => [namespace, workloadKind, state, pods]),
    [
      ['a', 'DaemonSet', 'stale', 20],
      ['a', 'DaemonSet', 'federated', 1],
      ['b', 'DaemonSet', 'stale', 20],
    ],
  );
});

test('one announcement for each finding of a workload, by the same name in every replica', () => {
  const pods = [
    { owner: daemonSet, injected: before },
    { owner: daemonSet, injected: before },
    { labels: { 'falco-federation.io/inject': 'disabled' } },
    { owner: daemonSet, injected: today },
  ];
  const [one, ...others] = announcementsOf(surveyed(...pods));
  assert.deepEqual(others, [], 'nothing is said of what is as it should be, or asked to be left alone');
  assert.equal(one?.reason, 'PodStale');
  assert.match(
    one?.note ?? '',
    /^pod_stale: .* Run: kubectl --namespace falco rollout restart daemonset\/falco$/,
  );
  const [same] = announcementsOf(surveyed(...pods.toReversed().slice(0, 3)));
  assert.equal(same?.name, one?.name, 'whatever their number and order');
});

test('what is new is told after a while, what holds again before it is forgotten, what healed no more', () => {
  const announcements = announcementsOf(surveyed({ owner: daemonSet, injected: before }));
  const { due, told } = telling();
  const names = (at: number, all = announcements) => due(all, at * 1_000).map(({ reason }) => reason);
  assert.deepEqual(names(0), []);
  assert.deepEqual(names(19), []);
  assert.deepEqual(names(20), ['PodStale']);
  for (const one of announcements) told(one, 20_000, true);
  assert.deepEqual(names(25), []);
  assert.deepEqual(names(20 + 10 * 60), ['PodStale']);
  for (const one of announcements) told(one, 20_000, false);
  assert.deepEqual(names(81), ['PodStale'], 'what could not be told is tried again');
  assert.deepEqual(names(100, []), []);
  assert.deepEqual(names(101), [], 'it healed, and comes anew');
});

test('a mistake that strikes every workload is told a few at a time, each in turn', () => {
  const many = Array.from({ length: 25 }, (_, at) => ({ owner: { kind: 'DaemonSet', name: `falco-${at}` } }));
  const announcements = announcementsOf(surveyed(...many));
  const { due, told } = telling();
  due(announcements, 0);
  const all = new Set<string>();
  for (const [at, count] of [10, 10, 5, 0].entries()) {
    const now = due(announcements, 30_000 + at);
    assert.equal(now.length, count);
    for (const one of now) {
      told(one, 30_000 + at, true);
      all.add(one.name);
    }
  }
  assert.equal(all.size, 25);
});

test('rememberedSettings are worked out once for the same annotations, and anew for other settings', () => {
  const remembered = rememberedSettings();
  const [ofNamespace, ofPod] = [{ 'falco-federation.io/tags': 'a' }, { 'falco-federation.io/cluster': 'b' }];
  const first = remembered(today, ofNamespace, ofPod);
  assert.equal(remembered(today, ofNamespace, ofPod), first);
  assert.deepEqual([first.cluster, first.tags], ['b', ['a']]);
  assert.notEqual(remembered(today, undefined, ofPod).hash, first.hash);
  assert.equal(remembered(before, ofNamespace, undefined).cluster, 'before');
  assert.equal(remembered(today, ofNamespace, ofPod).hash, first.hash);
});
