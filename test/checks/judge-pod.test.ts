import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { V1Pod } from '@kubernetes/client-node';
import jsonPatch from 'fast-json-patch';
import { injectObject } from '../../src/admission/inject-object.ts';
import { judgePod } from '../../src/checks/judge-pod.ts';
import type { InspectedPod } from '../../src/cluster/index.ts';
import { settingsFrom } from '../injection/pods.ts';

const settings = settingsFrom('cluster: staging\n');

const falco: V1Pod = {
  metadata: {
    name: 'falco-abcde',
    labels: { 'pod-template-hash': '5d9' },
    ownerReferences: [
      { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'falco-5d9', uid: 'u', controller: true },
    ],
  },
  spec: { containers: [{ name: 'falco', image: 'falcosecurity/falco:0.44.1', args: ['/usr/bin/falco'] }] },
};

function injected(pod: V1Pod): V1Pod {
  const { patch } = injectObject(pod, 'Pod', settings, undefined);
  return jsonPatch.applyPatch(pod, [...patch], true, false).newDocument;
}

function judged(pod: V1Pod, by = settings) {
  const found = judgePod(pod as InspectedPod, by, undefined, Date.now());
  return found === undefined ? undefined : [found.state, found.reason?.code ?? found.why];
}

describe('how a pod stands', () => {
  test('federated, stale, not federated, skipped, or nobody of ours', () => {
    const ready = { conditions: [{ type: 'Ready', status: 'True' }] };
    assert.deepEqual(judged({ ...injected(falco), status: ready }), ['federated', '']);
    assert.deepEqual(judged(injected(falco)), ['federated', 'not ready']);
    assert.deepEqual(judged(injected(falco), settingsFrom('cluster: other\n')), [
      'stale',
      'injected with different settings',
    ]);
    assert.deepEqual(judged(falco), ['not_federated', '']);
    const optedOut = {
      ...falco,
      metadata: { ...falco.metadata, labels: { 'falco-federation.io/inject': 'disabled' } },
    };
    assert.deepEqual(judged(optedOut), ['skipped', 'opted_out']);
    assert.equal(judged({ ...falco, spec: { containers: [{ name: 'web', image: 'web:1' }] } }), undefined);
  });

  test('failing: a container of ours, in the words of the kubelet; those of others too', () => {
    const waiting = (name: string, reason: string) => ({
      ...injected(falco),
      status: {
        initContainerStatuses: [
          { name, image: '', imageID: '', ready: false, restartCount: 0, state: { waiting: { reason } } },
        ],
      },
    });
    assert.deepEqual(judged(waiting('falco-federation-tag-rules', 'ImagePullBackOff')), [
      'failing',
      'falco-federation-tag-rules: ImagePullBackOff',
    ]);
    assert.deepEqual(judged(waiting('falco-federation-tag-rules', 'PodInitializing')), [
      'federated',
      'not ready (falco-federation-tag-rules: PodInitializing)',
    ]);
    assert.deepEqual(judged(waiting('git-sync', 'CrashLoopBackOff')), [
      'failing',
      'git-sync: CrashLoopBackOff',
    ]);
  });

  test("failing too: Falco's own crash loop, with its last words; not one that has ended", () => {
    const state = { waiting: { reason: 'CrashLoopBackOff' } };
    const lastState = { terminated: { exitCode: 1, message: 'Error: bad rules' } };
    const container = { name: 'falco', image: '', imageID: '', ready: false, restartCount: 3 };
    const judgedWith = (status: object) =>
      judged({ ...injected(falco), status: { containerStatuses: [{ ...container, ...status }] } });
    assert.deepEqual(judgedWith({ state, lastState }), [
      'failing',
      'falco: CrashLoopBackOff, exit status 1: Error: bad rules',
    ]);
    assert.deepEqual(judgedWith({ state: { running: {} }, lastState }), ['federated', 'not ready']);
  });

  test('the workload, as kubectl names it', () => {
    const workload = (pod: V1Pod) => judgePod(pod as InspectedPod, settings, undefined, Date.now())?.workload;
    assert.equal(workload(falco), 'deployment/falco');
    assert.equal(workload({ ...falco, metadata: { name: 'falco' } }), 'pod/falco');
  });
});
