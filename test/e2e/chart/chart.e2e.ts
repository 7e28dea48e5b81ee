/**
 * The chart as users install it, by Helm 3 and Helm 4, in a cluster of its own for each: installed (and over what kustomize
 * installed before), upgraded, rolled back, taken away and installed again, while Falco's pods are created all the time.
 * The replicas are the built program. FALCO_CHART names an unpacked chart of Falco, which is then installed unchanged;
 * without it our own small workloads stand for it.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { V1Pod } from '@kubernetes/client-node';
import { probePod } from '../../../src/checks/dry-run.ts';
import type { Line } from '../../../src/checks/line.ts';
import { statusAnnotation } from '../../../src/federation/names.ts';
import { manifests } from '../../manifests/files.ts';
import { root } from '../../real/places.ts';
import { type Api, api as apiOf } from '../api.ts';
import { type Egress, startEgress } from '../check/egress.ts';
import { type Node, startNode } from '../check/node.ts';
import { forwarder, namespace, waysTo, webhook, webhookPort } from '../check/stage.ts';
import { type ClientName, clientPath } from '../clients/programs.ts';
import { programPath } from '../control-plane/programs.ts';
import { type ControlPlane, startControlPlane } from '../control-plane.ts';
import { applyAndWait, makeNamespace, optedIn, ownChart, podsIn, workloadsIn } from '../created-pods.ts';
import { leftOut } from '../needs.ts';
import { program, until } from '../replica.ts';
import { chart } from './rendered.ts';

const release = 'falco-federation';
const values = ['cluster=staging', 'hub.address=http://localhost:1/in'];
const falcoChart = process.env.FALCO_CHART ?? '';
const patience = 90_000;

/** Kinds of which the chart makes objects, or the program while it runs. */
const kinds = [
  ...['serviceaccounts', 'configmaps', 'secrets', 'services', 'pods', 'deployments', 'statefulsets'],
  ...['poddisruptionbudgets', 'networkpolicies', 'roles', 'rolebindings'],
  ...['clusterroles', 'clusterrolebindings', 'mutatingwebhookconfigurations'],
];

interface Named {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
}

class Cluster {
  readonly controlPlane: ControlPlane;
  readonly api: Api;
  private readonly egress: Egress;
  private readonly folder: string;
  private readonly client: ClientName;
  private node: Node | undefined;

  private constructor(folder: string, client: ClientName, controlPlane: ControlPlane, egress: Egress) {
    this.folder = folder;
    this.client = client;
    this.controlPlane = controlPlane;
    this.egress = egress;
    this.api = apiOf(controlPlane);
  }

  static async start(folder: string, client: ClientName): Promise<Cluster> {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const egress = await startEgress(folder);
    const controlPlane = await startControlPlane(folder, {
      apiServerFlags: [egress.flag],
      controllers: ['endpointslice-controller'],
    });
    return new Cluster(folder, client, controlPlane, egress);
  }

  get kubectl(): ControlPlane['kubectl'] {
    return this.controlPlane.kubectl;
  }

  /** With helm and kubectl at hand. */
  private get env(): NodeJS.ProcessEnv {
    const homes = ['CACHE', 'CONFIG', 'DATA'].map((name) => [`HELM_${name}_HOME`, join(this.folder, 'helm')]);
    const PATH = [clientPath(this.client), programPath('kubectl')].map(dirname).join(':');
    const KUBECONFIG = this.controlPlane.kubeconfig;
    return {
      ...Object.fromEntries(homes),
      PATH: `${PATH}:${process.env.PATH}`,
      HOME: this.folder,
      KUBECONFIG,
    };
  }

  /** A line of `check` that is wrong; undefined: it is none. */
  async wrong(name: string): Promise<Line | undefined> {
    const asked = promisify(execFile)(process.execPath, [program, 'check', '-o', 'json'], { env: this.env });
    // What is wrong is an exit status, and all the same an answer.
    const { stdout } = await asked.catch((failure: { stdout: string }) => failure);
    // Safe: the command's own JSON.
    const { groups } = JSON.parse(stdout) as { groups: { lines: Line[] }[] };
    return groups.flatMap(({ lines }) => lines).find(({ check, mark }) => check === name && mark !== 'ok');
  }

