/**
 * The chart is the kustomization, object by object: with the same settings and options both come to the same, but for
 * what only one of the two ways can have.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { V1Deployment, V1PodDisruptionBudget, V1Service, V1StatefulSet } from '@kubernetes/client-node';
import { parse } from 'yaml';
import { must } from '../../real/machine.ts';
import { clientPath } from '../clients/programs.ts';
import { leftOut } from '../needs.ts';
import {
  chart,
  comparable,
  type Kustomization,
  type Rendered,
  renderChart,
  renderKustomization,
} from './rendered.ts';

const address = 'https://falco.hub.example';
const spoke = { cluster: 'change-me', role: 'spoke', hub: { address } };
const hub = { cluster: 'change-me', role: 'hub' };
const marked = { cluster: 'change-me' };

interface Pair {
  readonly values: object;
  readonly kustomization: Kustomization;
}

const pairs: Readonly<Record<string, Pair>> = {
  'a cluster without a hub': { values: marked, kustomization: { resources: ['base'] } },
  'a spoke': { values: spoke, kustomization: { resources: ['overlays/spoke'] } },
  'a hub': { values: hub, kustomization: { resources: ['overlays/hub'] } },
  'a hub with all that goes together': {
    values: {
      ...hub,
      certManager: { enabled: true },
      hostNetwork: { enabled: true },
      openshift: { enabled: true },
      monitoring: {
        podMonitor: { enabled: true },
        rules: { enabled: true },
        hubPodMonitor: { enabled: true },
        dashboards: { enabled: true },
      },
    },
    kustomization: {
      resources: ['overlays/hub'],
      components: [
        'components/cert-manager',
        'components/host-network',
        'components/openshift',
        'components/prometheus-operator',
        'components/prometheus-operator-hub',
        'components/grafana',
      ],
    },
  },
  'cert-manager': {
    values: { ...marked, certManager: { enabled: true } },
    kustomization: { resources: ['overlays/cert-manager'] },
  },
  "the nodes' network": {
    values: { ...marked, hostNetwork: { enabled: true } },
    kustomization: { resources: ['overlays/host-network'] },
  },
  'a private cluster of GKE': {
    values: { ...spoke, webhookPort: 10250 },
    kustomization: { resources: ['overlays/spoke'], components: ['components/port-10250'] },
  },
  OpenShift: {
    values: { ...spoke, openshift: { enabled: true } },
    kustomization: { resources: ['overlays/spoke'], components: ['components/openshift'] },
  },
  AKS: {
    values: {
      ...spoke,
      certManager: { enabled: true },
      webhookAnnotations: { 'admissions.enforcer/disabled': 'true' },
    },
    kustomization: {
      resources: ['overlays/spoke'],
      components: ['components/cert-manager', 'components/aks'],
    },
  },
  'all that goes together': {
    values: {
      ...spoke,
      injectAt: 'workload',
      certManager: { enabled: true },
      hostNetwork: { enabled: true },
      coverage: { enabled: false },
      forwarder: { persistence: { enabled: true } },
      monitoring: {
        podMonitor: { enabled: true },
        rules: { enabled: true },
        hubPodMonitor: { enabled: true },
        dashboards: { enabled: true },
      },
    },
    kustomization: {
      resources: ['overlays/spoke'],
      components: [
        'components/workloads',
        'components/cert-manager',
        'components/host-network',
        'components/no-coverage',
        'components/forwarder-volume-claim',
        'components/prometheus-operator',
        'components/prometheus-operator-hub',
        'components/grafana',
      ],
    },
  },
};

/** Helm makes no namespace of its own; what the program makes must be the release's, so that it goes with it. */
const onlyKustomize = ['Namespace falco-federation'];
const onlyChart = [
  'Secret falco-federation-webhook-certificates',
  // Of `helm test`.
  ...['ServiceAccount', 'ClusterRoleBinding', 'Pod'].map((kind) => `${kind} falco-federation-test`),
];

/** Safe where it is of that kind: the API server takes what the chart makes, as other tests show. */
function as<T>(all: ReadonlyMap<string, Rendered>, name: string): T {
  return (all.get(name) ?? assert.fail(name)) as unknown as T;
}

function without(
  all: ReadonlyMap<string, Rendered>,
  names: readonly string[],
): ReadonlyMap<string, Rendered> {
  return new Map([...all].filter(([name]) => !names.includes(name)));
}

/** The file of an overlay, with the settings that its user adds for the same options. */
function withSettingsOf(values: object, object: Rendered): unknown {
  const { cluster, role, hub, injectAt } = { ...values } as Readonly<Record<string, unknown>>;
  const settings = {
    ...parse(object.data?.['federation.yaml'] ?? ''),
    ...JSON.parse(JSON.stringify({ cluster, role, hub, injectAt })),
  };
  return { ...object, data: { 'federation.yaml': settings } };
}

