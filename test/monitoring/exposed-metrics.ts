/** What there is to be asked for: what the programs answer to a scrape, and what others do. */
import { decide } from '../../src/admission/decide.ts';
import { makeForwarderMetrics } from '../../src/forwarding/forwarder-metrics.ts';
import { Fleet } from '../../src/receiving/fleet.ts';
import { makeReceiverMetrics } from '../../src/receiving/receiver-metrics.ts';
import { makeMetrics } from '../../src/server/metrics.ts';
import { settingsFrom } from '../injection/pods.ts';

/** Names of metrics, each with the labels that its samples have. */
export type Exposed = ReadonlyMap<string, ReadonlySet<string>>;

/** Labels that scraping adds (manifests/prometheus/scrape.yaml, and the operator of itself). */
export const targetLabels: ReadonlySet<string> = new Set(['namespace', 'pod']);

function metricsIn(scrape: string): Exposed {
  const found = new Map<string, Set<string>>();
  for (const [, name = '', labels = ''] of scrape.matchAll(/^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$/gm)) {
    const known = found.get(name) ?? new Set();
    for (const [, label = ''] of labels.matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)) known.add(label);
    found.set(name, known);
  }
  return found;
}

async function webhook(): Promise<Exposed> {
  const settings = settingsFrom('cluster: staging\n');
  const sources = {
    version: '1.2.3',
    certificateNotAfter: () => new Date(),
    settings: () => ({ cluster: 'staging', role: 'spoke', valid: true }),
    namespaces: () => ({ known: 1, synced: true }),
    pods: () => ({
      synced: true,
      states: [{ namespace: 'falco', workloadKind: 'DaemonSet', state: 'stale', pods: 1 }],
      findings: [{ namespace: 'falco', code: 'pod_stale', pods: 1 }],
    }),
  };
  const metrics = makeMetrics(sources);
  const object = {
    metadata: { annotations: { 'falco-federation.io/unknown': 'x' } },
    spec: { containers: [{ name: 'falco', image: 'falco:0.44.1', args: ['/usr/bin/falco'] }] },
  };
  const request = {
    uid: '1',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    operation: 'CREATE',
    namespace: 'falco',
    object,
  };
  metrics.decided(
    decide(
      { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request },
      { settings: () => settings, namespaceAnnotations: () => undefined },
    ),
  );
  metrics.answered(0.001);
  return metricsIn(await metrics.registry.metrics());
}

async function forwarder(): Promise<Exposed> {
  const sources = {
    version: '1.2.3',
    settings: () => ({ cluster: 'staging', role: 'spoke', valid: true }),
    store: () => ({ events: 1, bytes: 100, oldest: Date.now(), size: 1, problem: undefined }),
    spoolLimit: () => 2,
    pausing: () => ({ events: 0, wait: 0 }),
    hubReachable: () => true,
    clientCertificateNotAfter: () => new Date(),
  };
  const metrics = makeForwarderMetrics(sources);
  metrics.refused('too_large');
  metrics.dropped(new Map([[0, 1]]));
  metrics.delivered(1, 0.1);
  metrics.rejected(1);
  return metricsIn(await metrics.registry.metrics());
}

async function receiver(): Promise<Exposed> {
  const fleet = new Fleet(() => ['staging']);
  fleet.connected('staging', Date.now());
  fleet.reported('staging', {
    ...{ version: '1.2.3', replica: 'forwarder-0', waiting: { events: 1, bytes: 100 } },
    pods: { federated: 1 },
  });
  const metrics = makeReceiverMetrics({
    ...{ version: '1.2.3', fleet },
    settings: () => ({ cluster: 'obsrv', role: 'hub', valid: true }),
    falcosidekickReachable: () => true,
    heldBack: () => false,
    certificateNotAfter: () => new Date(),
  });
  metrics.passed('staging', 'notice');
  metrics.claimed('staging');
  metrics.refused('too_large');
  metrics.answered(0.1);
  return metricsIn(await metrics.registry.metrics());
}

/** falcosidekick's, as 2.32.0 answers (ran), on a hub with the label `env` (FACTS 3.7). */
const falcosidekick: Exposed = new Map([
  [
    'falcosecurity_falcosidekick_falco_events_total',
    new Set([
      ...['hostname', 'rule', 'priority', 'priority_raw', 'source', 'k8s_ns_name', 'k8s_pod_name'],
      'env',
    ]),
  ],
  ['falcosecurity_falcosidekick_inputs_total', new Set(['source', 'status'])],
  ['falcosecurity_falcosidekick_outputs_total', new Set(['destination', 'status'])],
]);

/** kube-apiserver's, as 1.36 has it. */
const apiServer: Exposed = new Map([
  ['apiserver_admission_webhook_fail_open_count', new Set(['name', 'type'])],
]);

export async function exposedMetrics(): Promise<Exposed> {
  const all = new Map<string, Set<string>>();
  const programs = [await webhook(), await forwarder(), await receiver()];
  for (const exposed of [...programs, falcosidekick, apiServer]) {
    for (const [name, labels] of exposed) all.set(name, new Set([...(all.get(name) ?? []), ...labels]));
  }
  return all;
}
