/**
 * Which pods are federated, as two replicas see it in a real cluster, and how they replace those that are not.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { EventsV1Event, V1Lease, V1Pod } from '@kubernetes/client-node';
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
  podsIn,
  type Workloads,
  workloadsIn,
} from './created-pods.ts';
import { rollingRestart } from './faults.ts';
import { installManifests, flags as usualFlags } from './install-manifests.ts';
import { appName, namespace as ownNamespace } from './installation.ts';
import { type Kubelet, type PodNews, startKubelet, writeStatus } from './kubelet.ts';
import { leftOut } from './needs.ts';
import { type Replica, until } from './replica.ts';
import type { Scene as UsualScene } from './scenarios.ts';

interface Scene extends UsualScene {
  readonly flags: readonly string[];
}

const own = workloadsIn(ownChart, 'own-chart');
const patience = 120_000;
const leaseName = `${appName}-restarts`;

/** A Deployment of Falco without a driver, as many as are wanted: a DaemonSet has one here, as there is one node. */
function falcoDeployment(replicas: number): Workloads {
  const labels = { app: 'falco' };
  return {
    name: 'falco-deployment',
    objects: [
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'falco' },
        spec: {
          replicas,
          ...{ selector: { matchLabels: labels } },
          template: {
            ...{ metadata: { labels } },
            spec: { containers: [{ name: 'falco', image: 'falco:0.44.1', args: ['/usr/bin/falco'] }] },
          },
        },
      },
    ],
  };
}

const statusKey = 'falco-federation.io/status';

function clusterOf({ metadata }: V1Pod): string | undefined {
  const text = metadata?.annotations?.[statusKey];
  // Safe: what has no cluster is not the one that is asked for.
  return text === undefined ? undefined : (JSON.parse(text) as { cluster: string }).cluster;
}

