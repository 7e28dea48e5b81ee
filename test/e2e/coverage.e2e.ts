/**
 * Which pods are federated, as two replicas see it in a real cluster.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { EventsV1Event, V1Pod } from '@kubernetes/client-node';
import { tagRulesContainer } from '../../src/federation/names.ts';
import { manifests } from '../manifests/files.ts';
import { root } from '../real/places.ts';
import { api as apiOf } from './api.ts';
import { startControlPlane } from './control-plane.ts';
import {
  applyAndWait,
  makeNamespace,
  optedIn,
  ownChart,
  type Workloads,
  workloadsIn,
} from './created-pods.ts';
import { rollingRestart } from './faults.ts';
import { installManifests, flags as usualFlags } from './install-manifests.ts';
import { appName } from './installation.ts';
import { writeStatus } from './kubelet.ts';
import { leftOut } from './needs.ts';
import { type Replica, until } from './replica.ts';
import type { Scene as UsualScene } from './scenarios.ts';

interface Scene extends UsualScene {
  readonly flags: readonly string[];
}

const own = workloadsIn(ownChart, 'own-chart');
const patience = 120_000;

const statusKey = 'falco-federation.io/status';

function clusterOf({ metadata }: V1Pod): string | undefined {
  const text = metadata?.annotations?.[statusKey];
  // Safe: what has no cluster is not the one that is asked for.
  return text === undefined ? undefined : (JSON.parse(text) as { cluster: string }).cluster;
}

/** Registers the tests. */
function testCoverage(scene: () => Scene): void {
  let made = 0;

  async function newNamespace(labels: Readonly<Record<string, string>> = optedIn): Promise<string> {
    made += 1;
    const name = `coverage-${made}`;
    await makeNamespace(scene().api, name, labels);
    return name;
  }

  const label = (namespace: string, value: string) =>
    scene().controlPlane.kubectl(['label', '--overwrite', 'namespace', namespace, value]);

  const optInLabel = 'falco-federation.io/inject=enabled';

  const count = (replica: Replica, namespace: string, kind: string, state: string) =>
    replica.metric(
      `falco_federation_pods{namespace="${namespace}",workload_kind="${kind}",state="${state}"}`,
    );

  /** Waits until every replica counts so. */
  async function counted(
    namespace: string,
    kind: string,
    state: string,
    pods: number | undefined,
  ): Promise<void> {
    for (const replica of scene().installation.replicas()) {
      await until(
        `${replica.name} counts ${pods} ${state} pods of a ${kind} in ${namespace}`,
        async () => (await count(replica, namespace, kind, state)) === pods,
      ).catch(async (error: unknown) => {
        throw new Error(`${String(error)}\n${await replica.readiness()}`);
      });
    }
  }

  async function eventsOn(namespace: string, kind: string): Promise<readonly EventsV1Event[]> {
    const { body } = await scene().api.call('GET', `/apis/events.k8s.io/v1/namespaces/${namespace}/events`);
    // Safe: a list of events is what was asked for.
    const { items } = body as { items: readonly EventsV1Event[] };
    return items.filter(
      ({ regarding, reportingController }) =>
        regarding?.kind === kind && reportingController === 'falco-federation.io/webhook',
    );
  }

  const apply = (workloads: Workloads, namespace: string) =>
    applyAndWait(scene().controlPlane, scene().api, workloads, namespace);

  describe('what every replica tells', () => {
    test('pods from before the label are not federated; each workload hears of it once, by both', async () => {
      const namespace = await newNamespace({});
      const [falco] = await apply(own, namespace);
      assert.equal(clusterOf(falco ?? assert.fail('no pod')), undefined);
      await label(namespace, optInLabel);
      await counted(namespace, 'DaemonSet', 'not_federated', 1);
      // A spoke's falcosidekick is left alone, and nobody is told.
      await counted(namespace, 'Deployment', 'skipped', 2);
      await until(
        'an Event is on the DaemonSet',
        async () => (await eventsOn(namespace, 'DaemonSet')).length > 0,
        patience,
      );
      // Both replicas have had their turn by now.
      await wait(12_000);
      const [onDaemonSet, ...others] = await eventsOn(namespace, 'DaemonSet');
      assert.deepEqual(others, []);
      assert.equal(onDaemonSet?.reason, 'PodNotFederated');
      assert.equal(onDaemonSet?.regarding?.name, 'falco');
      assert.equal(onDaemonSet?.regarding?.uid, falco?.metadata?.ownerReferences?.[0]?.uid);
      assert.match(onDaemonSet?.note ?? '', /kubectl --namespace \S+ rollout restart daemonset\/falco/);
      assert.deepEqual(await eventsOn(namespace, 'Deployment'), []);
      const described = await scene().controlPlane.kubectl([
        'describe',
        'daemonset',
        'falco',
        '-n',
        namespace,
      ]);
      assert.match(described, /PodNotFederated/);
    });

    test('federated, then stale by an annotation, and federated again', async () => {
      const { controlPlane } = scene();
      const namespace = await newNamespace();
      await apply(own, namespace);
      await counted(namespace, 'DaemonSet', 'federated', 1);
      await controlPlane.kubectl(['annotate', 'namespace', namespace, 'falco-federation.io/cluster=other']);
      await counted(namespace, 'DaemonSet', 'stale', 1);
      await counted(namespace, 'DaemonSet', 'federated', undefined);
      await controlPlane.kubectl(['annotate', 'namespace', namespace, 'falco-federation.io/cluster-']);
      await counted(namespace, 'DaemonSet', 'federated', 1);
      await controlPlane.kubectl(['delete', 'namespace', namespace, '--wait=false']);
      await counted(namespace, 'DaemonSet', 'federated', undefined);
    });

    test('left alone, unclear, and none of ours', async () => {
      const { api, controlPlane } = scene();
      const namespace = await newNamespace();
      const pod = (name: string, container: object, labels: object = {}) =>
        api.call('POST', `/api/v1/namespaces/${namespace}/pods`, {
          ...{ metadata: { name, labels }, spec: { containers: [{ image: 'falco:0.44.1', ...container }] } },
        });
      const falco = { name: 'falco', args: ['/usr/bin/falco'] };
      await pod('out', falco, { 'falco-federation.io/inject': 'disabled' });
      await pod('shell', { name: 'falco', command: ['sh', '-c', 'exec falco'] });
      await pod('looks', { name: 'falco', args: ['/usr/bin/falco', '--version'] });
      await pod('web', { name: 'web', image: 'web:1' });
      await pod('old', { ...falco, image: 'falcosecurity/falco:0.36.0' });
      await counted(namespace, 'Pod', 'skipped', 3);
      await counted(namespace, 'Pod', 'federated', 1);
      // What injection would make of a pod depends on its namespace's annotations too.
      await controlPlane.kubectl([
        'annotate',
        'namespace',
        namespace,
        'falco-federation.io/falco-version=0.44.1',
      ]);
      await counted(namespace, 'Pod', 'stale', 1);
      await counted(namespace, 'Pod', 'skipped', 3);
    });

    test('a container of ours that keeps restarting, and what tag-rules reported', async () => {
      const { api, installation } = scene();
      const namespace = await newNamespace();
      const [falco] = await apply(own, namespace);
      assert.ok(falco !== undefined);
      const ended = (exitCode: number, code: string) => ({
        terminated: { exitCode, reason: 'Error', message: JSON.stringify({ code, findings: [] }) },
      });
      const status = (state: object, lastState: object = {}) => ({
        initContainerStatuses: [
          {
            ...{ name: tagRulesContainer, image: '', imageID: '', ready: false, restartCount: 3 },
            ...{ state, lastState },
          },
        ],
      });
      await writeStatus(
        api,
        falco,
        status({ waiting: { reason: 'CrashLoopBackOff' } }, ended(1, 'rules_config_invalid')),
      );
      await counted(namespace, 'DaemonSet', 'failing', 1);
      const [replica] = installation.replicas();
      const finding = (code: string) =>
        replica?.metric(`falco_federation_pod_findings{namespace="${namespace}",code="${code}"}`);
      assert.equal(await finding('pod_failing'), 1);
      assert.equal(await finding('rules_config_invalid'), 1);
      await until(
        'Events say both',
        async () => (await eventsOn(namespace, 'DaemonSet')).length === 2,
        patience,
      );
      const notes = (await eventsOn(namespace, 'DaemonSet')).map(({ note }) => note).sort();
      assert.match(notes[0] ?? '', /falco-federation-tag-rules: CrashLoopBackOff, rules_config_invalid/);
      assert.match(notes[1] ?? '', /^rules_config_invalid: .* Correct the file/);
      await writeStatus(api, falco, status(ended(0, 'rules_tagged_in_part')));
      await counted(namespace, 'DaemonSet', 'federated', 1);
      assert.equal(await finding('rules_tagged_in_part'), 1);
      assert.equal(await finding('pod_failing'), undefined);
    });

    test('without the permissions: ready, no gauge, and it says what it cannot see', async (t) => {
      const { controlPlane, installation } = scene();
      await controlPlane.kubectl(['delete', 'clusterrolebinding', `${appName}-coverage`]);
      t.after(async () => {
        await controlPlane.kubectl(['apply', '-f', join(manifests, 'base/coverage-roles.yaml')]);
        await rollingRestart(installation);
      });
      const blind = await installation.add();
      await until('it says so', async () =>
        (await blind.readiness()).includes('so it is unknown whether they are federated'),
      );
      const said = await blind.readiness();
      assert.match(said, /^\[\+\] coverage: the pods of .* cannot be listed.*resources \["pods"\]/m);
      assert.equal(await blind.isReady(), true);
      assert.equal(await blind.metric('falco_federation_pods_synced'), undefined);
      await wait(6_000);
      assert.equal(
        blind.log.filter(({ msg }) => msg === 'pods cannot be listed; coverage is unknown').length,
        1,
      );
      console.log(said.split('\n').find((line) => line.includes('coverage')));
      await installation.remove(blind);
    });
  });
}

describe('coverage in a real control plane', { skip: leftOut('control plane') }, () => {
  const folder = join(root, '.cache', 'e2e-coverage');
  const settings = 'cluster: staging\nhub: {address: "https://falco.hub.example"}\n';
  let scene: Scene | undefined;
  before(async () => {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const controlPlane = await startControlPlane(folder);
    const api = apiOf(controlPlane);
    const flags = usualFlags;
    const installation = await installManifests({ folder, controlPlane, api, settings, flags });
    scene = { controlPlane, api, installation, flags, settings };
    await Promise.all([installation.add(), installation.add()]);
  });
  after(async () => {
    await scene?.installation.stop();
    scene?.api.close();
    await scene?.controlPlane.stop();
  });
  testCoverage(() => scene ?? assert.fail('the control plane was not started'));
});