  async run(command: string): Promise<void> {
    await promisify(execFile)('bash', ['-c', command], { env: this.env, cwd: root, timeout: patience });
  }

  /** Not in one go: the API server's way to the replicas leads through this process. */
  async helm(...args: readonly string[]): Promise<string> {
    const { env } = this;
    const where = args.includes('--namespace') ? [] : ['--namespace', namespace];
    const all = [...args, ...where, '--kubeconfig', this.controlPlane.kubeconfig];
    return (await promisify(execFile)(clientPath(this.client), all, { env, timeout: patience })).stdout;
  }

  /** Runs the pods of our namespace, whose service account is there by now. */
  async runPods(): Promise<void> {
    const kubeconfig = await this.controlPlane.serviceAccountKubeconfig(namespace, webhook);
    const { api, folder } = this;
    const testKubeconfig = () =>
      this.controlPlane.serviceAccountKubeconfig(namespace, 'falco-federation-test');
    this.node = startNode({ api, namespace, folder, kubeconfig, testKubeconfig, graceful: true });
    this.egress.lead(waysTo(this.node));
  }

  async stopPods(): Promise<void> {
    this.egress.lead(() => ({ to: 'nobody' }));
    await this.node?.stop();
    this.node = undefined;
  }

  /** Waits until all replicas are there, of today's template, and ready. */
  async ready(): Promise<void> {
    const node = this.node ?? assert.fail('no pods are run');
    await until(
      'all replicas are ready',
      async () => {
        const pods = await podsIn(this.api, namespace);
        return (
          pods.length === 4 &&
          node.readyPorts(webhook, webhookPort).length === 2 &&
          node.readyPorts(forwarder, 2801).length === 2
        );
      },
      patience,
    );
    for (const workload of [`deployment/${webhook}`, `statefulset/${forwarder}`])
      await this.kubectl(['rollout', 'status', workload, '--namespace', namespace, '--timeout=60s']);
  }

  async caBundle(): Promise<string> {
    const path = '{.webhooks[0].clientConfig.caBundle}';
    return await this.kubectl(['get', 'mutatingwebhookconfiguration', webhook, `--output=jsonpath=${path}`]);
  }

  /** Names of pods by their creation. */
  async podNames(): Promise<readonly string[]> {
    return (await podsIn(this.api, namespace)).map(({ metadata }) => metadata?.name ?? '').sort();
  }

  /** What is left of ours anywhere, but for what every namespace has. */
  async left(): Promise<readonly string[]> {
    const found: string[] = [];
    for (const kind of kinds) {
      const text = await this.kubectl(['get', kind, '--namespace', namespace, '--output=json']);
      // Safe: a list is what was asked for.
      const { items } = JSON.parse(text) as { items: readonly Named[] };
      const ours = items.filter(({ metadata: { name } }) => name.startsWith('falco-federation'));
      found.push(...ours.map(({ metadata }) => `${kind} ${metadata.name}`));
    }
    return found;
  }

  /** Creates a Falco pod as a dry run. @returns its status annotation; '' without one */
  async createdPod(): Promise<string> {
    const path = '/api/v1/namespaces/falco/pods?dryRun=All';
    const { status, body } = await this.api.call('POST', path, probePod('falco'));
    assert.equal(status, 201, JSON.stringify(body));
    // Safe: a pod was asked for.
    return (body as V1Pod).metadata?.annotations?.[statusAnnotation] ?? '';
  }

