/**
 * The manifests against the real API server: every overlay is accepted as it is, is no drift when it is applied again,
 * and makes its pods; and what the webhook configuration lets out of the API server.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { V1Container, V1Pod, V1PodSpec } from '@kubernetes/client-node';
import fc from 'fast-check';
import { parseAllDocuments } from 'yaml';
import { findFalco } from '../../src/injection/falco/find-falco.ts';
import { findFalcosidekick } from '../../src/injection/falcosidekick/find-falcosidekick.ts';
import { snippetsIn } from '../docs/pages.ts';
import { generatedPods, recognisedPods } from '../injection/recognised.ts';
import { manifests } from '../manifests/files.ts';
import { root } from '../real/places.ts';
import { rounds } from '../rounds.ts';
import { type Api, api as apiOf } from './api.ts';
import { type ReviewRecorder, startReviewRecorder } from './control-plane/review-recorder.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { makeNamespace, nameOf, optedIn, podsIn } from './created-pods.ts';
import { checkHubGuide } from './hub-guide.ts';
import { leftOut } from './needs.ts';
import { until } from './replica.ts';

const name = 'falco-federation-webhook';
const namespace = 'falco-federation';

const ownFolder = join(root, '.cache', 'e2e-manifests');

const overlays = ['base', 'overlays/spoke', 'overlays/hub', 'overlays/cert-manager', 'overlays/host-network'];

/** All of them at once, in a kustomization as users have one (manifests/README.md). */
const combination = {
  resources: ['overlays/spoke'],
  components: [
    'components/cert-manager',
    'components/host-network',
    'components/workloads',
    'components/forwarder-volume-claim',
    'components/no-coverage',
    'components/aks',
    'components/openshift',
  ],
};

/** What does not go together with the others. */
const port10250 = {
  resources: ['overlays/spoke'],
  components: ['components/port-10250'],
};

