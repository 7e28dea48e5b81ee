/** What is scraped, with the operator and without, is what the manifests' pods have. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { V1Deployment, V1StatefulSet } from '@kubernetes/client-node';
import { clusterKey } from '../../src/federation/names.ts';
import { documentsOf, objectOf } from '../manifests/files.ts';
import { targetLabels } from './exposed-metrics.ts';

interface Monitor {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly namespaceSelector?: unknown;
    readonly selector: { readonly matchLabels: unknown; readonly matchExpressions?: readonly unknown[] };
    readonly podMetricsEndpoints: readonly unknown[];
  };
}

type Named<T> = T & { kind: string; metadata: { name: string } };

const partOf = { 'app.kubernetes.io/part-of': 'falco-federation' };

test('webhook and forwarder have the label and the port', () => {
  for (const folder of ['base', 'forwarder']) {
    // Safe: the assertions show it.
    const [{ labels }] = documentsOf(`${folder}/kustomization.yaml`) as [
      { labels: [{ pairs: Record<string, string>; includeTemplates: boolean }] },
    ];
    assert.equal(labels[0].pairs['app.kubernetes.io/part-of'], partOf['app.kubernetes.io/part-of']);
    assert.equal(labels[0].includeTemplates, true);
  }
  const workloads: readonly (V1Deployment | V1StatefulSet)[] = [
    objectOf<Named<V1Deployment>>('base/deployment.yaml', 'Deployment'),
    objectOf<Named<V1StatefulSet>>('forwarder/stateful-set.yaml', 'StatefulSet'),
  ];
  for (const { spec } of workloads) {
    const ports =
      spec?.template.spec?.containers.flatMap(({ ports: of = [] }) => of.map(({ name }) => name)) ?? [];
    assert.equal(ports.filter((name) => name === 'metrics').length, 1);
  }
});

describe('a PodMonitor', () => {
  // A metric's own `namespace` must not become `exported_namespace`.
  const endpoint = (port: string) => [{ port, honorLabels: true }];

  test('means webhook and forwarder', () => {
    const { spec } = objectOf<Monitor>('components/prometheus-operator/pod-monitors.yaml', 'PodMonitor');
    assert.deepEqual(spec, { selector: { matchLabels: partOf }, podMetricsEndpoints: endpoint('metrics') });
  });

  test("means the hub's falcosidekick", () => {
    const { spec } = objectOf<Monitor>('components/prometheus-operator-hub/pod-monitor.yaml', 'PodMonitor');
    assert.deepEqual(spec, {
      namespaceSelector: { any: true },
      selector: {
        matchLabels: { 'app.kubernetes.io/name': 'falcosidekick' },
        matchExpressions: [{ key: clusterKey, operator: 'Exists' }],
      },
      podMetricsEndpoints: endpoint('http'),
    });
  });
});

test('without the operator the same is scraped, with the same labels', () => {
  interface Job {
    readonly job_name: string;
    readonly honor_labels: boolean;
    readonly relabel_configs: readonly {
      readonly source_labels: readonly string[];
      readonly regex?: string;
      readonly action?: string;
      readonly target_label?: string;
    }[];
  }
  // Safe: promtool reads it as strictly.
  const [{ scrape_configs: jobs }] = documentsOf('prometheus/scrape.yaml') as [
    { scrape_configs: readonly Job[] },
  ];
  const meta = (label: string, kind = 'label') =>
    `__meta_kubernetes_pod_${kind}_${label.replaceAll(/[./-]/g, '_')}`;
  const kept = jobs.map(({ relabel_configs: [keep] }) => [keep?.source_labels, keep?.regex, keep?.action]);
  const port = '__meta_kubernetes_pod_container_port_name';
  assert.deepEqual(kept, [
    [[meta('app.kubernetes.io/part-of'), port], 'falco-federation;metrics', 'keep'],
    [
      [meta('app.kubernetes.io/name'), meta(clusterKey, 'labelpresent'), port],
      'falcosidekick;true;http',
      'keep',
    ],
  ]);
  for (const {
    honor_labels,
    relabel_configs: [, ...others],
  } of jobs) {
    assert.equal(honor_labels, true);
    assert.deepEqual(
      others.map(({ target_label }) => target_label),
      [...targetLabels],
    );
  }
});
