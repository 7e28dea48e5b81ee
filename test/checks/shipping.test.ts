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
const ended = (finishedAt: string) => ({
  terminated: { exitCode: 1, message: 'cannot write\n', finishedAt },
});

async function linesWith(containerStatus: object | undefined): Promise<readonly string[]> {
  const containerStatuses = containerStatus === undefined ? [] : [{ name, ...containerStatus }];
  const pod = { ...injected, status: { containerStatuses } };
  const lines = await pods.look(pretendCluster({ settings, pods: [pod] }));
  return lines
    .filter(({ mark, check }) => mark !== 'ok' || check === 'alerts_shipped')
    .map(({ check, mark, text, why }) => [check, mark, text, why].filter(Boolean).join(' | '));
}

describe('the container that ships alerts', () => {
  const running = { running: {} };
  for (const [about, status, line] of [
    ['runs', { state: running }, /^alerts_shipped \| ok \| .* alerts of 1 pod go to the forwarder/],
    [
      'was started again just now: told as the pod that fails by it',
      {
        state: { running: { startedAt: new Date().toISOString() } },
        lastState: ended('2020-01-01T00:00:00Z'),
      },
      /^pods \| error .*ship-alerts: exit status 1: cannot write/,
    ],
    ['has ended', { state: { terminated: { exitCode: 0 } } }, /\| warning .* it has ended, exit status 0$/],
    ['has not started', undefined, /\| warning .* has not started yet$/],
    [
      'keeps restarting: told as the pod that fails by it',
      { state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: ended('2020-01-01T00:00:00Z') },
      /^pods \| error .*ship-alerts: CrashLoopBackOff, exit status 1: cannot write/,
    ],
  ] as const) {
    test(about, async () => {
      const [found, ...more] = await linesWith(status);
      assert.match(found ?? '', line);
      assert.deepEqual(more, []);
    });
  }
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