interface LiveObject {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly resourceVersion: string;
    readonly managedFields: readonly unknown[];
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

/** What kubectl writes where it applies by itself, without the server. */
const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

interface LiveState {
  readonly content: unknown;
  readonly written: unknown;
}

/** Writes the kustomization to a folder of its own; kustomize reaches the components by relative paths only. */
function combined(folder: string, { resources, components } = combination): string {
  mkdirSync(folder, { recursive: true });
  const at = realpathSync(mkdtempSync(join(folder, 'combination-')));
  const paths = (list: readonly string[]) => list.map((one) => relative(at, join(manifests, one)));
  writeFileSync(
    join(at, 'kustomization.yaml'),
    JSON.stringify({
      resources: paths(resources),
      components: paths(components),
      configMapGenerator: [
        {
          ...{ name, namespace, behavior: 'replace', files: ['federation.yaml'] },
          options: { disableNameSuffixHash: true },
        },
      ],
      images: [{ name, newName: 'registry.example/mirror/webhook', newTag: 'other' }],
    }),
  );
  writeFileSync(join(at, 'federation.yaml'), 'cluster: mine\ninjectAt: workload\n');
  return at;
}

/** Each object now: what it is, and its version with who set what in it. */
async function live({ kubectl }: ControlPlane, rendered: string): Promise<Record<string, LiveState>> {
  const said = await kubectl(['get', '-f', '-', '-o', 'json', '--show-managed-fields'], rendered);
  // Safe: several objects are what was asked for.
  const { items } = JSON.parse(said) as { items: readonly LiveObject[] };
  return Object.fromEntries(
    items.map(({ kind, metadata, ...content }) => {
      const { resourceVersion, managedFields, annotations, ...rest } = metadata;
      const { [lastApplied]: _, ...ours } = annotations ?? {};
      return [
        `${kind}/${metadata.name}`,
        { content: { ...content, ...rest, annotations: ours }, written: { resourceVersion, managedFields } },
      ];
    }),
  );
}

/** Waits until the controllers have nothing more to write to them. */
async function settled(controlPlane: ControlPlane, rendered: string): Promise<Record<string, LiveState>> {
  let last: Record<string, LiveState> = {};
  await until('the objects stay as they are', async () => {
    const now = await live(controlPlane, rendered);
    const isSame = isDeepStrictEqual(now, last);
    last = now;
    return isSame;
  });
  return last;
}

/** Applies it. @returns what kubectl says of each object */
async function applied(
  controlPlane: ControlPlane,
  folder: string,
  ...flags: readonly string[]
): Promise<readonly string[]> {
  const { status, stdout, stderr } = await controlPlane.tryKubectl(['apply', ...flags, '-k', folder]);
  assert.equal(status, 0, stderr);
  // A warning is PodSecurity's or a deprecation.
  assert.equal(stderr.replaceAll(/^.*last-applied-configuration.*\n?/gm, ''), '');
  return stdout.trim().split('\n');
}

async function removed(controlPlane: ControlPlane, rendered: string): Promise<void> {
  await controlPlane.kubectl(['delete', '--ignore-not-found', '--timeout=50s', '-f', '-'], rendered);
}

interface Rendered {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec?: { readonly replicas?: number };
}

function renderedObjects(rendered: string): readonly Rendered[] {
  // Safe: kustomize writes objects.
  return parseAllDocuments(rendered).map((document) => document.toJS() as Rendered);
}

/** Names of the workloads, once for each of their pods. */
function expectedOwners(rendered: string): readonly string[] {
  return renderedObjects(rendered).flatMap(({ kind, metadata, spec }) => {
    if (kind !== 'Deployment' && kind !== 'StatefulSet') return [];
    return Array.from({ length: spec?.replicas ?? 1 }, () => metadata.name);
  });
}

async function owners(api: Api): Promise<readonly string[]> {
  const pods = await podsIn(api, namespace);
  return pods.map((pod) => nameOf(pod).replace(/^.*\//, '')).toSorted();
}

/** Ways of applying, one after the other. */
const orders = {
  'first by the server': ['server', 'server', 'client', 'client', 'server'],
  'first by the client': ['client', 'client', 'server', 'server', 'client'],
} as const;

/** What kubectl calls configured though it is as it was: it always sends a budget's selector, as one to be replaced. */
const alwaysSent = 'poddisruptionbudget.policy/';

/** How often an object was written is no part of what it is. */
function withoutGenerations(state: Record<string, LiveState>): unknown {
  const content = Object.entries(state).map(([of, one]) => [of, one.content]);
  return JSON.parse(JSON.stringify(content), (key, value) =>
    ['generation', 'observedGeneration'].includes(key) ? undefined : value,
  );
}

function checkOverlay(
  of: string,
  folderOf: () => string,
  cluster: () => { controlPlane: ControlPlane; api: Api },
): void {
  for (const [about, order] of Object.entries(orders)) {
    test(`${of}, applied ${about}: is accepted, makes its pods, and is no drift when applied again`, async () => {
      const { controlPlane, api } = cluster();
      const folder = folderOf();
      const rendered = await controlPlane.kubectl(['kustomize', folder]);
      const expected = expectedOwners(rendered).toSorted();
      const apply = (way: (typeof order)[number]) =>
        applied(controlPlane, folder, ...(way === 'server' ? ['--server-side'] : []));
      try {
        for (const [at, way] of order.entries()) {
          if (at === 0) {
            await apply(way);
            await until(`the pods of ${expected.join(', ')} are there`, async () =>
              isDeepStrictEqual(await owners(api), expected),
            );
            continue;
          }
          const before = await settled(controlPlane, rendered);
          const said = await apply(way);
          const now = await live(controlPlane, rendered);
          if (order[at - 1] === way) {
            assert.deepEqual(now, before);
            const changed = said.filter((line) => !/ (unchanged|serverside-applied)$/.test(line));
            assert.deepEqual(
              changed.filter((line) => !line.startsWith(alwaysSent)),
              [],
            );
          } else {
            // The other way writes its own record of who applied what, and nothing else.
            assert.deepEqual(withoutGenerations(now), withoutGenerations(before));
          }
        }
        assert.deepEqual(await owners(api), expected);
      } finally {
        await removed(controlPlane, rendered);
      }
    });
  }
}

/** The kinds whose templates `components/workloads` sends. */
const workloadKinds = { DaemonSet: 'daemonsets', Deployment: 'deployments', StatefulSet: 'statefulsets' };

/** Of any of these kinds; a field that one does not know is left out by the API server, with a warning. */
function workloadSpec(containers: readonly V1Container[]) {
  const labels = { app: 'x' };
  return {
    selector: { matchLabels: labels },
    serviceName: 'x',
    template: { metadata: { labels }, spec: { containers } },
  };
}

/** What the program makes of a pod: whether it is any business of ours. */
function isOurs(spec: V1PodSpec): boolean {
  return findFalco(spec) !== undefined || findFalcosidekick(spec) !== undefined;
}

function checkWhatReachesTheWebhook(
  cluster: () => { controlPlane: ControlPlane; api: Api; folder: string },
): void {
  let started: ReviewRecorder | undefined;
  const recorder = (): ReviewRecorder => started ?? assert.fail('the recorder was not started');
  let made = 0;

  /** Creates a pod as a dry run; what the API server says, and whether the webhook was asked. */
  async function admit(spec: unknown, { into = 'reach', labels = {} } = {}) {
    made += 1;
    const { status, body } = await cluster().api.call('POST', `/api/v1/namespaces/${into}/pods?dryRun=All`, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `pod-${made}`, labels },
      spec,
    });
    const reached = recorder().take();
    assert.ok(reached.every((one) => one === `Pod pod-${made}`) && reached.length <= 1, reached.join());
    return { status, said: JSON.stringify(body), reached: reached.length === 1 };
  }

  async function configure(patch: unknown): Promise<void> {
    await cluster().controlPlane.kubectl([
      ...[
        'patch',
        'mutatingwebhookconfiguration',
        name,
        '--type=strategic',
        '--patch',
        JSON.stringify(patch),
      ],
    ]);
  }

  before(async () => {
    const { controlPlane, api, folder } = cluster();
    await controlPlane.kubectl(['apply', '--server-side', '-k', folder]);
    const { body } = await api.call('GET', `/api/v1/namespaces/${namespace}/services/${name}`);
    // Safe: it was applied a line before.
    const { clusterIP } = (body as { spec: { clusterIP: string } }).spec;
    started = await startReviewRecorder(`${name}.${namespace}.svc`, clusterIP, 443);
    // With Ignore an error in a condition would look like a pod that does not match.
    const webhooks = ['inject.falco-federation.io', 'inject-workloads.falco-federation.io'].map((of) => ({
      name: of,
      failurePolicy: 'Fail',
      clientConfig: { caBundle: Buffer.from(recorder().ca).toString('base64') },
    }));
    await configure({ webhooks });
    for (const [of, labels] of [
      ['reach', optedIn],
      ['reach-plain', {}],
    ] as const) {
      await makeNamespace(api, of, labels);
      await until(`${of} takes pods`, async () => {
        return (await controlPlane.tryKubectl(['get', 'serviceaccount', 'default', '-n', of])).status === 0;
      });
    }
    const spec = { containers: [{ name: 'falco', image: 'falco' }] };
    // The API server hears of a new configuration a moment later.
    await until('the webhook is called', async () => (await admit(spec)).reached);
  });
  after(async () => {
    started?.close();
    const { controlPlane, folder } = cluster();
    await removed(controlPlane, await controlPlane.kubectl(['kustomize', folder]));
    await controlPlane.kubectl(['delete', 'namespace', 'reach', 'reach-plain', '--ignore-not-found']);
  });

  for (const { about, containers, is } of recognisedPods) {
    test(`${about}: ${is === 'nothing' ? 'does not reach' : 'reaches'} the webhook`, async () => {
      const { status, said, reached } = await admit({ containers });
      // A container without an image is refused, after the webhook was asked.
      assert.equal(status, containers.every(({ image }) => image) ? 201 : 422, said);
      assert.equal(reached, is !== 'nothing');
    });
  }

  test('what is absent is no error', async () => {
    for (const spec of [{}, { containers: null }, { containers: [] }, { containers: [{}] }, undefined]) {
      const { status, said } = await admit(spec);
      assert.equal(status, 422, said);
      assert.match(said, /Required value/);
      assert.doesNotMatch(said, /webhook|expression/);
    }
  });

  test('a pod reaches it if, and only if, the program takes it for Falco or falcosidekick', async () => {
    let ours = 0;
    let others = 0;
    await fc.assert(
      fc.asyncProperty(generatedPods, async (spec) => {
        const { status, said, reached } = await admit(spec);
        assert.equal(status, 201, said);
        if (isOurs(spec)) ours += 1;
        else others += 1;
        assert.equal(reached, isOurs(spec), JSON.stringify(spec));
      }),
      rounds(400),
    );
    assert.ok(ours > 50 && others > 50, `${ours} were Falco or falcosidekick, ${others} were not`);
  });

  test('a pod as large as there are does not use up what conditions may cost', async () => {
    const containers = Array.from({ length: 50 }, (_, at) => ({
      name: `app-${at}`,
      image: `registry.example/${'team/'.repeat(20)}app:${'1'.repeat(100)}`,
      command: Array.from({ length: 10 }, () => '/usr/bin/program'.padEnd(100, 'x')),
      args: Array.from({ length: 100 }, () => '--flag='.padEnd(150, 'x')),
    }));
    // Ten of them make the API server read all their words as a command, and in vain.
    for (const container of containers.slice(0, 10)) container.args.push('/etc/falco');
    const { status, said, reached } = await admit({
      containers: [...containers, { name: 'falco', image: 'b' }],
    });
    assert.equal(status, 201, said.slice(0, 500));
    assert.ok(reached);
  });

  test('no other namespace and no pod that opted out reaches it', async () => {
    const { controlPlane } = cluster();
    const spec = {
      securityContext: { runAsNonRoot: true, runAsUser: 1, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'falco',
          image: 'falco:0.44.1',
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        },
      ],
    };
    assert.equal(
      (await admit(spec, { labels: { 'falco-federation.io/inject': 'disabled' } })).reached,
      false,
    );
    assert.equal((await admit(spec, { labels: { 'falco-federation.io/inject': 'enabled' } })).reached, true);
    for (const into of ['reach-plain', 'kube-system', namespace]) {
      const before = await admit(spec, { into });
      assert.deepEqual([before.status, before.reached], [201, false], before.said);
    }
    // Even with the label: the cluster's own pods and the webhook's must start without it.
    for (const into of ['kube-system', namespace]) {
      await controlPlane.kubectl(['label', 'namespace', into, 'falco-federation.io/inject=enabled']);
    }
    await controlPlane.kubectl(['label', 'namespace', 'reach-plain', 'falco-federation.io/inject=enabled']);
    await until('the label counts', async () => (await admit(spec, { into: 'reach-plain' })).reached);
    for (const into of ['kube-system', namespace]) {
      const labelled = await admit(spec, { into });
      assert.deepEqual([labelled.status, labelled.reached], [201, false], labelled.said);
      await controlPlane.kubectl(['label', 'namespace', into, 'falco-federation.io/inject-']);
    }
  });

