import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import type {
  V1ClusterRole,
  V1ConfigMapVolumeSource,
  V1Deployment,
  V1MutatingWebhookConfiguration,
  V1Namespace,
  V1NetworkPolicy,
  V1PodDisruptionBudget,
  V1Role,
  V1Service,
} from '@kubernetes/client-node';
import jsonPatch, { type Operation } from 'fast-json-patch';
import { help, readFlags, type ServeFlags } from '../../src/commands/serve/flags.ts';
import { injectLabel, neverInjected, version } from '../../src/federation/names.ts';
import {
  callsFalco,
  falcoImages,
  mayStartFalco,
  reach,
  separator,
  startsFalco,
} from '../../src/injection/falco/container-program.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { placeholders } from '../../src/settings/placeholders.ts';
import { defaultImage } from '../../src/settings/schema.ts';
import { documentsOf, files, manifests, objectOf, textOf, valuesIn } from './files.ts';

const name = 'falco-federation-webhook';
const namespace = 'falco-federation';

/** The client's types leave everything open that a manifest of ours has. */
type Written<T> = T & { kind: string; metadata: { name: string } };

const deployment = objectOf<Written<V1Deployment>>('base/deployment.yaml', 'Deployment');
const configuration = objectOf<Written<V1MutatingWebhookConfiguration>>(
  'base/webhook-configuration.yaml',
  'MutatingWebhookConfiguration',
);
const service = objectOf<Written<V1Service>>('base/service.yaml', 'Service');

/** The Deployment after the JSON patches of components, as kustomize applies them. */
function patched(...patches: readonly string[]): V1Deployment {
  return patches.reduce((object, file) => {
    // Safe: jsonPatch validates them.
    const operations = documentsOf(file)[0] as Operation[];
    return jsonPatch.applyPatch(object, operations, true, false).newDocument;
  }, deployment as V1Deployment);
}

function containerOf(object: V1Deployment) {
  const [container, ...others] = object.spec?.template.spec?.containers ?? [];
  assert.ok(container !== undefined && others.length === 0);
  return container;
}

/** The container's flags, read by the program itself. */
function flagsOf(object: V1Deployment): ServeFlags {
  const [command, ...args] = containerOf(object).args ?? [];
  assert.equal(command, 'serve');
  const expanded = args.map((arg) => arg.replaceAll('$(POD_NAMESPACE)', namespace));
  return readFlags(expanded, { POD_NAMESPACE: namespace, POD_NAME: `${name}-1` });
}

function portsOf(object: V1Deployment): Record<string, number> {
  const ports = containerOf(object).ports ?? [];
  return Object.fromEntries(ports.map(({ name: of = '', containerPort }) => [of, containerPort]));
}

const deployments: Readonly<Record<string, V1Deployment>> = {
  base: deployment,
  'cert-manager': patched('components/cert-manager/serving.yaml'),
  'host-network': patched('components/host-network/ports.yaml'),
  'port-10250': patched('components/port-10250/port.yaml'),
  openshift: patched('components/openshift/any-user.yaml'),
  both: patched('components/cert-manager/serving.yaml', 'components/host-network/ports.yaml'),
  'both, the other way round': patched(
    'components/host-network/ports.yaml',
    'components/cert-manager/serving.yaml',
  ),
};

