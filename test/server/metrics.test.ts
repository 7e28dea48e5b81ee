import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decide } from '../../src/admission/decide.ts';
import { buildMetricsServer, makeMetrics, type PodCounts } from '../../src/server/metrics.ts';
import { settingsFrom } from '../injection/pods.ts';

const settings = settingsFrom('cluster: staging\n');

/** What a scrape gives: sample with its labels → value; comments apart. */
async function scrape(server: ReturnType<typeof buildMetricsServer>) {
  await server.listen({ host: '127.0.0.1', port: 0 });
  const listening = server.server.address();
  const port = typeof listening === 'object' && listening !== null ? listening.port : 0;
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
  const body = await answer.text();
  await server.close();
  assert.equal(answer.status, 200);
  assert.match(String(answer.headers.get('content-type')), /^text\/plain; version=0\.0\.4/);
  const lines = body.split('\n').filter((line) => line !== '');
  const samples = new Map(
    lines
      .filter((line) => !line.startsWith('#'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
  return { samples, comments: lines.filter((line) => line.startsWith('#')) };
}

test('decisions, findings, durations and states are there for a scrape, with help and type', async () => {
  let valid = true;
  let known: { known: number; synced: boolean } | undefined = { known: 3, synced: true };
  let pods: PodCounts | undefined = {
    synced: true,
    states: [
      { namespace: 'falco', workloadKind: 'DaemonSet', state: 'federated', pods: 40 },
      { namespace: 'falco', workloadKind: 'DaemonSet', state: 'stale', pods: 2 },
    ],
    findings: [{ namespace: 'falco', code: 'pod_stale', pods: 2 }],
  };
  const metrics = makeMetrics({
    version: '1.2.3',
    certificateNotAfter: () => new Date('2030-01-01T00:00:00Z'),
    settings: () => ({ cluster: 'staging', role: 'spoke', valid }),
    namespaces: () => known,
    pods: () => pods,
  });
  const server = buildMetricsServer(metrics);
  const request = {
    uid: '1',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    operation: 'CREATE',
    namespace: 'falco',
    object: {
      metadata: { annotations: { 'falco-federation.io/tag': 'x' } },
      spec: { containers: [{ name: 'falco', image: 'falco:0.44.1', args: ['/usr/bin/falco'] }] },
    },
  };
  const sources = { settings: () => settings, namespaceAnnotations: () => undefined };
  for (const object of [request.object, { spec: { containers: [{ name: 'web' }] } }, request.object]) {
    metrics.decided(
      decide(
        { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: { ...request, object } },
        sources,
      ),
    );
    metrics.answered(0.002);
  }
  const { samples, comments } = await scrape(server);
  const expected = {
    'falco_federation_admission_decisions_total{reason="injected"}': 2,
    'falco_federation_admission_decisions_total{reason="not_falco"}': 1,
    'falco_federation_admission_findings_total{code="annotation_unknown"}': 2,
    falco_federation_admission_duration_seconds_count: 3,
    'falco_federation_admission_duration_seconds_bucket{le="0.001"}': 0,
    'falco_federation_admission_duration_seconds_bucket{le="0.0025"}': 3,
    falco_federation_settings_last_reload_successful: 1,
    falco_federation_certificate_not_after_timestamp_seconds: Date.UTC(2030, 0) / 1000,
    falco_federation_namespaces: 3,
    falco_federation_namespaces_synced: 1,
    'falco_federation_pods{namespace="falco",workload_kind="DaemonSet",state="federated"}': 40,
    'falco_federation_pods{namespace="falco",workload_kind="DaemonSet",state="stale"}': 2,
    'falco_federation_pod_findings{namespace="falco",code="pod_stale"}': 2,
    falco_federation_pods_synced: 1,
    'falco_federation_settings_info{cluster="staging",role="spoke"}': 1,
    [`falco_federation_build_info{version="1.2.3",node_version="${process.versions.node}"}`]: 1,
  };
  for (const [sample, value] of Object.entries(expected)) assert.equal(samples.get(sample), value, sample);
  assert.ok((samples.get('process_resident_memory_bytes') ?? 0) > 0);
  for (const name of new Set(
    [...samples.keys()].map((sample) => sample.replace(/(_bucket|_sum|_count)?(\{.*)?$/, '')),
  )) {
    if (!name.startsWith('falco_federation_')) continue;
    for (const word of ['HELP', 'TYPE']) {
      assert.ok(
        comments.some((line) => line.startsWith(`# ${word} ${name} `)),
        `${word} of ${name}`,
      );
    }
  }

  valid = false;
  known = undefined;
  pods = { synced: true, states: [], findings: [] };
  const healed = (await scrape(server)).samples;
  assert.deepEqual(
    [...healed.keys()].filter((sample) => /_pods\{|_pod_findings\{/.test(sample)),
    [],
  );
  pods = undefined;
  const later = (await scrape(server)).samples;
  assert.equal(later.get('falco_federation_settings_last_reload_successful'), 0);
  assert.equal(later.has('falco_federation_namespaces_synced'), false, 'no cluster is not an unsynced one');
  assert.equal(later.has('falco_federation_pods_synced'), false, 'no permission is not an unsynced cluster');
  await server.close();
});