  /** Creates Falco pods all the time, as dry runs, while something is done. @returns how many, and how many without us */
  async whileCreating(
    work: () => Promise<void>,
  ): Promise<{ readonly pods: number; readonly missed: number }> {
    let [pods, missed, done] = [0, 0, false];
    const creating = (async () => {
      while (!done) {
        if ((await this.createdPod()) === '') missed += 1;
        pods += 1;
        await wait(50);
      }
    })();
    try {
      await work();
    } finally {
      done = true;
    }
    await creating;
    return { pods, missed };
  }

  async stop(): Promise<void> {
    await this.stopPods();
    this.api.close();
    await this.controlPlane.stop();
    this.egress.close();
  }
}

const set = (...more: readonly string[]): readonly string[] =>
  [...values, ...more].flatMap((value) => ['--set', value]);

/** Falco in an opted-in namespace, by its own chart where that is at hand. */
async function installFalco(cluster: Cluster, of: string): Promise<void> {
  if (falcoChart === '') {
    await applyAndWait(cluster.controlPlane, cluster.api, workloadsIn(ownChart, 'own-chart'), of);
    return;
  }
  await cluster.helm(
    'install',
    'falco',
    falcoChart,
    '--namespace',
    of,
    '--set',
    'falcosidekick.enabled=true',
  );
}

