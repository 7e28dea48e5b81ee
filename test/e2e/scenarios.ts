/** What the API server and the controllers make of workloads in a cluster with the webhook in it. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { V1Pod } from '@kubernetes/client-node';
import jsonPatch from 'fast-json-patch';
import { injectObject } from '../../src/admission/inject-object.ts';
import { tokenPath } from '../../src/federation/names.ts';
import type { Settings } from '../../src/settings/schema.ts';
import { settingsFrom } from '../injection/pods.ts';
import { recordedReviews } from '../injection/reviews.ts';
import { upstreamFolder } from '../real/places.ts';
import { allContainers } from '../real/recorded-pods.ts';
import type { Api } from './api.ts';
import type { ControlPlane } from './control-plane.ts';
import {
  applyAndWait,
  asYaml,
  inNamespace,
  makeNamespace,
  nameOf,
  operatorWorkloads,
  optedIn,
  ownChart,
  podsIn,
  type Workloads,
  workloadsIn,
} from './created-pods.ts';
import type { Installation } from './installation.ts';
import { until } from './replica.ts';
import { startSecondWebhook } from './second-webhook.ts';

export interface Scene {
  readonly controlPlane: ControlPlane;
  readonly api: Api;
  readonly installation: Installation;
  /** The settings in force when a scenario begins and ends. */
  readonly settings: string;
}

const own = workloadsIn(ownChart, 'own-chart');
const hubSettings = 'cluster: hub\nrole: hub\n';

function allWorkloads(t: Parameters<typeof recordedReviews>[0]): readonly Workloads[] {
  if (upstreamFolder === undefined) return [own];
  const manifests = join(upstreamFolder, 'manifests');
  const charts = readdirSync(manifests)
    .filter((name) => name.endsWith('.yaml') && !name.startsWith('falco-operator'))
    .map((name) => workloadsIn(join(manifests, name), name.slice(0, -'.yaml'.length)));
  return [own, ...charts, operatorWorkloads(recordedReviews(t))];
}

const label = 'falco-federation.io/cluster';
const status = 'falco-federation.io/status';

const namesOf = (pod: V1Pod) => allContainers(pod).map(({ name }) => name);
const isFalco = (pod: V1Pod) => namesOf(pod).includes('falco');
const isInjected = ({ metadata }: V1Pod) => metadata?.annotations?.[status] !== undefined;

/** A pod as its controller asked for it, that can be created again. */
function asAsked({ metadata, spec }: V1Pod, namespace: string): V1Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: metadata?.generateName ?? `${metadata?.name}-`,
      namespace,
      ...(metadata?.labels === undefined ? {} : { labels: metadata.labels }),
      ...(metadata?.annotations === undefined ? {} : { annotations: metadata.annotations }),
    },
    ...(spec === undefined ? {} : { spec }),
  };
}

/** What counts when two pods are compared: all but names that are drawn by lot, and the namespace. */
function comparable({ metadata, spec }: V1Pod): unknown {
  const text = JSON.stringify({ labels: metadata?.labels, annotations: metadata?.annotations, spec });
  // Safe: it is the text of the line before.
  const { labels, annotations, ...rest } = JSON.parse(
    text.replaceAll(/kube-api-access-\w+/g, 'kube-api-access'),
  ) as {
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    spec?: unknown;
  };
  for (const drawn of ['pod-template-hash', 'controller-revision-hash']) delete labels?.[drawn];
  return { labels, annotations, ...rest };
}