describe('the manifests', () => {
  test('every file is listed by the kustomization beside it, and nothing else is', () => {
    const kustomizations = files.filter((file) => file.endsWith('/kustomization.yaml'));
    assert.ok(kustomizations.length >= 8);
    for (const file of kustomizations) {
      const folder = dirname(join(manifests, file));
      const listed = [...valuesIn(documentsOf(file))]
        .flatMap(({ value }) => (typeof value === 'string' ? [value] : []))
        .filter((value) => /\.(yaml|json)$/.test(value));
      const there = readdirSync(folder).filter((one) => one !== 'kustomization.yaml');
      assert.deepEqual([...new Set(listed)].toSorted(), there.toSorted(), file);
      const [{ resources = [], components = [] }] = documentsOf(file) as [
        { resources?: string[]; components?: string[] },
      ];
      for (const path of [...resources, ...components]) assert.ok(existsSync(join(folder, path)), path);
    }
  });

  test('no caBundle is in any of them: one would take the published one away', () => {
    for (const file of files) {
      for (const { key, value } of valuesIn(documentsOf(file))) {
        assert.notEqual(key, 'caBundle', file);
        assert.ok(typeof value !== 'string' || !/caBundle$|BEGIN CERTIFICATE/.test(value), file);
      }
    }
  });

  test('everything lies in the one namespace', () => {
    assert.equal(objectOf<Written<V1Namespace>>('base/namespace.yaml', 'Namespace').metadata.name, namespace);
    for (const file of files) {
      for (const { key, value } of valuesIn(documentsOf(file))) {
        if (key === 'namespace') assert.equal(value, namespace, file);
      }
    }
  });

  test("the image is this version's", () => {
    const { version: packaged } = JSON.parse(readFileSync(join(manifests, '../package.json'), 'utf8'));
    assert.equal(packaged, version);
    assert.equal(containerOf(deployment).image, `${name}:${version}`);
    assert.equal(containerOf(deployment).image, defaultImage);
  });

  test('the settings of each are good', async () => {
    const roles = new Map<string, unknown>();
    for (const file of files.filter((one) => one.endsWith('/federation.yaml'))) {
      const loaded = await loadSettings(join(manifests, file));
      assert.ok(loaded.ok, `${file}: ${JSON.stringify(loaded)}`);
      roles.set(file, [loaded.settings.role, loaded.settings.hub !== undefined]);
    }
    assert.deepEqual(
      [...roles],
      [
        ['base/federation.yaml', ['spoke', false]],
        ['overlays/hub/federation.yaml', ['hub', false]],
        ['overlays/spoke/federation.yaml', ['spoke', true]],
      ],
    );
  });

  test('nobody takes the settings that they bring for their own: an untouched one is found', async () => {
    for (const file of ['base', 'overlays/spoke', 'overlays/hub']) {
      const loaded = await loadSettings(join(manifests, file, 'federation.yaml'));
      assert.ok(loaded.ok);
      const { role } = loaded.settings;
      const found = placeholders(loaded.settings).map(({ key }) => key);
      assert.deepEqual(found, file === 'overlays/spoke' ? ['cluster', 'hub.address'] : ['cluster'], role);
    }
  });
});