  for (const [kind, resource] of Object.entries(workloadKinds)) {
    test(`templates of ${kind}s reach it as pods do`, async () => {
      for (const [at, { about, containers, is }] of recognisedPods.entries()) {
        const { status, body } = await cluster().api.call(
          'POST',
          `/apis/apps/v1/namespaces/reach/${resource}?dryRun=All`,
          { apiVersion: 'apps/v1', kind, metadata: { name: `w-${at}` }, spec: workloadSpec(containers) },
        );
        assert.equal(status, containers.every(({ image }) => image) ? 201 : 422, JSON.stringify(body));
        assert.deepEqual(recorder().take(), is === 'nothing' ? [] : [`${kind} w-${at}`], about);
      }
    });
  }

  test('Jobs, CronJobs and ReplicaSets do not: their pods do', async () => {
    const containers = [{ name: 'falco', image: 'falcosecurity/falco:0.44.1', args: ['/usr/bin/falco'] }];
    const template = { spec: { containers, restartPolicy: 'Never' } };
    const { selector, template: labelled } = workloadSpec(containers);
    const kinds = [
      ['apps', 'ReplicaSet', 'replicasets', { selector, template: labelled }],
      ['batch', 'Job', 'jobs', { template }],
      ['batch', 'CronJob', 'cronjobs', { schedule: '0 4 * * *', jobTemplate: { spec: { template } } }],
    ] as const;
    for (const [group, kind, resource, spec] of kinds) {
      const { status, body } = await cluster().api.call(
        'POST',
        `/apis/${group}/v1/namespaces/reach/${resource}?dryRun=All`,
        { apiVersion: `${group}/v1`, kind, metadata: { name: 'falco' }, spec },
      );
      assert.equal(status, 201, JSON.stringify(body));
      assert.deepEqual(recorder().take(), []);
    }
    assert.equal((await admit(template.spec)).reached, true);
  });