/** Registers the tests. */
export function testScenarios(scene: () => Scene): void {
  let made = 0;

  async function newNamespace(
    labels: Readonly<Record<string, string>>,
    annotations?: Readonly<Record<string, string>>,
  ): Promise<string> {
    made += 1;
    const name = `e2e-${made}`;
    await makeNamespace(scene().api, name, labels, annotations);
    return name;
  }

  const apply = (workloads: Workloads, namespace: string) =>
    applyAndWait(scene().controlPlane, scene().api, workloads, namespace);

  /** Has every replica work by these settings, for as long as `use` runs. */
  async function withSettings(text: string, use: () => Promise<void>): Promise<void> {
    const { installation, settings } = scene();
    const swapTo = async (next: string) => {
      installation.settings.swap(next);
      const { cluster, role } = settingsFrom(next);
      const sample = `falco_federation_settings_info{cluster="${cluster}",role="${role}"}`;
      for (const replica of installation.replicas()) {
        await until(
          `${replica.name} has reread its settings`,
          async () => (await replica.metric(sample)) === 1,
        );
      }
    };
    await swapTo(text);
    try {
      await use();
    } finally {
      await swapTo(settings);
    }
  }

  /**
   * Applies the workloads to an opted-in namespace and to another. The pods in the first must be exactly what
   * `inject` makes of the pods in the second, with what the API server adds to both.
   */
  async function compare(workloads: Workloads, settings: Settings): Promise<Record<string, number>> {
    const { api } = scene();
    const [here, there] = [await newNamespace(optedIn), await newNamespace({})];
    // A node port can be had once in a cluster.
    const withoutServices = {
      ...workloads,
      objects: workloads.objects.filter(({ kind }) => kind !== 'Service'),
    };
    const [injected, plain] = [await apply(workloads, here), await apply(withoutServices, there)];
    assert.deepEqual(injected.map(nameOf), plain.map(nameOf));
    const reasons: Record<string, number> = {};
    for (const [at, before] of plain.entries()) {
      assert.equal(isInjected(before), false, 'a namespace that is not opted in');
      const asked = asAsked(before, there);
      const { reason, patch } = injectObject(asked, 'Pod', settings, undefined);
      reasons[reason.code] = (reasons[reason.code] ?? 0) + 1;
      const after = jsonPatch.applyPatch(asked, [...patch], true, false).newDocument;
      const { status: code, body } = await api.call(
        'POST',
        `/api/v1/namespaces/${there}/pods?dryRun=All`,
        after,
      );
      assert.equal(code, 201, JSON.stringify(body));
      const pod = injected[at];
      assert.ok(pod !== undefined);
      // Safe: 201 means that this is the pod.
      assert.deepEqual(comparable(pod), comparable(body as V1Pod), nameOf(pod));
    }
    return reasons;
  }

  describe('pods that the controllers create', () => {
    test('are what inject makes of them, in every chart', async (t) => {
      const { settings } = scene();
      const parsed = settingsFrom(settings);
      for (const workloads of allWorkloads(t).filter(({ name }) => !name.endsWith('-hub'))) {
        await t.test(workloads.name, async () => {
          const reasons = await compare(workloads, parsed);
          console.log(workloads.name.padEnd(30), JSON.stringify(reasons));
          assert.ok((reasons.injected ?? 0) > 0, 'some pod was injected');
          assert.equal(reasons.internal_error, undefined);
        });
      }
    });

    test('are what inject makes of them on a hub', async (t) => {
      const hub = allWorkloads(t).find(({ name }) => name.endsWith('-hub')) ?? own;
      await withSettings(hubSettings, async () => {
        const reasons = await compare(hub, settingsFrom(hubSettings));
        console.log(`${hub.name} (hub)`.padEnd(30), JSON.stringify(reasons));
      });
    });
  });

  test("a pod that opts out by the chart's podLabels stays as it is, the rest of the namespace does not", async () => {
    // A spoke's falcosidekick is left alone anyway.
    await withSettings(hubSettings, async () => {
      const pods = await apply(sidekickOptedOut(), await newNamespace(optedIn));
      assert.equal(pods.length, 3);
      for (const pod of pods) assert.equal(isInjected(pod), isFalco(pod), nameOf(pod));
    });
  });

  test("a namespace's annotations override the settings, and changes are followed without a restart", async () => {
    const { api, controlPlane } = scene();
    const namespace = await newNamespace(optedIn, { 'falco-federation.io/cluster': 'annotated' });
    const probe = asAsked((await apply(own, namespace))[0] ?? assert.fail('no pod'), namespace);
    const clusters = async () => {
      const seen = new Set<string | undefined>();
      for (let at = 0; at < 6; at += 1) {
        const { body } = await api.call('POST', `/api/v1/namespaces/${namespace}/pods?dryRun=All`, {
          ...probe,
          metadata: { generateName: 'probe-' },
          spec: { containers: [{ name: 'falco', image: 'falco:0.44.1', args: ['/usr/bin/falco'] }] },
        });
        // Safe: what is no pod has no label, and the assertion fails.
        seen.add((body as V1Pod).metadata?.labels?.[label]);
      }
      return [...seen];
    };
    await until('it is known', async () => `${await clusters()}` === 'annotated', 5_000);
    await controlPlane.kubectl([
      ...['annotate', '--overwrite', 'namespace', namespace],
      'falco-federation.io/cluster=changed',
    ]);
    const took = await until('the change is known', async () => `${await clusters()}` === 'changed', 5_000);
    console.log(`a namespace's annotation counts after ${Math.round(took)} ms`);
  });

  test('kubectl apply --dry-run=server shows the injection and keeps nothing', async () => {
    const { controlPlane, api } = scene();
    const namespace = await newNamespace(optedIn);
    const pod = JSON.stringify({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'falco', namespace },
      spec: { containers: [{ name: 'falco', image: 'falco:0.44.1', args: ['/usr/bin/falco'] }] },
    });
    const shown = await controlPlane.kubectl(['apply', '--dry-run=server', '--output=json', '-f', '-'], pod);
    // Safe: --output=json prints the pod.
    assert.ok(isInjected(JSON.parse(shown) as V1Pod));
    assert.deepEqual(await podsIn(api, namespace), []);
  });

  test('another webhook that puts a container and a volume in front: both are in, each once', async () => {
    const { api } = scene();
    const namespace = await newNamespace(optedIn);
    const second = await startSecondWebhook(namespace);
    const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
    try {
      assert.equal((await api.call('POST', path, second.configuration)).status, 201);
      // The API server hears of a configuration a moment after it was created.
      await until('it is called', async () => {
        await api.call('POST', `/api/v1/namespaces/${namespace}/pods?dryRun=All`, {
          metadata: { generateName: 'probe-' },
          spec: { containers: [{ name: 'web', image: 'web:1' }] },
        });
        return second.calls() > 0;
      });
      for (const pod of await apply(own, namespace)) {
        assert.equal(isInjected(pod), isFalco(pod), nameOf(pod));
        const names = namesOf(pod);
        assert.ok(names.includes('mesh-proxy'));
        assert.equal(new Set(names).size, names.length, names.join(' '));
        const volumes = (pod.spec?.volumes ?? []).map(({ name }) => name);
        assert.equal(new Set(volumes).size, volumes.length, volumes.join(' '));
        for (const container of allContainers(pod)) {
          const paths = (container.volumeMounts ?? []).map(({ mountPath }) => mountPath);
          assert.equal(new Set(paths).size, paths.length, `${container.name}: ${paths.join(' ')}`);
        }
      }
    } finally {
      await api.call('DELETE', `${path}/mesh-proxy-injector`);
      await second.close();
    }
  });

  test('PodSecurity restricted admits what is injected; privileged namespaces take Falco as it is', async () => {
    const enforce = (level: string) => ({ ...optedIn, 'pod-security.kubernetes.io/enforce': level });
    const { api } = scene();
    const restricted = await newNamespace(enforce('restricted'));
    const { status: code, body } = await api.call('POST', `/api/v1/namespaces/${restricted}/pods`, {
      metadata: { name: 'falco-without-a-driver' },
      spec: {
        securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
        volumes: [{ name: 'rules', emptyDir: {} }],
        initContainers: [restrictedContainer('falcoctl-artifact-install', 'falcoctl:0.13.0', '/rulesfiles')],
        containers: [
          {
            ...restrictedContainer('falco', 'falco:0.44.1', '/etc/falco'),
            args: ['/usr/bin/falco', '--disable-source', 'syscall'],
          },
          restrictedContainer('falcoctl-artifact-follow', 'falcoctl:0.13.0', '/rulesfiles'),
        ],
      },
    });
    assert.equal(code, 201, JSON.stringify(body));
    // Safe: 201 means that this is the pod.
    const names = namesOf(body as V1Pod);
    assert.ok(names.includes('falco-federation-tag-rules'), names.join(' '));
    assert.ok(names.includes('falco-federation-follow-rules'), names.join(' '));

    const privileged = await newNamespace(enforce('privileged'));
    for (const pod of await apply(own, privileged)) assert.equal(isInjected(pod), isFalco(pod), nameOf(pod));
  });

  test('a LimitRange and a ResourceQuota: what is injected has requests and limits, within both', async () => {
    const { api } = scene();
    const namespace = await newNamespace(optedIn);
    const base = `/api/v1/namespaces/${namespace}`;
    await api.call('POST', `${base}/limitranges`, {
      metadata: { name: 'defaults' },
      spec: {
        limits: [
          {
            type: 'Container',
            default: { cpu: '1', memory: '512Mi' },
            defaultRequest: { cpu: '50m', memory: '64Mi' },
            max: { cpu: '1', memory: '512Mi' },
          },
        ],
      },
    });
    const hard = {
      'limits.cpu': '20',
      'limits.memory': '8Gi',
      'requests.cpu': '4',
      'requests.memory': '4Gi',
    };
    await api.call('POST', `${base}/resourcequotas`, { metadata: { name: 'all' }, spec: { hard } });
    for (const pod of await apply(own, namespace)) {
      assert.equal(isInjected(pod), isFalco(pod), nameOf(pod));
      for (const { name, resources } of allContainers(pod)) {
        for (const kind of ['cpu', 'memory']) {
          assert.ok(
            resources?.requests?.[kind] && resources.limits?.[kind],
            `${nameOf(pod)} ${name} ${kind}`,
          );
        }
      }
    }
  });

  test('resources of the pod as a whole that its own containers need: ours take part in them', async () => {
    const namespace = await newNamespace(optedIn);
    const resources = { requests: { cpu: '100m', memory: '128Mi' }, limits: { cpu: '1', memory: '256Mi' } };
    const falco = { name: 'falco', image: 'falcosecurity/falco:0.44.1', args: ['/usr/bin/falco'], resources };
    const { status, body } = await scene().api.call('POST', `/api/v1/namespaces/${namespace}/pods`, {
      metadata: { name: 'falco' },
      spec: { resources, containers: [falco] },
    });
    assert.equal(status, 201, JSON.stringify(body));
    // Safe: a pod was created.
    const pod = body as V1Pod;
    assert.ok(isInjected(pod) && pod.spec?.resources?.requests?.cpu === '100m');
  });

  test('server-side apply twice: the workload does not change, and kubectl diff is silent', async () => {
    const { controlPlane, api } = scene();
    const namespace = await newNamespace(optedIn);
    await apply(own, namespace);
    const daemonSet = async () => {
      const { body } = await api.call('GET', `/apis/apps/v1/namespaces/${namespace}/daemonsets/falco`);
      // Safe: it was applied a line before.
      const { metadata, spec } = body as { metadata: { generation: number }; spec: unknown };
      return { generation: metadata.generation, spec };
    };
    const before = await daemonSet();
    const text = asYaml(inNamespace(own, namespace));
    await controlPlane.kubectl(['apply', '--server-side', '-f', '-'], text);
    assert.deepEqual(await daemonSet(), before);
    assert.equal(await controlPlane.kubectl(['diff', '--server-side', '-f', '-'], text), '');
  });

  test('each pod is sent once: nothing that others must complete is in what we add (FACTS 4.15)', async () => {
    const { api, controlPlane, installation } = scene();
    const saidBefore = controlPlane.apiServerLog().length;
    const namespace = await newNamespace(optedIn);
    const pods = await apply(own, namespace);
    const calls = decisionsIn(installation, namespace);
    console.log(`${pods.length} pods were sent ${calls} times`);
    assert.equal(calls, pods.length);
    const falco = pods.find(isFalco);
    const tokens = allContainers(falco ?? assert.fail('no Falco')).map(({ name, volumeMounts }) => [
      name,
      volumeMounts?.find(({ mountPath }) => mountPath === tokenPath)?.name.replace(/-\w+$/, ''),
    ]);
    assert.deepEqual(Object.fromEntries(tokens), {
      'falcoctl-artifact-install': 'kube-api-access',
      'falco-federation-tag-rules': 'falco-federation-no',
      falco: 'kube-api-access',
      'falcoctl-artifact-follow': 'kube-api-access',
      'falco-federation-follow-rules': 'falco-federation-no',
      'falco-federation-ship-alerts': 'falco-federation-no',
    });
    // Rules in Falco's image: the containers that copy them are ours too.
    const inImage = {
      metadata: { name: 'falco-alone' },
      spec: { containers: [{ name: 'falco', image: 'falco:0.44.1', args: ['/usr/bin/falco'] }] },
    };
    assert.equal((await api.call('POST', `/api/v1/namespaces/${namespace}/pods`, inImage)).status, 201);
    assert.equal(decisionsIn(installation, namespace), calls + 1);
    // A second answer about the same pod has another reason in its audit annotations.
    const said = controlPlane.apiServerLog().slice(saidBefore);
    assert.doesNotMatch(said, /Failed to set admission audit annotation inject\.falco-federation\.io/);
  });

  test('pods that are neither Falco nor falcosidekick never reach the webhook', async () => {
    const { api, installation } = scene();
    const namespace = await newNamespace(optedIn);
    const decided = () =>
      installation
        .replicas()
        .reduce((sum, { log }) => sum + log.filter(({ msg }) => msg === 'decision').length, 0);
    const before = decided();
    const { status: code } = await api.call('POST', `/api/v1/namespaces/${namespace}/pods`, {
      metadata: { name: 'web' },
      spec: { containers: [{ name: 'web', image: 'web:1' }] },
    });
    assert.equal(code, 201);
    assert.equal(decided(), before);
  });
}

/** How many pods of a namespace the replicas were asked about. */
function decisionsIn(installation: Installation, namespace: string): number {
  return installation
    .replicas()
    .flatMap(({ log }) => log)
    .filter((line) => line.msg === 'decision' && line.namespace === namespace && line.kind === 'Pod').length;
}

/** Our own chart with `podLabels` on falcosidekick. */
function sidekickOptedOut(): Workloads {
  const label = '"falco-federation.io/inject":"disabled"';
  const text = JSON.stringify(own.objects).replace(
    '"template":{"metadata":{"labels":{"app.kubernetes.io/name":"falcosidekick"',
    `$&,${label}`,
  );
  assert.ok(text.includes(label));
  // Safe: what it was, and one label.
  return { ...own, objects: JSON.parse(text) as Workloads['objects'] };
}

function restrictedContainer(name: string, image: string, mountPath: string) {
  return {
    name,
    image,
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
    volumeMounts: [{ name: 'rules', mountPath }],
  };
}