const nameIn = ({ metadata }: V1Pod): string => metadata?.name ?? '';

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

  /** Gives every replica other settings until the test ends. */
  async function useSettings(t: TestContext, text: string): Promise<void> {
    const { installation, settings } = scene();
    installation.settings.swap(text);
    t.after(() => installation.settings.swap(settings));
  }

  function kubelet(t: TestContext, namespace: string): Kubelet {
    const started = startKubelet(scene().api, namespace);
    t.after(() => started.stop());
    return started;
  }

  describe('what every replica tells', () => {
    test('pods from before the label are not federated; each workload hears of it once, by both', async () => {
      const namespace = await newNamespace({});
      const [falco] = await apply(own, namespace);
      assert.equal(clusterOf(falco ?? assert.fail('no pod')), undefined);
      await label(namespace, optInLabel);
      await counted(namespace, 'DaemonSet', 'not_federated', 1);
      await counted(namespace, 'Deployment', 'not_federated', 2);
      for (const kind of ['DaemonSet', 'Deployment']) {
        await until(
          `an Event is on the ${kind}`,
          async () => (await eventsOn(namespace, kind)).length > 0,
          patience,
        );
      }
      // Both replicas have had their turn by now.
      await wait(12_000);
      const [onDaemonSet, ...others] = await eventsOn(namespace, 'DaemonSet');
      assert.deepEqual(others, []);
      assert.equal(onDaemonSet?.reason, 'PodNotFederated');
      assert.equal(onDaemonSet?.regarding?.name, 'falco');
      assert.equal(onDaemonSet?.regarding?.uid, falco?.metadata?.ownerReferences?.[0]?.uid);
      assert.match(onDaemonSet?.note ?? '', /kubectl rollout restart/);
      const [onDeployment, ...more] = await eventsOn(namespace, 'Deployment');
      assert.deepEqual(more, []);
      assert.equal(onDeployment?.regarding?.name, 'falco-falcosidekick');
      assert.equal(onDeployment?.series?.count, 2, 'two pods, however many replicas tell it');
      const said = await scene().controlPlane.kubectl([
        ...['events', '--namespace', namespace, '--for', 'deployment/falco-falcosidekick'],
      ]);
      assert.match(said, /PodNotFederated/);
      console.log(said.split('\n').find((line) => line.includes('PodNotFederated')));
      const described = await scene().controlPlane.kubectl([
        'describe',
        'daemonset',
        'falco',
        '-n',
        namespace,
      ]);
      assert.match(described, /PodNotFederated/);
    });

    test('federated, then stale by an annotation, and federated again; readiness says it in words', async () => {
      const { controlPlane, installation } = scene();
      const namespace = await newNamespace();
      await apply(own, namespace);
      await counted(namespace, 'DaemonSet', 'federated', 1);
      await controlPlane.kubectl(['annotate', 'namespace', namespace, 'falco-federation.io/cluster=other']);
      await counted(namespace, 'DaemonSet', 'stale', 1);
      await counted(namespace, 'DaemonSet', 'federated', undefined);
      for (const replica of installation.replicas()) {
        const said = await replica.readiness();
        assert.match(said, new RegExp(`^\\[\\+\\] coverage: .*${namespace}/DaemonSet/falco: 1 stale`, 'm'));
      }
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
      await counted(namespace, 'Pod', 'skipped', 4);
      await counted(namespace, 'Pod', 'federated', undefined);
      // What injection would make of a pod depends on its namespace's annotations too.
      await controlPlane.kubectl([
        'annotate',
        'namespace',
        namespace,
        'falco-federation.io/falco-version=0.44.1',
      ]);
      await counted(namespace, 'Pod', 'not_federated', 1);
      await counted(namespace, 'Pod', 'skipped', 3);
    });

    test('a container of ours that keeps ending, and what tag-rules reported', async () => {
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
        status({ waiting: { reason: 'CrashLoopBackOff' } }, ended(1, 'rules_config_broken')),
      );
      await counted(namespace, 'DaemonSet', 'failing', 1);
      const [replica] = installation.replicas();
      const finding = (code: string) =>
        replica?.metric(`falco_federation_pod_findings{namespace="${namespace}",code="${code}"}`);
      assert.equal(await finding('pod_failing'), 1);
      assert.equal(await finding('rules_config_broken'), 1);
      await until(
        'Events say both',
        async () => (await eventsOn(namespace, 'DaemonSet')).length === 2,
        patience,
      );
      const notes = (await eventsOn(namespace, 'DaemonSet')).map(({ note }) => note).sort();
      assert.match(notes[0] ?? '', /falco-federation-tag-rules: CrashLoopBackOff, rules_config_broken/);
      assert.match(notes[1] ?? '', /^rules_config_broken: .* Correct the file/);
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
        (await blind.readiness()).includes('so it is not known whether they are federated'),
      );
      const said = await blind.readiness();
      assert.match(said, /^\[\+\] coverage: the pods of .* may not be seen.*resources \["pods"\]/m);
      assert.equal(await blind.isReady(), true);
      assert.equal(await blind.metric('falco_federation_pods_synced'), undefined);
      await wait(6_000);
      assert.equal(blind.log.filter(({ msg }) => msg === 'coverage is not known').length, 1);
      console.log(said.split('\n').find((line) => line.includes('coverage')));
      await installation.remove(blind);
    });
  });

  describe('rollout.restartStale', () => {
    const restarting = (cluster: string) =>
      `${scene().settings.replace('staging', cluster)}rollout: {restartStale: true}\n`;

    before(async () => {
      const { controlPlane, installation, flags } = scene();
      await controlPlane.kubectl(['apply', '-f', join(manifests, 'components/restart-stale/roles.yaml')]);
      installation.useFlags([...flags, '--restart-delay', '1s']);
      await rollingRestart(installation);
      // What the tests above left would be replaced too, for want of a kubelet never to its end.
      const left = Array.from({ length: made }, (_, at) => `coverage-${at + 1}`);
      await controlPlane.kubectl(['delete', 'namespace', ...left, '--ignore-not-found', '--timeout=60s']);
    });
    after(async () => {
      const { controlPlane, installation, flags } = scene();
      await controlPlane.kubectl(['delete', '-f', join(manifests, 'components/restart-stale/roles.yaml')]);
      installation.useFlags(flags);
      await rollingRestart(installation);
    });

    /** A namespace whose pods were created before it opted in, and are ready. */
    async function missed(
      t: TestContext,
      replicas: number,
    ): Promise<{ namespace: string; kubelet: Kubelet }> {
      const namespace = await newNamespace({});
      t.after(() => scene().controlPlane.kubectl(['delete', 'namespace', namespace, '--wait=false']));
      await apply(falcoDeployment(replicas), namespace);
      const node = kubelet(t, namespace);
      await until('all are ready', () => ofKind(node.history, 'ready').length === replicas);
      return { namespace, kubelet: node };
    }

    async function all(namespace: string, cluster: string, replicas: number): Promise<void> {
      await until(
        `all pods of ${namespace} are of ${cluster}`,
        async () => {
          const pods = await podsIn(scene().api, namespace);
          return pods.length === replicas && pods.every((pod) => clusterOf(pod) === cluster);
        },
        patience,
      ).catch(async (error: unknown) => {
        const said = await Promise.all(
          scene()
            .installation.replicas()
            .map((one) => one.readiness()),
        );
        throw new Error(`${String(error)}\n${said.join('\n')}`);
      });
    }

    const replacedBy = () =>
      scene()
        .installation.replicas()
        .map(({ log }) => log.filter(({ msg }) => msg === 'pod replaced').length);

    async function lease(): Promise<V1Lease> {
      const { body } = await scene().api.call(
        'GET',
        `/apis/coordination.k8s.io/v1/namespaces/${ownNamespace}/leases/${leaseName}`,
      );
      // Safe: what is no Lease has no spec, and the assertion fails.
      return body as V1Lease;
    }

    test('one after the other, each once, by one replica; the Lease is free again', async (t) => {
      const { namespace, kubelet: node } = await missed(t, 3);
      await useSettings(t, restarting('staging'));
      await label(namespace, optInLabel);
      await all(namespace, 'staging', 3);
      await until('three have gone', () => ofKind(node.history, 'gone').length === 3);
      oneAtATime(node.history, 3);
      const by = replacedBy();
      assert.deepEqual(by.toSorted(), [0, 3], 'one replica did it');
      await until('the Lease is free', async () => (await lease()).spec?.holderIdentity === '');
      assert.deepEqual(
        JSON.parse((await lease()).metadata?.annotations?.['falco-federation.io/restarts'] ?? ''),
        {},
      );
      await counted(namespace, 'Deployment', 'federated', 3);
    });

    test('a PodDisruptionBudget that allows none keeps all of them; lifted, they go', async (t) => {
      const { controlPlane, installation } = scene();
      const { namespace, kubelet: node } = await missed(t, 2);
      await controlPlane.kubectl([
        ...['create', 'poddisruptionbudget', 'falco', '--namespace', namespace],
        ...['--selector=app=falco', '--min-available=2'],
      ]);
      await useSettings(t, restarting('staging'));
      await label(namespace, optInLabel);
      const refused = () =>
        installation
          .replicas()
          .flatMap(({ log }) =>
            log.filter(
              ({ msg, workload }) => msg === 'pod not replaced' && String(workload).startsWith(namespace),
            ),
          );
      await until('it was refused', () => refused().length > 0, patience);
      assert.match(String(refused()[0]?.why), /429 .*disruption budget/);
      await wait(15_000);
      assert.deepEqual(ofKind(node.history, 'gone'), []);
      await controlPlane.kubectl(['delete', 'poddisruptionbudget', 'falco', '--namespace', namespace]);
      await all(namespace, 'staging', 2);
      oneAtATime(node.history, 2);
    });

    test('a successor that is not ready holds the others; a settings change in the middle begins with it', async (t) => {
      const { namespace, kubelet: node } = await missed(t, 3);
      const first = new Set((await podsIn(scene().api, namespace)).map(nameIn));
      node.readies((pod) => first.has(nameIn(pod)));
      await useSettings(t, restarting('staging'));
      await label(namespace, optInLabel);
      await until('the first has gone', () => ofKind(node.history, 'gone').length === 1, patience);
      await wait(20_000);
      assert.equal(ofKind(node.history, 'gone').length, 1, 'the others wait for its successor');
      const [successor] = (await podsIn(scene().api, namespace)).filter((pod) => !first.has(nameIn(pod)));
      await useSettings(t, restarting('renamed'));
      await until('the second has gone', () => ofKind(node.history, 'gone').length === 2, patience);
      assert.equal(ofKind(node.history, 'gone')[1]?.pod, successor?.metadata?.name, 'it serves nobody');
      node.readies(() => true);
      await all(namespace, 'renamed', 3);
      await until('four have gone', () => ofKind(node.history, 'gone').length === 4);
    });

    test('the webhook is away: it stops at the first that is not federated, and never goes twice', async (t) => {
      const { controlPlane, installation } = scene();
      const { namespace, kubelet: node } = await missed(t, 2);
      const other = await missed(t, 1);
      await useSettings(t, restarting('staging'));
      const policy = (fields: object) =>
        controlPlane.kubectl([
          ...['patch', 'mutatingwebhookconfiguration', appName, '--type=strategic', '--patch'],
          JSON.stringify({ webhooks: [{ name: 'inject.falco-federation.io', ...fields }] }),
        ]);
      // Nothing is called any more, and nobody notices.
      await policy({ objectSelector: { matchLabels: { nobody: 'has-this' } } });
      const back = () => policy({ objectSelector: { matchLabels: { nobody: null } } });
      t.after(back);
      await label(namespace, optInLabel);
      await until('one has gone', () => ofKind(node.history, 'gone').length === 1, patience);
      await until('its successor is there', async () => (await podsIn(scene().api, namespace)).length === 2);
      await until(
        'an Event says that it stopped',
        async () =>
          (await eventsOn(namespace, 'Deployment')).some(({ reason }) => reason === 'RestartStopped'),
        patience,
      );
      await label(other.namespace, optInLabel);
      await counted(other.namespace, 'Deployment', 'not_federated', 1);
      // Neither here nor elsewhere, nor by replicas that were not there when it happened.
      await rollingRestart(installation);
      await counted(namespace, 'Deployment', 'not_federated', 2);
      await wait(20_000);
      assert.equal(ofKind(node.history, 'gone').length, 1);
      assert.deepEqual(ofKind(other.kubelet.history, 'gone'), []);

      await back();
      const [newest] = (await podsIn(scene().api, namespace)).toSorted((a, b) =>
        String(a.metadata?.creationTimestamp) < String(b.metadata?.creationTimestamp) ? 1 : -1,
      );
      await controlPlane.kubectl(['delete', 'pod', nameIn(newest ?? assert.fail('no pod')), '-n', namespace]);
      await all(namespace, 'staging', 2);
      await all(other.namespace, 'staging', 1);
    });

    test('a bare pod and a Job stay; kill -9 of the replica that leads: the other goes on where it was', async (t) => {
      const { api, installation } = scene();
      const { namespace, kubelet: node } = await missed(t, 3);
      const falco = { name: 'falco', image: 'falco:0.44.1', args: ['/usr/bin/falco'] };
      await api.call('POST', `/api/v1/namespaces/${namespace}/pods`, {
        ...{ metadata: { name: 'bare' }, spec: { containers: [falco] } },
      });
      const template = { spec: { restartPolicy: 'Never', containers: [falco] } };
      await api.call('POST', `/apis/batch/v1/namespaces/${namespace}/jobs`, {
        ...{ metadata: { name: 'job' }, spec: { template } },
      });
      await until('all are there', () => ofKind(node.history, 'ready').length === 5);
      await useSettings(t, restarting('staging'));
      await label(namespace, optInLabel);
      await until('one has gone', () => ofKind(node.history, 'gone').length === 1, patience);
      const leader = installation.replicas().find(({ log }) => log.some(({ msg }) => msg === 'pod replaced'));
      await installation.kill(leader ?? assert.fail('nobody leads'), 0);
      await installation.add();
      await until(
        'the three are federated',
        async () => {
          const pods = (await podsIn(api, namespace)).filter(
            ({ metadata }) => metadata?.labels?.app === 'falco',
          );
          return pods.length === 3 && pods.every((pod) => clusterOf(pod) === 'staging');
        },
        patience,
      );
      await until('three have gone', () => ofKind(node.history, 'gone').length === 3);
      oneAtATime(node.history, 5);
      await counted(namespace, 'Pod', 'not_federated', 1);
      await counted(namespace, 'Job', 'not_federated', 1);
    });
  });
}

function ofKind(history: readonly PodNews[], kind: PodNews['kind']): readonly PodNews[] {
  return history.filter((news) => news.kind === kind);
}

/** Never was more than one of `all` pods gone or not ready. */
function oneAtATime(history: readonly PodNews[], all: number): void {
  let ready = 0;
  let began = false;
  const readyPods = new Set<string>();
  for (const { kind, pod } of history) {
    if (kind === 'ready') readyPods.add(pod);
    if (kind === 'gone') readyPods.delete(pod);
    ready = readyPods.size;
    began ||= ready === all;
    if (began) assert.ok(ready >= all - 1, JSON.stringify(history));
  }
}

describe('coverage in a real control plane', { skip: leftOut('control plane') }, () => {
  const folder = join(root, '.cache', 'e2e-coverage');
  const settings = 'cluster: staging\nhub: {address: "https://falcosidekick.hub.example"}\n';
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