describe('the chart and the kustomization', { skip: leftOut('clients') }, () => {
  for (const [about, { values, kustomization }] of Object.entries(pairs)) {
    test(`${about}: the same objects`, () => {
      const resources = [...kustomization.resources, 'check-role'];
      const wanted = without(renderKustomization({ ...kustomization, resources }), onlyKustomize);
      for (const helm of ['helm-3', 'helm-4'] as const) {
        const found = without(renderChart(values, { helm }), onlyChart);
        assert.deepEqual([...found.keys()].sort(), [...wanted.keys()].sort(), helm);
        for (const [name, object] of wanted) {
          const expected =
            name === 'ConfigMap falco-federation-webhook' ? withSettingsOf(values, object) : object;
          assert.deepEqual(comparable(found.get(name)), expected, `${helm}: ${name}`);
        }
      }
    });
  }

  test('helm lint finds nothing, and the chart is the same for every Kubernetes from 1.30 on', () => {
    for (const helm of ['helm-3', 'helm-4'] as const) {
      must(clientPath(helm), ['lint', '--strict', chart, '--set', 'cluster=staging']);
      const newest = renderChart(spoke, { helm });
      for (const minor of [30, 31, 32, 33, 34, 35, 36])
        assert.deepEqual(
          renderChart(spoke, { helm, version: `1.${minor}.0` }),
          newest,
          `${helm}: 1.${minor}`,
        );
      assert.throws(() => renderChart(spoke, { helm, version: '1.29.0' }), /kubeVersion: >=1\.30\.0-0/);
    }
  });

  test('values that are none, and settings that are wrong, are refused before anything is installed', () => {
    for (const [values, why] of [
      [{}, /missing property 'cluster'/],
      [{ ...spoke, hubb: {} }, /'hubb' not allowed/],
      [{ ...spoke, rules: { imagee: 'x' } }, /\/rules.*'imagee' not allowed/],
      [{ ...spoke, image: { digest: 'latest' } }, /\/image\/digest/],
      [{ ...spoke, hub: { address: 'hub.corp.net' } }, /\/hub\/address/],
      [{ ...spoke, hub: { address: 'https://hub.corp.net:99999' } }, /\/hub\/address/],
      [{ ...spoke, commonLabels: { 'app.kubernetes.io/name': 'x' } }, /\/commonLabels/],
      [{ ...spoke, image: { repository: 'registry.example:5000/webhook:1' } }, /\/image\/repository/],
      [{ ...spoke, webhookPort: 8080 }, /\/webhookPort/],
      [{ ...spoke, tolerations: [{ operator: 'Exist' }] }, /\/tolerations\/0\/operator/],
      [{ ...spoke, forwarder: { sizeLimit: '3 Gi' } }, /\/forwarder\/sizeLimit/],
      [{ ...spoke, forwarder: { resources: { limits: { memory: '64MB' } } } }, /\/limits\/memory/],
      [{ ...spoke, forwarder: { spoolSize: '1Gib' } }, /\/forwarder\/spoolSize/],
    ] as const)
      for (const helm of ['helm-3', 'helm-4'] as const)
        assert.throws(() => renderChart(values, { helm }), why);
  });

  test('what waits has its room, whatever spoolSize is', () => {
    const room = (forwarder: object): unknown => {
      const all = renderChart({ ...spoke, forwarder });
      const { spec } = as<V1StatefulSet>(all, 'StatefulSet falco-federation-forwarder');
      const pod = spec?.template.spec;
      const { emptyDir } = pod?.volumes?.find(({ name }) => name === 'spool') ?? {};
      const claim = spec?.volumeClaimTemplates?.[0]?.spec?.resources?.requests?.storage;
      const request = pod?.containers[0]?.resources?.requests?.['ephemeral-storage'];
      return [emptyDir?.sizeLimit ?? claim, request];
    };
    assert.deepEqual(room({}), ['3Gi', '1Gi']);
    assert.deepEqual(room({ spoolSize: '100Gi' }), ['225Gi', '100Gi']);
    assert.deepEqual(room({ spoolSize: '500M', sizeLimit: '2G' }), ['2G', '500M']);
    assert.deepEqual(room({ spoolSize: '20Gi', persistence: { enabled: true } }), ['45Gi', undefined]);
  });

  test("alerts: thresholds, labels and runbooks of one's own", () => {
    const rules = (alerts: object) => {
      const monitoring = {
        ...{ labels: { release: 'prometheus' }, interval: '15s', runbookUrl: 'https://wiki.example/alerts' },
        ...{ podMonitor: { enabled: true }, rules: { enabled: true, alerts } },
      };
      const all = renderChart({ ...spoke, monitoring });
      const found = as<Rendered & { spec: { groups: { rules: { alert: string }[] }[] } }>(
        all,
        'PrometheusRule falco-federation',
      );
      const monitor = as<{ spec: { podMetricsEndpoints: [{ interval: string }] } }>(
        all,
        'PodMonitor falco-federation',
      );
      assert.equal(monitor.spec.podMetricsEndpoints[0].interval, '15s');
      assert.match(JSON.stringify(found.metadata), /"release":"prometheus"/);
      return found.spec.groups.flatMap((group) => group.rules);
    };
    const all = rules({});
    const [changed, ...others] = rules({
      FalcoFederationWebhookDown: { for: '1h', labels: { team: 'red' } },
      FalcoFederationPodsStale: { enabled: false },
    });
    assert.partialDeepStrictEqual(changed, {
      ...{ alert: 'FalcoFederationWebhookDown', for: '1h', labels: { severity: 'critical', team: 'red' } },
      annotations: { runbook_url: 'https://wiki.example/alerts#falcofederationwebhookdown' },
    });
    assert.equal(others.length, all.length - 2);
  });

  test("a program's values count in place of those at the top; what is false stays false", () => {
    const values = {
      ...spoke,
      ...{ logLevel: 'debug', replicas: 3, livenessProbe: { timeoutSeconds: 9 } },
      ...{ extraEnv: [{ name: 'A', value: 'b' }], securityContext: { readOnlyRootFilesystem: false } },
      ...{ commonAnnotations: { note: 'x' }, global: { imageRegistry: 'mirror.example' } },
      forwarder: {
        ...{ logLevel: 'warn', extraArgs: ['--drain-delay=1s'], podDisruptionBudget: { enabled: false } },
        serviceAccount: { name: 'theirs', create: false },
      },
      webhook: { replicas: 2, podDisruptionBudget: { maxUnavailable: 1 }, service: { ipFamilies: ['IPv6'] } },
      extraObjects: [{ kind: 'ConfigMap', metadata: { name: '{{ .Release.Name }}-more' } }],
    };
    const all = renderChart(values);
    const webhook = as<V1Deployment>(all, 'Deployment falco-federation-webhook').spec;
    const forwarder = as<V1StatefulSet>(all, 'StatefulSet falco-federation-forwarder').spec;
    assert.deepEqual([webhook?.replicas, forwarder?.replicas], [2, 3]);
    const [first, second] = [webhook, forwarder].map((spec) => spec?.template.spec?.containers[0]);
    assert.equal(first?.args?.at(-1), '--log-level=debug');
    assert.deepEqual(second?.args?.slice(-2), ['--log-level=warn', '--drain-delay=1s']);
    assert.deepEqual(second?.env?.at(-1), { name: 'A', value: 'b' });
    const { readOnlyRootFilesystem, allowPrivilegeEscalation } = first?.securityContext ?? {};
    assert.deepEqual([readOnlyRootFilesystem, allowPrivilegeEscalation], [false, false]);
    const { timeoutSeconds, periodSeconds } = first?.livenessProbe ?? {};
    assert.deepEqual([timeoutSeconds, periodSeconds], [9, 10]);
    assert.equal(first?.image, 'mirror.example/falco-federation-webhook:0.1.0');
    assert.equal(forwarder?.template.spec?.serviceAccountName, 'theirs');
    assert.ok(
      !all.has('ServiceAccount theirs') && !all.has('PodDisruptionBudget falco-federation-forwarder'),
    );
    const budget = as<V1PodDisruptionBudget>(all, 'PodDisruptionBudget falco-federation-webhook');
    assert.equal(budget.spec?.maxUnavailable, 1);
    assert.deepEqual(as<V1Service>(all, 'Service falco-federation-webhook').spec?.ipFamilies, ['IPv6']);
    assert.ok(all.has('ConfigMap falco-federation-more'));
    for (const [name, { metadata }] of all)
      if (name !== 'ConfigMap falco-federation-more')
        assert.equal((metadata as { annotations?: { note?: string } }).annotations?.note, 'x', name);
  });

  test('an image by digest; in another namespace, with the address of its own forwarder; one replica without a budget', () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const values = {
      ...spoke,
      image: { repository: 'registry.example/webhook', digest },
      replicas: 1,
      imagePullSecrets: [{ name: 'registry' }],
    };
    const rendered = renderChart(values, { namespace: 'security' });
    const all = JSON.stringify([...rendered.values()]);
    assert.ok(all.includes(`registry.example/webhook@${digest}`));
    assert.ok(!rendered.has('PodDisruptionBudget falco-federation-webhook'));
    const settings = parse(
      rendered.get('ConfigMap falco-federation-webhook')?.data?.['federation.yaml'] ?? '',
    );
    assert.equal(settings.forwarder.address, 'http://falco-federation-forwarder.security:2801');
    assert.deepEqual(settings.rules, { imagePullSecrets: ['registry'] });
    assert.ok(!all.includes('"namespace":"falco-federation"'));
    assert.match(all, /"values":\["kube-system","falco-federation","security"\]/, 'its own is left out');
  });
});
