/** Remedies that fit who reads them, and lines that are not too many. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { remedyFor } from '../../src/checks/causes.ts';
import type { Check } from '../../src/checks/check.ts';
import { dryRun } from '../../src/checks/dry-run.ts';
import { configurationCommand, installCommand } from '../../src/checks/install-command.ts';
import { ok, warning } from '../../src/checks/line.ts';
import { optingIn } from '../../src/checks/opting-in.ts';
import { pods } from '../../src/checks/pods.ts';
import { groupText } from '../../src/checks/render.ts';
import { runChecks } from '../../src/checks/run-checks.ts';
import { webhookConfiguration } from '../../src/checks/webhook-configuration.ts';
import { webhookPermissions } from '../../src/checks/webhook-permissions.ts';
import { ClusterError } from '../../src/cluster/index.ts';
import { type Pretended, podNamed, pretendCluster } from './pretend-cluster.ts';

const spoke = 'cluster: staging\nhub: {address: "https://hub.corp.net"}\n';

async function told(check: Check, cluster: Partial<Pretended>): Promise<readonly string[]> {
  const lines = await check.look(pretendCluster({ settings: spoke, ...cluster }));
  return lines.map(({ mark, text, why }) => [mark, text, why].filter(Boolean).join(' | '));
}

const deployment = (metadata: object = {}) => ({
  metadata: { name: 'falco-federation-webhook', namespace: 'falco-federation', ...metadata },
  spec: { template: { spec: { containers: [{ name: 'webhook' }], serviceAccountName: 'its-account' } } },
});
const webhookPod = {
  metadata: { name: 'falco-federation-webhook-a' },
  spec: { containers: [{ name: 'webhook', args: ['--tls-secret=its-secret'] }] },
};

describe('one command, by what we were installed with', () => {
  const installed = (labels: Record<string, string>) =>
    pretendCluster({
      settings: 'cluster: a\nrole: hub\n',
      workloads: {
        Deployment: [deployment({ labels, annotations: { 'meta.helm.sh/release-name': 'theirs' } })],
      },
    }).installed();

  test('Helm', async () => {
    const by = await installed({ 'app.kubernetes.io/managed-by': 'Helm' });
    assert.match(installCommand(by), /^helm upgrade theirs manifests\/chart --namespace falco-federation /);
    assert.match(
      configurationCommand(by, 'it'),
      /^kubectl delete mutatingwebhookconfiguration it && helm upgrade/,
    );
  });

  test('kustomize, of its role', async () => {
    const by = await installed({});
    assert.match(installCommand(by), /^kubectl apply --server-side .* -k manifests\/overlays\/hub /);
    assert.equal(configurationCommand(by, 'it'), installCommand(by));
  });
});

describe('who refused a pod', () => {
  for (const [message, fix] of [
    ['exceeded quota: small', /describe resourcequota/],
    [
      'violates PodSecurity "baseline:latest"',
      /enforce=privileged +# Falco's pods are privileged by design$/,
    ],
    ['maximum memory usage per Container is 64Mi', /describe limitrange/],
    ['unable to create new content in namespace falco because it is being terminated', /get namespace falco/],
    ['User "x" cannot create resource "pods" in API group ""', /auth can-i create pods --namespace falco/],
    ['admission webhook "x" denied the request: no', /get validatingwebhookconfigurations/],
    ['something else', /get events/],
  ] as const) {
    test(message, async () => {
      assert.match(remedyFor(message, 'falco'), fix);
      const view = pretendCluster({
        settings: spoke,
        dryRun: async () => {
          const request = { verb: 'create', resource: { url: '/' } } as const;
          const connection = { server: '', namespace: undefined, access: async () => ({}) };
          throw new ClusterError(connection, request, message, 403);
        },
      });
      const [line] = await dryRun.look(view);
      assert.equal(line?.mark, 'warning');
      assert.match(line?.why ?? '', /the dry run itself was refused/);
      assert.match(line?.fix ?? '', fix);
    });
  }
});

describe('what the replicas may do', () => {
  const cluster = { workloads: { Deployment: [deployment()] }, ours: [webhookPod] };

  test('all of it', async () => {
    assert.deepEqual(await told(webhookPermissions, cluster), [
      'ok | ServiceAccount falco-federation/its-account may do what the webhook does',
    ]);
  });

  test('not any more: the ClusterRoleBinding is gone, or the RoleBinding', async () => {
    const forbidden = ['namespaces', 'mutatingwebhookconfigurations'];
    assert.match(
      (await told(webhookPermissions, { ...cluster, forbidden }))[0] ?? '',
      /^error .* it may not list namespaces, watch namespaces, patch mutating.*: namespaces that opt in go unnoticed; the caBundle is not kept up to date$/,
    );
    assert.match(
      (await told(webhookPermissions, { ...cluster, forbidden: ['secrets'] }))[0] ?? '',
      /^error .* get secrets, update secrets: the certificate is not renewed$/,
    );
  });
});

test('a caBundle that somebody empties again and again', async () => {
  const at = (generations: readonly number[]) => told(webhookConfiguration, { generations });
  assert.match(
    (await at([7, 10])).at(-1) ?? '',
    /^error .* changed 3 times within a second: another client keeps reverting .*field managers: somebody-else/,
  );
  for (const calm of [[7, 7], [7, 8], []])
    assert.ok((await at(calm)).every((line) => !line.includes('reverting')));
});

describe('Falco that nobody federates', () => {
  const falco = (name: string, metadata: object, container: object = {}) => ({
    metadata: { name, namespace: 'falco', ...metadata },
    spec: { containers: [{ name: 'falco', image: 'falcosecurity/falco:0.44.1', ...container }] },
  });

  test('all of it opted out', async () => {
    const out = falco('falco-a', { labels: { 'falco-federation.io/inject': 'disabled' } });
    assert.match(
      (await told(pods, { pods: [out] })).at(-1) ?? '',
      /^error .* opted out by the label .*: disabled/,
    );
    const both = await told(pods, { pods: [out, falco('falco-b', {})] });
    assert.ok(both.every((line) => !line.includes('opted out by')));
  });

  test("pods with the chart's label in which no container is recognised", async () => {
    const labels = { 'app.kubernetes.io/name': 'falco' };
    const odd = falco('falco-a', { labels }, { name: 'sensor', image: 'sensor:1', command: ['/sensor'] });
    assert.deepEqual(await told(pods, { pods: [odd] }), [
      "warning | namespace falco: 1 pod of pod/falco-a with the label of Falco's chart | not recognised: no container starts Falco",
    ]);
  });
});

describe('before an installation', () => {
  const dns = podNamed('coredns-a', { dns: 53, metrics: 9153 });
  const pages = { 'coredns-a 9153/metrics': '' };
  const storageClasses = [{ name: 'fast', isDefault: true }];
  async function found(cluster: Partial<Pretended>): Promise<readonly string[]> {
    const view = pretendCluster({ settings: spoke, dns: [dns], pages, storageClasses, ...cluster });
    const groups = await runChecks(view, undefined, true);
    return groups
      .flatMap(({ lines }) => lines)
      .filter(({ mark }) => mark !== 'ok')
      .map(({ check, mark, why, fix }) => `${mark} ${check}: ${why} → ${fix}`);
  }

  test('all is well', async () => {
    assert.deepEqual(await found({}), []);
  });

  for (const [about, cluster, line] of [
    [
      'rights',
      { forbidden: ['clusterroles', 'secrets'] },
      /^error install_permissions: you may not create clusterroles, secrets → .*ask an administrator/,
    ],
    [
      'pods that are not reached',
      { pages: {} },
      /^warning pods_reached: it cannot: .*9153.*managed-clusters/,
    ],
    ['no StorageClass', { storageClasses: [] }, /^warning storage_class: there is none: .*emptyDir/],
    [
      'a policy',
      {
        dryRun: async () => {
          const request = { verb: 'create', resource: { url: '/' } } as const;
          const connection = { server: '', namespace: undefined, access: async () => ({}) };
          throw new ClusterError(connection, request, 'violates PodSecurity "x"', 403);
        },
      },
      /^error pod_admitted: .*PodSecurity.* → kubectl label namespace default/,
    ],
  ] as const) {
    test(about, async () => {
      assert.ok(
        (await found(cluster)).some((one) => line.test(one)),
        String(line),
      );
    });
  }
});

test('labels of namespaces that were meant to opt in', async () => {
  const labelled = (labels: Record<string, string>) =>
    told(optingIn, { namespaces: [{ name: 'team', labels }] });
  assert.match(
    (await labelled({ 'falco-federation.io/injection': 'enabled' })).at(-1) ?? '',
    /^warning \| namespace team \| its label falco-federation.io\/injection has no effect; it must be/,
  );
  assert.match((await labelled({ 'falco-federation/inject': 'enabled' })).at(-1) ?? '', /has no effect/);
  const [line] = (
    await optingIn.look(
      pretendCluster({
        settings: spoke,
        namespaces: [{ name: 'team', labels: { 'falco-federation.io/inject': 'true' } }],
      }),
    )
  ).slice(-1);
  assert.equal(line?.fix, 'kubectl label --overwrite namespace team falco-federation.io/inject=enabled');
  assert.equal((await labelled({ 'kubernetes.io/metadata.name': 'team' })).length, 1);
});

test('many lines of a kind are examples and a number; few are all told', () => {
  const lines = Array.from({ length: 500 }, (_, at) => ok('pods', `namespace n${at}: well`));
  const text = groupText({ name: 'namespaces', lines: [...lines, warning('pods', 'bad', 'why')] }, false);
  assert.deepEqual(text.trim().split('\n').slice(2), [
    ...[0, 1, 2].map((at) => `✓ namespace n${at}: well`),
    '✓ 497 more lines of pods: --output json has all',
    ...['‼ bad', '    why'],
  ]);
  const few = groupText({ name: 'namespaces', lines: lines.slice(0, 10) }, false);
  assert.equal(few.trim().split('\n').length, 12);
});

test('a namespace that is being deleted has no Falco to tell of', async () => {
  const template = { spec: { containers: [{ name: 'falco', image: 'falcosecurity/falco:0.44.1' }] } };
  const daemonSet = { metadata: { name: 'falco', namespace: 'gone' }, spec: { template } };
  const outside = (metadata: object) =>
    told(optingIn, {
      workloads: { DaemonSet: [daemonSet] },
      namespaces: [{ name: 'gone', labels: {}, ...metadata }],
    });
  assert.ok((await outside({})).some((line) => line.includes('namespace gone has daemonset/falco')));
  const ending = await outside({ deletionTimestamp: '2026-11-30T00:00:00Z' });
  assert.ok(
    ending.every((line) => !line.includes('gone')),
    ending.join('\n'),
  );
});
