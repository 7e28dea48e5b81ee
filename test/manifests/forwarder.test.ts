/** The forwarder's manifests agree with the program, the settings and each other. */
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type {
  V1Container,
  V1NetworkPolicy,
  V1PersistentVolumeClaim,
  V1PodDisruptionBudget,
  V1PodSpec,
  V1Service,
  V1ServiceAccount,
  V1StatefulSet,
} from '@kubernetes/client-node';
import jsonPatch, { type Operation } from 'fast-json-patch';
import { type ForwardFlags, help, readFlags } from '../../src/commands/forward/flags.ts';
import { injectLabel } from '../../src/federation/names.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { defaultForwarderAddress, defaultImage, settingsSchema } from '../../src/settings/schema.ts';
import { amountOf } from '../../src/settings/values.ts';
import { documentsOf, manifests, objectOf, textOf } from './files.ts';

const name = 'falco-federation-forwarder';
const namespace = 'falco-federation';

/** The client's types leave everything open that a manifest of ours has. */
type Written<T> = T & { kind: string; metadata: { name: string } };

const written = objectOf<Written<V1StatefulSet>>('forwarder/stateful-set.yaml', 'StatefulSet');
const service = objectOf<Written<V1Service>>('forwarder/service.yaml', 'Service');
const policy = objectOf<Written<V1NetworkPolicy>>('forwarder/network-policy.yaml', 'NetworkPolicy');
const budget = objectOf<Written<V1PodDisruptionBudget>>(
  'forwarder/disruption-budget.yaml',
  'PodDisruptionBudget',
);
const account = objectOf<Written<V1ServiceAccount>>('forwarder/service-account.yaml', 'ServiceAccount');

/** With the component's patch, as kustomize applies it. */
function withClaims(): V1StatefulSet {
  // Safe: jsonPatch validates them.
  const operations = documentsOf('components/forwarder-volume-claim/claim.yaml')[0] as Operation[];
  return jsonPatch.applyPatch(written as V1StatefulSet, operations, true, false).newDocument;
}

const sets: Readonly<Record<string, V1StatefulSet>> = { 'an emptyDir': written, claims: withClaims() };

function podOf(set: V1StatefulSet): V1PodSpec {
  return set.spec?.template.spec ?? assert.fail('no pod');
}

function containerOf(set: V1StatefulSet): V1Container {
  const [container, ...others] = podOf(set).containers;
  assert.ok(container !== undefined && others.length === 0);
  return container;
}

function flagsOf(set: V1StatefulSet): ForwardFlags {
  const [command, ...args] = containerOf(set).args ?? [];
  assert.equal(command, 'forward');
  for (const arg of args) {
    const flag = arg.split('=', 1)[0] ?? '';
    assert.ok(flag.startsWith('--') && help.includes(`${flag} `), flag);
  }
  return readFlags(args, { POD_NAME: `${name}-0` });
}

function mountAt(set: V1StatefulSet, folder: string) {
  const mount = containerOf(set).volumeMounts?.find(({ mountPath }) => mountPath === folder);
  assert.ok(mount !== undefined && mount.subPath === undefined, folder);
  return mount;
}

function volumeAt(set: V1StatefulSet, folder: string) {
  const { name: of } = mountAt(set, folder);
  return podOf(set).volumes?.find((volume) => volume.name === of);
}

const defaultSpool = amountOf(
  settingsSchema.parse({ cluster: 'a', hub: { address: 'https://hub.example' }, forwarder: {} }).forwarder
    ?.spoolSize ?? '',
);

