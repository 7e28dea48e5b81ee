import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { V1Pod } from '@kubernetes/client-node';
import jsonPatch from 'fast-json-patch';
import { injectObject } from '../../src/admission/inject-object.ts';
import { pods } from '../../src/checks/pods.ts';
import { settingsFrom } from '../injection/pods.ts';
import { pretendCluster } from './pretend-cluster.ts';

const settings =
  'cluster: staging\nhub: {address: "https://hub.corp.net"}\nrules: {image: "falco-federation-webhook:0.1.0"}\n';
const falco: V1Pod = {
  metadata: { name: 'falco-a', namespace: 'falco' },
  spec: { containers: [{ name: 'falco', image: 'falcosecurity/falco:0.44.1', args: ['/usr/bin/falco'] }] },
};
const { patch } = injectObject(falco, 'Pod', settingsFrom(settings), undefined);
const injected: V1Pod = jsonPatch.applyPatch(falco, [...patch], true, false).newDocument;
const name = 'falco-federation-ship-alerts';

async function linesWith(status: object): Promise<readonly string[]> {
  const lines = await pods.look(pretendCluster({ settings, pods: [{ ...injected, status }] }));
  return lines.map(({ mark, text, why }) => [mark, text, why].filter(Boolean).join(' | '));
}

describe('a pod that is federated', () => {
  test('and ready; or not, by the first container that waits', async () => {
    const ready = { conditions: [{ type: 'Ready', status: 'True' }] };
    assert.deepEqual(await linesWith(ready), ['ok | namespace falco: 1 pod federated (pod/falco-a)']);
    const containerStatuses = [{ name, state: { waiting: { reason: 'ContainerCreating' } } }];
    assert.deepEqual(await linesWith({ containerStatuses }), [
      `warning | namespace falco: 1 pod of pod/falco-a not ready | falco-a: not ready (${name}: ContainerCreating)`,
    ]);
  });

  test('fails by what ships its alerts, just started again or not', async () => {
    const lastState = { terminated: { exitCode: 1, message: 'cannot write\n' } };
    const running = { running: { startedAt: new Date().toISOString() } };
    for (const [state, why] of [
      [running, 'exit status 1'],
      [{ waiting: { reason: 'CrashLoopBackOff' } }, 'CrashLoopBackOff, exit status 1'],
    ] as const) {
      const [line = ''] = await linesWith({ containerStatuses: [{ name, state, lastState }] });
      assert.match(line, new RegExp(`^error .*ship-alerts: ${why}: cannot write`));
    }
  });
});

test('injection found that alerts are not shipped, of severity error: so is the line', async () => {
  const own = {
    ...falco,
    spec: {
      containers: [
        {
          ...{ name: 'falco', image: 'falcosecurity/falco:0.44.1' },
          args: ['/usr/bin/falco', '-o', 'file_output.enabled=true'],
        },
      ],
    },
  };
  const found = injectObject(own, 'Pod', settingsFrom(settings), undefined).patch;
  const pod: V1Pod = jsonPatch.applyPatch(own, [...found], true, false).newDocument;
  const lines = await pods.look(pretendCluster({ settings, pods: [pod] }));
  assert.ok(lines.some(({ check, mark }) => check === 'findings' && mark === 'error'));
});