describe('the Deployment', () => {
  for (const [of, object] of Object.entries(deployments)) {
    test(`${of}: the program knows every flag, and its ports are the pod's`, () => {
      for (const arg of containerOf(object).args?.slice(1) ?? []) {
        const flag = arg.split('=', 1)[0] ?? '';
        assert.ok(flag.startsWith('--') && help.includes(`${flag} `), flag);
      }
      const flags = flagsOf(object);
      const { webhook, health, metrics } = portsOf(object);
      assert.deepEqual([flags.port, flags.healthPort, flags.metricsPort], [webhook, health, metrics]);
    });

    test(`${of}: every file that it is told of lies in a mounted volume`, () => {
      const { certificate, settings } = flagsOf(object);
      const told = [settings, ...(certificate.from === 'files' ? Object.values(certificate.files) : [])];
      const { volumeMounts = [] } = containerOf(object);
      for (const file of told) {
        const mount = volumeMounts.find(({ mountPath }) => mountPath === dirname(file));
        assert.ok(mount !== undefined && mount.readOnly === true && mount.subPath === undefined, file);
        assert.ok(
          object.spec?.template.spec?.volumes?.some((volume) => volume.name === mount.name),
          file,
        );
      }
    });
  }

  test('on OpenShift runs as anybody but root, as PodSecurity `restricted` asks', () => {
    const { securityContext } = deployments.openshift?.spec?.template.spec ?? {};
    assert.deepEqual(securityContext, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
  });

  test('makes its certificate itself, in the Secret, for the name and by the configuration that there are', () => {
    const { certificate, settings } = flagsOf(deployment);
    assert.ok(certificate.from === 'secret');
    const { shared } = certificate;
    assert.equal(shared.secret, `${name}-certificates`);
    assert.deepEqual(shared.names, [`${service.metadata.name}.${namespace}.svc`]);
    assert.equal(shared.webhookConfiguration, configuration.metadata.name);
    assert.equal(shared.namespace, namespace);
    const environment = (containerOf(deployment).env ?? []).map((entry) => [
      entry.name,
      entry.valueFrom?.fieldRef?.fieldPath,
    ]);
    assert.deepEqual(environment, [
      ['POD_NAME', 'metadata.name'],
      ['POD_NAMESPACE', 'metadata.namespace'],
    ]);
    const [generated] = documentsOf('base/kustomization.yaml').map(
      // Safe: the assertions below show it.
      (value) => (value as { configMapGenerator: [{ name: string; files: string[] }] }).configMapGenerator[0],
    );
    const volumes = deployment.spec?.template.spec?.volumes ?? [];
    const mounted = volumes.find(({ name: of }) => of === 'settings')?.configMap;
    assert.equal((mounted satisfies V1ConfigMapVolumeSource | undefined)?.name, generated?.name);
    assert.deepEqual(generated?.files, ['federation.yaml']);
    assert.ok(settings.endsWith('/federation.yaml'));
  });

  test("takes cert-manager's certificate for the same name, from the Secret that it makes", () => {
    const file = 'components/cert-manager/certificates.yaml';
    const certificate = documentsOf(file).find((value) => JSON.stringify(value).includes('dnsNames'));
    // Safe: the assertions show it.
    const { metadata, spec } = certificate as {
      metadata: { name: string };
      spec: { secretName: string; dnsNames: string[] };
    };
    const secrets = (deployments['cert-manager']?.spec?.template.spec?.volumes ?? []).flatMap(
      ({ secret }) => secret?.secretName ?? [],
    );
    assert.deepEqual(secrets, [spec.secretName]);
    assert.deepEqual(spec.dnsNames, [`${service.metadata.name}.${namespace}.svc`]);
    const injected = objectOf<Written<V1MutatingWebhookConfiguration>>(
      'components/cert-manager/ca-bundle.yaml',
      configuration.kind,
    );
    assert.equal(injected.metadata.name, configuration.metadata.name);
    assert.deepEqual(Object.values(injected.metadata.annotations ?? {}), [`${namespace}/${metadata.name}`]);
  });

  test('selectors mean its pods', () => {
    const labels = deployment.spec?.template.metadata?.labels;
    assert.deepEqual(deployment.spec?.selector.matchLabels, labels);
    assert.deepEqual(service.spec?.selector, labels);
    const budget = objectOf<Written<V1PodDisruptionBudget>>(
      'base/disruption-budget.yaml',
      'PodDisruptionBudget',
    );
    assert.deepEqual(budget.spec?.selector?.matchLabels, labels);
    const policy = objectOf<Written<V1NetworkPolicy>>('base/network-policy.yaml', 'NetworkPolicy');
    assert.deepEqual(policy.spec?.podSelector?.matchLabels, labels);
    for (const { labelSelector } of deployment.spec?.template.spec?.topologySpreadConstraints ?? []) {
      assert.deepEqual(labelSelector?.matchLabels, labels);
    }
    const named = Object.keys(portsOf(deployment));
    const { livenessProbe, readinessProbe, startupProbe } = containerOf(deployment);
    const used = [
      ...(service.spec?.ports ?? []).map(({ targetPort }) => targetPort),
      ...(policy.spec?.ingress ?? []).flatMap(({ ports = [] }) => ports.map(({ port }) => port)),
      ...[livenessProbe, readinessProbe, startupProbe].map((probe) => probe?.httpGet?.port),
    ];
    for (const port of used) assert.ok(named.includes(String(port)), String(port));
  });

  test('is given more time to end than the program takes', () => {
    const { drain } = flagsOf(deployment);
    // What is beyond the drain is for the program's own end.
    const seconds = deployment.spec?.template.spec?.terminationGracePeriodSeconds ?? 0;
    assert.ok(seconds * 1_000 >= drain.grace + 5_000 && drain.delay < drain.grace, `${seconds} s`);
  });
});

describe('permissions', () => {
  const namespaces = { apiGroups: [''], resources: ['namespaces'], verbs: ['list', 'watch'] };

  const ownPod = { apiGroups: [''], resources: ['pods'], verbs: ['get'] };

  test('are these and no others', () => {
    assert.deepEqual(objectOf<Written<V1ClusterRole>>('base/roles.yaml', 'ClusterRole').rules, [
      namespaces,
      {
        apiGroups: ['admissionregistration.k8s.io'],
        resources: ['mutatingwebhookconfigurations'],
        resourceNames: [name],
        verbs: ['get', 'list', 'watch', 'patch'],
      },
    ]);
    assert.deepEqual(objectOf<Written<V1Role>>('base/roles.yaml', 'Role').rules, [
      ownPod,
      { apiGroups: [''], resources: ['secrets'], verbs: ['create'] },
      {
        apiGroups: [''],
        resources: ['secrets'],
        resourceNames: [`${name}-certificates`],
        verbs: ['get', 'list', 'watch', 'update'],
      },
    ]);
  });

  test('are fewer with cert-manager', () => {
    const role = objectOf<Written<V1ClusterRole>>('components/cert-manager/permissions.yaml', 'ClusterRole');
    assert.deepEqual(role.rules, [namespaces]);
    const own = objectOf<Written<V1Role>>('components/cert-manager/permissions.yaml', 'Role');
    assert.deepEqual(own.rules, [ownPod]);
  });

  test('to know which pods are federated are these, and a component leaves all of them out', () => {
    const role = objectOf<Written<V1ClusterRole>>('base/coverage-roles.yaml', 'ClusterRole');
    assert.deepEqual(role.rules, [
      { apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch'] },
      { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create'] },
    ]);
    const removed = documentsOf('components/no-coverage/no-roles.yaml');
    // Safe: the assertions show it.
    const objects = removed as { kind: string; metadata: { name: string }; $patch: string }[];
    assert.deepEqual(
      objects.map(({ kind, metadata, $patch }) => [kind, metadata.name, $patch]),
      ['ClusterRole', 'ClusterRoleBinding'].map((kind) => [kind, role.metadata.name, 'delete']),
    );
  });

  test('are given to the account of the Deployment, by roles that there are', () => {
    for (const file of files.filter((one) => /^kind: (Cluster)?RoleBinding$/m.test(textOf(one)))) {
      for (const document of documentsOf(file)) {
        // Safe: the assertions show it.
        const binding = document as { kind: string; $patch?: string; roleRef?: unknown; subjects?: unknown };
        if (!binding.kind.endsWith('RoleBinding') || binding.$patch === 'delete') continue;
        const { metadata } = document as { metadata: { name: string } };
        const kind = binding.kind.replace('Binding', '');
        const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind, name: metadata.name };
        assert.deepEqual(binding.roleRef, roleRef, file);
        assert.deepEqual(binding.subjects, [{ kind: 'ServiceAccount', name, namespace }], file);
        assert.match(textOf(file), new RegExp(`kind: ${kind}\nmetadata:\n {2}name: ${metadata.name}\n`));
      }
    }
  });

  test('are in the roles of these files alone', () => {
    const withRules = files.filter((file) => /^kind: (Cluster)?Role$/m.test(textOf(file)));
    assert.deepEqual(withRules, [
      'base/coverage-roles.yaml',
      'base/roles.yaml',
      'check-role/cluster-role.yaml',
      'components/cert-manager/permissions.yaml',
      'components/no-coverage/no-roles.yaml',
    ]);
  });
});

describe('the webhooks', () => {
  const pods = configuration.webhooks?.[0];
  // Safe: the assertions show it.
  const [{ value: workloads }] = documentsOf('components/workloads/webhook.yaml')[0] as [
    { value: NonNullable<typeof pods> },
  ];

  test('have the names by which the program publishes the caBundle', () => {
    assert.equal(configuration.webhooks?.length, 1);
    assert.equal(pods?.name, 'inject.falco-federation.io');
    assert.equal(workloads.name, 'inject-workloads.falco-federation.io');
  });

  test('let a pod through when anything fails, soon', () => {
    for (const webhook of [pods, workloads]) {
      assert.equal(webhook?.failurePolicy, 'Ignore');
      assert.equal(webhook?.timeoutSeconds, 5);
      assert.equal(webhook?.reinvocationPolicy, 'IfNeeded');
      assert.equal(webhook?.sideEffects, 'None');
    }
  });

  test('select by the labels that the program means', () => {
    for (const webhook of [pods, workloads]) {
      assert.deepEqual(webhook?.namespaceSelector, {
        matchLabels: { [injectLabel]: 'enabled' },
        matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: neverInjected }],
      });
    }
    assert.deepEqual(pods?.objectSelector, {
      matchExpressions: [{ key: injectLabel, operator: 'NotIn', values: ['disabled'] }],
    });
    // On a workload the label is in the template, where no selector looks; the program does.
    assert.equal(workloads.objectSelector, undefined);
  });

  test('call the Service, and look for the same in a pod and in a template', () => {
    for (const webhook of [pods, workloads]) {
      assert.deepEqual(webhook?.clientConfig, {
        service: { name: service.metadata.name, namespace, path: '/mutate' },
      });
      assert.equal(service.spec?.ports?.[0]?.port, 443, 'the port where none is said');
    }
    const [ofPods = '', ofWorkloads = ''] = [pods, workloads].map(
      (webhook) => webhook?.matchConditions?.[0]?.expression,
    );
    assert.equal(ofWorkloads.replaceAll('object.spec.template.spec.', 'object.spec.'), ofPods);
  });

  test('ask by the patterns of the program, letter for letter', () => {
    const expression = pods?.matchConditions?.[0]?.expression ?? '';
    for (const pattern of [startsFalco, mayStartFalco, callsFalco]) {
      assert.ok(expression.includes(`.matches( r'${pattern}')`), pattern);
    }
    assert.ok(expression.includes(`'(^|/)(${falcoImages.join('|')})([:@]|$)'`));
    assert.equal(expression.split(`line.size() > ${reach} ? line.substring(0, ${reach}) : line`).length, 3);
    const joined = `it.words.join('\\u${separator.charCodeAt(0).toString(16).padStart(4, '0')}')`;
    assert.equal(expression.split(joined).length, 3);
  });
});