  test('a caBundle that was published stays when the manifests are applied again', async () => {
    const { controlPlane, folder } = cluster();
    const bundles = async (): Promise<unknown[]> => {
      const said = await controlPlane.kubectl(['get', 'mutatingwebhookconfiguration', name, '-o', 'json']);
      // Safe: it was asked for by name.
      const { webhooks } = JSON.parse(said) as { webhooks: { clientConfig: { caBundle?: string } }[] };
      return webhooks.map(({ clientConfig }) => clientConfig.caBundle);
    };
    const published = Buffer.from(recorder().ca).toString('base64');
    assert.deepEqual(await bundles(), [published, published]);
    // The failure policy is the manifests' to set, and they set it back.
    await applied(controlPlane, folder, '--server-side', '--force-conflicts');
    assert.deepEqual(await bundles(), [published, published]);
    await applied(controlPlane, folder);
    assert.deepEqual(await bundles(), [published, published]);
  });
}

describe('the manifests', { skip: leftOut('control plane') }, () => {
  let started: { controlPlane: ControlPlane; api: Api; folder: string; port10250: string } | undefined;
  const cluster = () => started ?? assert.fail('the control plane was not started');
  const controlPlane = (): ControlPlane => cluster().controlPlane;

  before(async () => {
    const running = await startControlPlane(join(ownFolder, 'control-plane'));
    started = {
      controlPlane: running,
      api: apiOf(running),
      folder: combined(ownFolder),
      port10250: combined(ownFolder, port10250),
    };
    const kinds = join(import.meta.dirname, 'control-plane', 'cert-manager-kinds.yaml');
    await controlPlane().kubectl(['apply', '-f', kinds]);
    await controlPlane().kubectl(['wait', '--for=condition=Established', '--timeout=30s', '-f', kinds]);
  });
  after(async () => {
    started?.api.close();
    await started?.controlPlane.stop();
    for (const folder of [started?.folder, started?.port10250]) {
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    }
  });

  for (const of of overlays) checkOverlay(of, () => join(manifests, of), cluster);
  checkOverlay('all of them at once', () => cluster().folder, cluster);
  checkOverlay('port-10250', () => cluster().port10250, cluster);

  test('a kustomization of the user has the last word', async () => {
    const rendered = await controlPlane().kubectl(['kustomize', cluster().folder]);
    assert.match(rendered, /^ {4}cluster: mine$/m);
    assert.doesNotMatch(rendered, /cluster: change-me/);
    assert.match(rendered, /image: registry\.example\/mirror\/webhook:other$/m);
    const kinds = renderedObjects(rendered).filter(({ metadata }) => metadata.name === name);
    assert.deepEqual(
      kinds.map(({ kind }) => kind).filter((kind) => ['Role', 'RoleBinding', 'NetworkPolicy'].includes(kind)),
      ['Role', 'RoleBinding'],
    );
    assert.doesNotMatch(rendered, /image: falco-federation-webhook/);
    assert.doesNotMatch(rendered, /falco-federation-webhook-coverage/);
  });

  test("the forwarder's pods are as PodSecurity `restricted` wants them, without a token", async () => {
    const folder = join(manifests, 'overlays/spoke');
    const rendered = await controlPlane().kubectl(['kustomize', folder]);
    try {
      await applied(controlPlane(), folder, '--server-side');
      let pods: readonly V1Pod[] = [];
      await until('the two pods are there', async () => {
        pods = (await podsIn(cluster().api, namespace)).filter(
          (pod) => nameOf(pod) === 'StatefulSet/falco-federation-forwarder',
        );
        return pods.length === 2;
      });
      assert.deepEqual(pods.map(({ metadata }) => metadata?.name).toSorted(), [
        'falco-federation-forwarder-0',
        'falco-federation-forwarder-1',
      ]);
      const said = await controlPlane().kubectl(['get', 'namespace', namespace, '-o', 'json']);
      assert.match(said, /"pod-security\.kubernetes\.io\/enforce": "restricted"/);
      for (const { spec } of pods) {
        assert.deepEqual(spec?.volumes?.map((volume) => volume.name).toSorted(), [
          'credentials',
          'settings',
          'spool',
        ]);
        assert.equal(spec?.containers.length, 1);
      }
    } finally {
      await removed(controlPlane(), rendered);
    }
  });

  test('the patches of manifests/README.md do what they say', async () => {
    const patches = snippetsIn('manifests/README.md', 'yaml').filter((block) => /^patches:/m.test(block));
    assert.equal(patches.length, 1);
    const at = realpathSync(mkdtempSync(join(ownFolder, 'patched-')));
    try {
      const written = patches.join('').replaceAll('../manifests', relative(at, manifests));
      const resources = `resources: [${relative(at, join(manifests, 'overlays/spoke'))}]\n`;
      writeFileSync(join(at, 'kustomization.yaml'), resources + written);
      const rendered = await controlPlane().kubectl(['kustomize', at]);
      for (const part of [
        /^ {2}- ports:\n {4}- port: 8443$/m,
        /^ {8}- name: HTTPS_PROXY\n {10}value: http:\/\/proxy\.example:3128$/m,
        /^ {2}ingress:\n {2}- from:\n(?: {4}.*\n)+ {4}- ipBlock:\n {8}cidr: 10\.0\.0\.0\/16$/m,
        /^ {2}volumeClaimTemplates:$/m,
      ])
        assert.match(rendered, part);
      await applied(controlPlane(), at, '--server-side');
      await removed(controlPlane(), rendered);
    } finally {
      rmSync(at, { recursive: true });
    }
  });
  describe('what reaches the webhook', () => checkWhatReachesTheWebhook(cluster));
  describe('the hub guide', () => checkHubGuide(controlPlane));
});
