/** Clusters in which something that should be there is not, one for each thing that is held against what is. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { V1Pod } from '@kubernetes/client-node';
import jsonPatch from 'fast-json-patch';
import { injectObject } from '../../src/admission/inject-object.ts';
import type { Check } from '../../src/checks/check.ts';
import { forwarder } from '../../src/checks/forwarder.ts';
import { optingIn } from '../../src/checks/opting-in.ts';
import { pods } from '../../src/checks/pods.ts';
import { wantedPods } from '../../src/checks/wanted-pods.ts';
import { webhookReplicas } from '../../src/checks/webhook-replicas.ts';
import { settingsFrom } from '../injection/pods.ts';
import { type Pretended, pretendCluster } from './pretend-cluster.ts';

const spoke =
  'cluster: staging\nhub: {address: "https://hub.corp.net"}\nrules: {image: "falco-federation-webhook:0.1.0"}\n';

async function linesOf(check: Check, cluster: Partial<Pretended>): Promise<readonly string[]> {
  const lines = await check.look(pretendCluster({ settings: spoke, ...cluster }));
  return lines.map(({ mark, text, why }) => [mark, text, why].filter(Boolean).join(' | '));
}

const template = {
  spec: { containers: [{ name: 'falco', image: 'falcosecurity/falco:0.44.1', args: ['/usr/bin/falco'] }] },
};
const inFalco = (name: string) => ({ name, namespace: 'falco' });

describe('pods that are wanted and not there', () => {
  const daemonSet = (desired: number, there: number) => ({
    metadata: inFalco('falco'),
    spec: { template },
    status: { desiredNumberScheduled: desired, currentNumberScheduled: there },
  });

  test('none is missing', async () => {
    assert.deepEqual(await linesOf(wantedPods, { workloads: { DaemonSet: [daemonSet(2, 2)] } }), []);
    const web = { ...daemonSet(2, 0), spec: { template: { spec: { containers: [{ name: 'web' }] } } } };
    assert.deepEqual(await linesOf(wantedPods, { workloads: { DaemonSet: [web] } }), []);
  });

  for (const [message, fix] of [
    ['pods "falco-x" is forbidden: violates PodSecurity "baseline:latest": privileged', /enforce=privileged/],
    ['pods "falco-x" is forbidden: exceeded quota: small', /describe resourcequota/],
    ['pods "falco-x" is forbidden: maximum memory usage per Container is 64Mi', /describe limitrange/],
    ['admission webhook "x" denied the request', /get validatingwebhookconfigurations/],
  ] as const) {
    test(`a DaemonSet's pods that are refused: ${message}`, async () => {
      const view = pretendCluster({
        settings: spoke,
        workloads: { DaemonSet: [daemonSet(3, 1)] },
        failedCreates: [{ of: { kind: 'DaemonSet', name: 'falco' }, message }],
      });
      const [line] = await wantedPods.look(view);
      assert.deepEqual(
        [line?.mark, line?.text, line?.why],
        ['error', 'namespace falco: 1 of 3 pods of daemonset/falco exist', message],
      );
      assert.match(line?.fix ?? '', fix);
    });
  }

  const deployment = { metadata: inFalco('falco'), spec: { replicas: 2, template }, status: {} };
  const sidekick = {
    ...{ ...deployment, metadata: inFalco('falco-falcosidekick') },
    spec: { template: { spec: { containers: [{ name: 'falcosidekick', image: 'falcosidekick:2.32.0' }] } } },
  };

  test("falcosidekick's count on a hub only", async () => {
    const wanted = (settings: string) =>
      linesOf(wantedPods, { settings, workloads: { Deployment: [sidekick] } });
    assert.deepEqual(await wanted(spoke), []);
    assert.match(
      (await wanted('cluster: obsrv\nrole: hub\n'))[0] ?? '',
      /0 of 1 pods of deployment\/falco-falcosidekick/,
    );
    const [none] = await linesOf(optingIn, { workloads: { Deployment: [sidekick] } });
    assert.equal(none, 'ok | 1 namespace has opted in: falco');
    const pod = {
      metadata: { name: 'falco-falcosidekick-a', namespace: 'falco' },
      spec: sidekick.spec.template.spec,
    };
    assert.deepEqual(await linesOf(pods, { pods: [pod] }), [
      'warning | namespace falco | there are no pods of Falco in it',
    ]);
  });

  test("a Deployment's, by its ReplicaSet", async () => {
    const failedCreates = [{ of: { kind: 'ReplicaSet', name: 'falco-5d9' }, message: 'exceeded quota' }];
    assert.deepEqual(await linesOf(wantedPods, { workloads: { Deployment: [deployment] }, failedCreates }), [
      'error | namespace falco: 0 of 2 pods of deployment/falco exist | exceeded quota',
    ]);
  });
});

const falcoPod: V1Pod = {
  metadata: { name: 'falco-abcde', namespace: 'falco' },
  spec: { ...template.spec },
};
const { patch } = injectObject(falcoPod, 'Pod', settingsFrom(spoke), undefined);
const injected: V1Pod = jsonPatch.applyPatch(falcoPod, [...patch], true, false).newDocument;

describe('pods that are federated by their annotation only', () => {
  test('another webhook took a container out', async () => {
    const initContainers = injected.spec?.initContainers?.filter(
      ({ name }) => name !== 'falco-federation-tag-rules',
    );
    const pod = {
      ...injected,
      spec: { ...injected.spec, containers: injected.spec?.containers, initContainers },
    };
    assert.deepEqual(await linesOf(pods, { pods: [pod] }), [
      'error | namespace falco: 1 pod of pod/falco-abcde failing | falco-abcde: falco-federation-tag-rules: ' +
        'removed by another webhook or a policy',
    ]);
  });

  test('no node takes it', async () => {
    const conditions = [{ type: 'PodScheduled', status: 'False', message: '0/1 nodes are available' }];
    assert.deepEqual(await linesOf(pods, { pods: [{ ...injected, status: { conditions } }] }), [
      'error | namespace falco: 1 pod of pod/falco-abcde failing | falco-abcde: cannot be scheduled: 0/1 nodes are available',
    ]);
  });

  test('a container of the user keeps restarting', async () => {
    const containerStatuses = [{ name: 'loader', state: { waiting: { reason: 'CrashLoopBackOff' } } }];
    assert.deepEqual(await linesOf(pods, { pods: [{ ...injected, status: { containerStatuses } }] }), [
      'error | namespace falco: 1 pod of pod/falco-abcde failing | falco-abcde: loader: CrashLoopBackOff',
    ]);
  });

  test('what tag-rules found decides, not only what it came to', async () => {
    const message = JSON.stringify({ code: 'rules_tagged', findings: [{ code: 'rules_watch_off' }] });
    const initContainerStatuses = [
      { name: 'falco-federation-tag-rules', state: { terminated: { exitCode: 0, message } } },
    ];
    const lines = await linesOf(pods, { pods: [{ ...injected, status: { initContainerStatuses } }] });
    assert.match(lines.at(-1) ?? '', /^warning \| .*rules_tagged in 1 pod \| .*rules_watch_off: /);
  });
});

describe('our own workloads', () => {
  const ours = (name: string, status: object) => ({
    metadata: { name, namespace: 'falco-federation' },
    spec: { replicas: 2, template: { spec: { containers: [{ name: 'webhook' }] } } },
    status,
  });
  const pod = (name: string, ready: boolean, containerStatuses: readonly object[] = []) => ({
    metadata: { name },
    spec: { containers: [{ name: 'webhook' }] },
    status: { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }], containerStatuses },
  });
  const pulling = [{ name: 'webhook', state: { waiting: { reason: 'ImagePullBackOff' } } }];
  const [webhook, forwarderName] = ['falco-federation-webhook', 'falco-federation-forwarder'];

  test('a rollout whose new replica cannot be pulled, while the old ones serve', async () => {
    const lines = await linesOf(webhookReplicas, {
      workloads: { Deployment: [ours(webhook, { replicas: 3, updatedReplicas: 1 })] },
      ours: [pod(`${webhook}-a`, true), pod(`${webhook}-b`, true), pod(`${webhook}-c`, false, pulling)],
      endpoints: { [webhook]: 2 },
    });
    assert.deepEqual(lines.slice(0, 3), [
      'ok | 2 of 2 replicas of the webhook are ready',
      `error | rollout of deployment/${webhook}: 1 of 2 replicas updated | it is stuck: ${webhook}-c: webhook: ImagePullBackOff`,
      `ok | Service falco-federation/${webhook} has 2 ready endpoints`,
    ]);
  });

  test('a rollout that goes on is a warning, and one that is done is no line', async () => {
    const linesAt = (status: object) =>
      linesOf(webhookReplicas, {
        workloads: { Deployment: [ours(webhook, status)] },
        ours: [pod(`${webhook}-a`, true), pod(`${webhook}-b`, true)],
        endpoints: { [webhook]: 2 },
      });
    assert.match((await linesAt({ replicas: 3, updatedReplicas: 1 }))[1] ?? '', /^warning .*in progress$/);
    assert.equal(
      (await linesAt({ replicas: 2, updatedReplicas: 2 })).filter((line) => line.includes('rollout')).length,
      0,
    );
  });

  test('half of the forwarders do not start', async () => {
    const lines = await linesOf(forwarder, {
      workloads: { StatefulSet: [ours(forwarderName, { replicas: 2, updatedReplicas: 2 })] },
      ours: [pod(`${forwarderName}-0`, true), pod(`${forwarderName}-1`, false, pulling)],
      endpoints: { [forwarderName]: 1 },
    });
    assert.match(
      lines[0] ?? '',
      /^error \| 1 of 2 replicas of the forwarder are ready \| .*ImagePullBackOff/,
    );
  });

  test('none is created: the reason of its controller, and what shows more', async () => {
    const message = 'pods "x" is forbidden: exceeded quota: small';
    for (const [check, kind, of, name] of [
      [webhookReplicas, 'Deployment', 'ReplicaSet', webhook],
      [forwarder, 'StatefulSet', 'StatefulSet', forwarderName],
    ] as const) {
      const view = pretendCluster({
        settings: spoke,
        workloads: { [kind]: [ours(name, {})] },
        failedCreates: [{ of: { kind: of, name: of === 'ReplicaSet' ? `${name}-5d9` : name }, message }],
      });
      const [line] = await check.look(view);
      assert.match(line?.why ?? '', /exceeded quota: small; /);
      assert.match(line?.fix ?? '', /falco-federation describe resourcequota$/);
    }
  });

  test('a volume that no StorageClass makes', async () => {
    const message = 'pod has unbound immediate PersistentVolumeClaims';
    const waiting = {
      ...pod(`${forwarderName}-0`, false),
      status: { conditions: [{ type: 'PodScheduled', status: 'False', message }] },
    };
    const view = pretendCluster({
      ...{ settings: spoke, ours: [waiting, { ...waiting, metadata: { name: `${forwarderName}-1` } }] },
      workloads: { StatefulSet: [ours(forwarderName, { replicas: 2, updatedReplicas: 2 })] },
    });
    const [line] = await forwarder.look(view);
    assert.match(line?.why ?? '', /cannot be scheduled: pod has unbound immediate Persist/);
    assert.match(line?.fix ?? '', /get persistentvolumeclaims,storageclasses$/);
  });

  for (const endpoints of [{}, { [forwarderName]: 0 }]) {
    test(`the forwarder's Service leads nowhere: ${JSON.stringify(endpoints)}`, async () => {
      const lines = await linesOf(forwarder, {
        workloads: { StatefulSet: [ours(forwarderName, { replicas: 2, updatedReplicas: 2 })] },
        ours: [pod(`${forwarderName}-0`, true), pod(`${forwarderName}-1`, true)],
        endpoints,
      });
      assert.ok(
        lines.includes(
          `error | Service falco-federation/${forwarderName} has 0 ready endpoints | Falco's pods cannot reach the forwarder, so no alert leaves them`,
        ),
        lines.join('\n'),
      );
    });
  }
});
