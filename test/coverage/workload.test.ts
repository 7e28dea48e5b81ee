import assert from 'node:assert/strict';
import { test } from 'node:test';
import { restartCommand, revisionOf, workloadOf } from '../../src/coverage/workload.ts';

const owned = (kind: string, name: string, controller = true) => ({
  ownerReferences: [{ apiVersion: 'apps/v1', kind, name, uid: 'u', controller }],
});

test('the workload of a pod, as its controllers name things', () => {
  const told = (metadata: Parameters<typeof workloadOf>[1]) => {
    const { key, uid } = workloadOf('falco', { name: 'p', uid: 'p', ...metadata });
    return [key, uid];
  };
  const labels = { 'pod-template-hash': '7d4f' };
  assert.deepEqual(told(owned('DaemonSet', 'falco')), ['falco/DaemonSet/falco', 'u']);
  assert.deepEqual(told({ ...owned('ReplicaSet', 'a-b-7d4f'), labels }), ['falco/Deployment/a-b', undefined]);
  assert.deepEqual(told(owned('ReplicaSet', 'a-b-7d4f')), ['falco/ReplicaSet/a-b-7d4f', 'u']);
  assert.deepEqual(told({ ...owned('ReplicaSet', 'bare'), labels }), ['falco/ReplicaSet/bare', 'u']);
  assert.deepEqual(told(owned('Job', 'j')), ['falco/Job/j', 'u']);
  assert.deepEqual(told({}), ['falco/Pod/p', 'p']);
  assert.deepEqual(
    told(owned('Chart', 'c', false)),
    ['falco/Pod/p', 'p'],
    'an owner that does not control it',
  );
});

test('which template a pod was made from', () => {
  assert.equal(revisionOf({ labels: { 'pod-template-hash': 'a' } }), 'a');
  assert.equal(revisionOf({ labels: { 'controller-revision-hash': 'b' } }), 'b');
  assert.equal(revisionOf({}), '');
});

test('what creates the pods of a workload again', () => {
  const told = (workload: string) => restartCommand('falco', workload);
  assert.equal(told('daemonset/a'), 'kubectl --namespace falco rollout restart daemonset/a');
  assert.equal(told('pod/a'), 'kubectl --namespace falco delete pod/a   # and create it again');
  assert.equal(
    told('replicaset/a'),
    'kubectl --namespace falco delete pod NAME   # each pod of replicaset/a',
  );
});