function testChart(client: ClientName): void {
  let started: Cluster | undefined;
  const cluster = (): Cluster => started ?? assert.fail('nothing was started');

  before(async () => {
    started = await Cluster.start(join(root, '.cache', `e2e-chart-${client}`), client);
    await makeNamespace(started.api, 'falco', optedIn);
  });
  after(async () => await started?.stop());

  test('the API server takes all that the chart can make', async () => {
    const options = [
      ...[
        'replicas=3',
        'injectAt=workload',
        'hostNetwork.enabled=true',
        'priorityClassName=system-cluster-critical',
      ],
      ...[
        'forwarder.persistence.enabled=true',
        'forwarder.persistence.storageClass=fast',
        'commonLabels.team=red',
      ],
      ...['commonAnnotations.note=x', 'logLevel=debug', 'extraArgs[0]=--drain-delay=1s', 'dnsPolicy=Default'],
      ...['hostAliases[0].ip=10.0.0.1', 'hostAliases[0].hostnames[0]=hub.corp.net', 'replicas=3'],
      ...['forwarder.persistence.annotations.note=x', 'forwarder.persistence.retention.whenDeleted=Delete'],
      ...[
        'forwarder.strategy.type=OnDelete',
        'webhook.strategy.type=Recreate',
        'livenessProbe.timeoutSeconds=9',
      ],
      ...['webhook.serviceAccount.name=theirs', 'webhook.service.ipFamilyPolicy=PreferDualStack'],
      ...['extraVolumes[0].name=more', 'extraVolumes[0].emptyDir.medium=Memory'],
      ...['extraVolumeMounts[0].name=more', 'extraVolumeMounts[0].mountPath=/more', 'extraEnv[0].name=A'],
      ...['podSecurityContext.supplementalGroups[0]=7', 'podDisruptionBudget.maxUnavailable=1'],
      ...[
        'extraObjects[0].apiVersion=v1',
        'extraObjects[0].kind=ConfigMap',
        'extraObjects[0].metadata.name=more',
      ],
      ...['podLabels.team=red', 'podAnnotations.note=x', 'imagePullSecrets[0].name=registry'],
      ...[
        'tolerations[0].operator=Exists',
        'monitoring.dashboards.enabled=true',
        'networkPolicy.hubPort=8443',
      ],
    ];
    const hub = [
      ...['cluster=obsrv', 'role=hub', 'receiver.spokes.staging.labels.env=staging'],
      ...['receiver.service.type=NodePort', 'receiver.service.nodePort=30443'],
      ...['receiver.service.annotations.note=x', 'podLabels.team=red', 'podAnnotations.note=x'],
    ].flatMap((value) => ['--set', value]);
    await cluster().kubectl(['create', 'namespace', namespace]);
    for (const all of [set(...options), hub]) {
      const rendered = await cluster().helm(
        'template',
        release,
        chart,
        '--skip-tests',
        '--kube-version=1.36.0',
        ...all,
      );
      await cluster().kubectl(['apply', '--server-side', '--dry-run=server', '--filename', '-'], rendered);
    }
    await cluster().kubectl(['delete', 'namespace', namespace]);
  });

  if (client === 'helm-3') {
    test('install', async () => {
      await cluster().helm('install', release, chart, '--create-namespace', ...set());
      await cluster().runPods();
      await cluster().ready();
    });
  } else {
    test('install over what kustomize installed, without a pod missed', async () => {
      const { kubectl } = cluster();
      await kubectl(['apply', '--server-side', '-k', join(manifests, 'overlays/spoke')]);
      await cluster().runPods();
      await cluster().ready();
      const [caBundle, before] = [await cluster().caBundle(), await cluster().podNames()];
      const { pods, missed } = await cluster().whileCreating(async () => {
        await cluster().helm('install', release, chart, '--take-ownership', '--force-conflicts', ...set());
        await cluster().ready();
      });
      assert.ok(pods > 0);
      assert.equal(missed, 0, `of ${pods} pods`);
      assert.equal(await cluster().caBundle(), caBundle);
      assert.deepEqual(await cluster().podNames(), before, 'the pods went on');
    });
  }

  test('an unchanged install of Falco: its pods become part of the federation', async () => {
    await makeNamespace(cluster().api, 'security', optedIn);
    await until('both replicas have read the settings', async () => {
      const several = await Promise.all([1, 2, 3, 4, 5, 6].map(() => cluster().createdPod()));
      return several.every((status) => status.includes('"cluster":"staging"'));
    });
    await installFalco(cluster(), 'security');
    // A spoke's falcosidekick is not part of it.
    const found = async () =>
      (await podsIn(cluster().api, 'security')).filter(({ spec }) =>
        spec?.containers.some(({ name }) => name === 'falco'),
      );
    await until('its pods are there', async () => (await found()).length > 0, patience);
    for (const { metadata, spec } of await found()) {
      const name = metadata?.name ?? '';
      assert.match(metadata?.annotations?.[statusAnnotation] ?? '', /"cluster":"staging"/, name);
      const ships = 'falco-federation-ship-alerts';
      assert.ok(
        [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].some((one) => one.name === ships),
        name,
      );
    }
  });

  test('upgrade: every replica is replaced, and no pod is missed; the caBundle stays', async () => {
    const [caBundle, before] = [await cluster().caBundle(), await cluster().podNames()];
    const { pods, missed } = await cluster().whileCreating(async () => {
      await cluster().helm('upgrade', release, chart, ...set('podAnnotations.round=second'));
      await until(
        'all pods are other ones',
        async () =>
          (await podsIn(cluster().api, namespace)).every(({ metadata }) => metadata?.annotations?.round),
        patience,
      );
      await cluster().ready();
    });
    assert.ok(pods > 20, `${pods}`);
    assert.equal(missed, 0, `of ${pods} pods`);
    assert.equal(await cluster().caBundle(), caBundle);
    assert.ok((await cluster().podNames()).some((name) => !before.includes(name)));
  });

  test('other settings: no pod is replaced', async () => {
    const before = await cluster().podNames();
    await cluster().helm(
      'upgrade',
      release,
      chart,
      ...set('podAnnotations.round=second', 'labels.region=eu'),
    );
    const text = await cluster().kubectl([
      'get',
      'configmap',
      webhook,
      '--namespace',
      namespace,
      '--output=yaml',
    ]);
    assert.match(text, /region: eu/);
    await cluster().ready();
    assert.deepEqual(await cluster().podNames(), before);
  });

  test('rollback: without a pod missed, and the settings are the former ones', async () => {
    const caBundle = await cluster().caBundle();
    const { pods, missed } = await cluster().whileCreating(async () => {
      await cluster().helm('rollback', release, '1');
      await until(
        'all pods are of the first round',
        async () =>
          (await podsIn(cluster().api, namespace)).every(({ metadata }) => !metadata?.annotations?.round),
        patience,
      );
      await cluster().ready();
    });
    assert.equal(missed, 0, `of ${pods} pods`);
    assert.equal(await cluster().caBundle(), caBundle);
    const text = await cluster().kubectl([
      'get',
      'configmap',
      webhook,
      '--namespace',
      namespace,
      '--output=yaml',
    ]);
    assert.doesNotMatch(text, /region/);
  });

  test('the spool goes to a volume later: it says what to delete, and then does it', async () => {
    const args = ['upgrade', release, chart, ...set('forwarder.persistence.enabled=true')] as const;
    const refused = await cluster()
      .helm(...args)
      .then(
        () => assert.fail('it was upgraded'),
        (failure: unknown) => String(failure),
      );
    const command =
      /kubectl (--namespace \S+ delete statefulset \S+ --cascade=orphan)/.exec(refused)?.[1] ?? '';
    await cluster().kubectl(command.split(' '));
    await cluster().helm(...args);
    const claims = await cluster().kubectl([
      ...['get', 'statefulset', forwarder, '--namespace', namespace],
      '--output=jsonpath={.spec.volumeClaimTemplates[*].spec.resources.requests.storage}',
    ]);
    assert.equal(claims, '3Gi');
  });

  test('uninstall leaves nothing, and pods are created as ever', async () => {
    await cluster().helm('uninstall', release);
    await until(
      'its pods have gone',
      async () => (await podsIn(cluster().api, namespace)).length === 0,
      patience,
    );
    await until('all of it has gone', async () => (await cluster().left()).length === 0).catch(async () => {
      assert.deepEqual(await cluster().left(), []);
    });
    const { missed } = await cluster().whileCreating(() => wait(200));
    assert.ok(missed > 0, 'nobody injects them');
    await cluster().stopPods();
  });

  test('installed again, it works', async () => {
    await cluster().helm('install', release, chart, ...set());
    await cluster().runPods();
    await cluster().ready();
    await until(
      'pods are injected',
      async () => (await cluster().whileCreating(() => wait(200))).missed === 0,
    );
  });

  test('a selection that somebody changed: what check says puts it right', async () => {
    const changed = [
      { op: 'replace', path: '/webhooks/0/objectSelector', value: { matchLabels: { team: 'red' } } },
    ];
    await cluster().kubectl([
      ...['patch', 'mutatingwebhookconfiguration', webhook, '--type=json'],
      `--patch=${JSON.stringify(changed)}`,
    ]);
    const line = await cluster().wrong('webhook_selection');
    assert.match(line?.why ?? '', /objectSelector is different/);
    await cluster().run(line?.fix ?? '');
    assert.equal(await cluster().wrong('webhook_selection'), undefined);
    await until('the caBundle is there again', async () => (await cluster().caBundle()) !== '');
  });

  test('helm test runs check, with rights for as long as it runs', async () => {
    // Its hub is nowhere, which would be an error.
    await cluster().helm('upgrade', release, chart, '--set', 'cluster=staging');
    await until('it is no spoke any more', async () => (await podsIn(cluster().api, namespace)).length <= 3);
    assert.match(await cluster().helm('test', release, '--timeout=80s'), /Phase: +Succeeded/);
    const bindings = await cluster().kubectl(['get', 'clusterrolebindings', '--output=name']);
    assert.doesNotMatch(bindings, /falco-federation-test/);
  });
}

if (falcoChart === '')
  console.log("LEFT OUT: Falco's own chart (FALCO_CHART names no folder); our own workloads stand for it");
// Each in a cluster of its own, so both at once.
describe('the chart, installed', { concurrency: true, skip: leftOut('control plane', 'clients') }, () => {
  for (const client of ['helm-3', 'helm-4'] as const)
    describe(client, { concurrency: false }, () => testChart(client));
});