for (const [kept, set] of Object.entries(sets)) {
  describe(`the StatefulSet, with events in ${kept}`, () => {
    test("its ports and probes are the program's", () => {
      const flags = flagsOf(set);
      const ports = Object.fromEntries(
        (containerOf(set).ports ?? []).map(({ name: of = '', containerPort }) => [of, containerPort]),
      );
      assert.deepEqual(ports, {
        events: flags.port,
        health: flags.healthPort,
        metrics: flags.metricsPort,
      });
      const { livenessProbe, readinessProbe, startupProbe } = containerOf(set);
      assert.deepEqual(
        [startupProbe, livenessProbe, readinessProbe].map((probe) => probe?.httpGet),
        ['/livez', '/livez', '/readyz'].map((path) => ({ path, port: 'health' })),
      );
    });

    test('reads the settings of the webhook, and credentials where there are some', () => {
      const { settings, credentials = '' } = flagsOf(set);
      assert.ok(settings.endsWith('/federation.yaml'));
      assert.equal(mountAt(set, dirname(settings)).readOnly, true);
      assert.deepEqual(volumeAt(set, dirname(settings))?.configMap, { name: 'falco-federation-webhook' });
      assert.equal(mountAt(set, credentials).readOnly, true);
      const secret = volumeAt(set, credentials)?.secret;
      assert.deepEqual([secret?.secretName, secret?.optional], ['falco-federation-hub', true]);
    });

    test('is given more time to end than the program takes', () => {
      const { drain } = flagsOf(set);
      const seconds = podOf(set).terminationGracePeriodSeconds ?? 0;
      assert.ok(drain.delay < drain.grace);
      // After the grace period nothing is begun.
      assert.ok(seconds * 1_000 >= drain.grace + 5_000, `${seconds} s`);
    });

    test('has no token, and what PodSecurity `restricted` asks for', () => {
      const pod = podOf(set);
      assert.equal(pod.serviceAccountName, account.metadata.name);
      assert.deepEqual(
        [pod.automountServiceAccountToken, account.automountServiceAccountToken],
        [false, false],
      );
      assert.equal(pod.securityContext?.runAsNonRoot, true);
      assert.equal(pod.securityContext?.seccompProfile?.type, 'RuntimeDefault');
      assert.equal(pod.securityContext?.fsGroup, pod.securityContext?.runAsGroup);
      assert.deepEqual(containerOf(set).securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
    });

    test('has requests and limits, and the image of this version', () => {
      const { requests = {}, limits = {} } = containerOf(set).resources ?? {};
      assert.equal(requests.memory, '96Mi');
      assert.ok(amountOf(limits.memory ?? '') > amountOf(requests.memory ?? ''));
      assert.equal(containerOf(set).image, defaultImage);
    });
  });
}

test('on OpenShift it runs as the user and the group that its SCC gives', () => {
  const patches = ['any-user', 'any-group'].flatMap(
    // Safe: jsonPatch validates them.
    (name) => documentsOf(`components/openshift/${name}.yaml`)[0] as Operation[],
  );
  const set = jsonPatch.applyPatch(written as V1StatefulSet, patches, true, false).newDocument;
  const { securityContext } = podOf(set);
  assert.deepEqual(Object.keys(securityContext ?? {}).sort(), [
    'fsGroupChangePolicy',
    'runAsNonRoot',
    'seccompProfile',
  ]);
});

describe('where events are kept', () => {
  test('an emptyDir takes twice the default spoolSize: a damaged spool is there until it has been saved', () => {
    const volume = volumeAt(written, flagsOf(written).spool);
    assert.ok(amountOf(volume?.emptyDir?.sizeLimit ?? '') >= 2.1 * defaultSpool);
    const requested = containerOf(written).resources?.requests?.['ephemeral-storage'];
    assert.ok(amountOf(requested ?? '') >= defaultSpool);
  });

  test('a claim of each replica takes its place, as large', () => {
    const set = withClaims();
    const { name: mounted } = mountAt(set, flagsOf(set).spool);
    assert.equal(volumeAt(set, flagsOf(set).spool), undefined);
    const [claim, ...others]: readonly V1PersistentVolumeClaim[] = set.spec?.volumeClaimTemplates ?? [];
    assert.equal(others.length, 0);
    assert.equal(claim?.metadata?.name, mounted);
    assert.ok(amountOf(claim?.spec?.resources?.requests?.storage ?? '') >= 2.1 * defaultSpool);
    assert.equal(containerOf(set).resources?.requests?.['ephemeral-storage'], undefined);
  });
});

describe("the forwarder's other objects", () => {
  const labels = written.spec?.template.metadata?.labels;

  test('the Service is where the settings look for it by default', () => {
    const [port, ...others] = service.spec?.ports ?? [];
    assert.equal(others.length, 0);
    assert.equal(defaultForwarderAddress, `http://${service.metadata.name}.${namespace}:${port?.port}`);
    assert.equal(written.spec?.serviceName, service.metadata.name);
  });

  test("selectors mean its pods, and none of the webhook's", () => {
    assert.deepEqual(labels, { 'app.kubernetes.io/name': name });
    assert.deepEqual(written.spec?.selector.matchLabels, labels);
    assert.deepEqual(service.spec?.selector, labels);
    assert.deepEqual(budget.spec?.selector?.matchLabels, labels);
    assert.deepEqual(policy.spec?.podSelector?.matchLabels, labels);
    for (const { labelSelector } of podOf(written).topologySpreadConstraints ?? [])
      assert.deepEqual(labelSelector?.matchLabels, labels);
    const named = (containerOf(written).ports ?? []).map((port) => port.name);
    const used = [
      ...(service.spec?.ports ?? []).map(({ targetPort }) => targetPort),
      ...(policy.spec?.ingress ?? []).flatMap(({ ports = [] }) => ports.map(({ port }) => port)),
    ];
    for (const port of used) assert.ok(named.includes(String(port)), String(port));
  });

  test('events come in from opted-in namespaces and the other replica only, which can be reached', () => {
    // Safe: the client's type has another name for `from` than the manifest.
    const rule = policy.spec?.ingress?.[0] as { from?: unknown } | undefined;
    const replicas = { podSelector: { matchLabels: policy.spec?.podSelector?.matchLabels } };
    const optedIn = { namespaceSelector: { matchLabels: { [injectLabel]: 'enabled' } } };
    assert.deepEqual(rule?.from, [optedIn, replicas]);
    const out = (policy.spec?.egress ?? []).find(({ to }) => isDeepStrictEqual(to, [replicas]));
    assert.deepEqual(
      out?.ports?.map(({ port }) => port),
      ['events'],
    );
  });

  test("the webhook's metrics, by which pods are counted, are where the forwarder asks", () => {
    const webhook = objectOf<Written<V1Service>>('base/service.yaml', 'Service');
    const [, url = ''] =
      /^--webhook-metrics=(.*)$/.exec(containerOf(written).args?.find((arg) => /metrics=/.test(arg)) ?? '') ??
      [];
    const { hostname, port } = new URL(url);
    assert.equal(hostname, webhook.metadata.name);
    assert.equal(webhook.spec?.ports?.find((one) => one.port === Number(port))?.targetPort, 'metrics');
    const selector = { matchLabels: webhook.spec?.selector };
    const out = (policy.spec?.egress ?? []).find(({ to }) =>
      isDeepStrictEqual(to, [{ podSelector: selector }]),
    );
    assert.deepEqual(
      out?.ports?.map((one) => one.port),
      ['metrics'],
    );
  });

  test('what `check` asks through the API server is open to it, which is no pod', () => {
    const webhook = objectOf<Written<V1NetworkPolicy>>('base/network-policy.yaml', 'NetworkPolicy');
    for (const { spec } of [policy, webhook]) {
      const toAll = (spec?.ingress ?? []).filter((rule) => !('from' in rule));
      const open = toAll.flatMap(({ ports = [] }) => ports.map(({ port }) => port));
      assert.deepEqual(open.filter((port) => port !== 'webhook').sort(), ['health', 'metrics']);
    }
  });

  test('the hub of the overlay can be reached', async () => {
    const loaded = await loadSettings(join(manifests, 'overlays/spoke/federation.yaml'));
    assert.ok(loaded.ok);
    const { protocol, port } = new URL(loaded.settings.hub?.address ?? '');
    const open = (policy.spec?.egress ?? []).flatMap(({ ports = [] }) => ports.map((one) => one.port));
    assert.equal(protocol, 'https:');
    assert.ok(open.includes(port === '' ? 443 : Number(port)));
    assert.ok(open.includes(53));
  });

  test("are a spoke's, and no hub's", () => {
    assert.match(textOf('overlays/spoke/kustomization.yaml'), /^ {2}- \.\.\/\.\.\/forwarder$/m);
    for (const other of ['hub', 'cert-manager', 'host-network'])
      assert.doesNotMatch(textOf(`overlays/${other}/kustomization.yaml`), /forwarder/);
    assert.doesNotMatch(textOf('base/kustomization.yaml'), /forwarder/);
  });
});
