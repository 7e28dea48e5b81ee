/** Lines of `check` that a real cluster shows only now and then; the others are in test/e2e/check. */
import assert from 'node:assert/strict';
import { describe, mock, test } from 'node:test';
import type { V1Pod } from '@kubernetes/client-node';
import jsonPatch from 'fast-json-patch';
import { injectObject } from '../../src/admission/inject-object.ts';
import { dryRun } from '../../src/checks/dry-run.ts';
import { falcosidekick } from '../../src/checks/falcosidekick.ts';
import { forwarder } from '../../src/checks/forwarder.ts';
import type { Line } from '../../src/checks/line.ts';
import { aboutConfigurations } from '../../src/checks/webhook-configuration.ts';
import type { InspectedPod, InspectedWebhooks } from '../../src/cluster/index.ts';
import { settingsFrom } from '../injection/pods.ts';
import { documentsOf } from '../manifests/files.ts';
import { podNamed, pretendCluster } from './pretend-cluster.ts';

const spoke = 'cluster: staging\nhub: {address: "https://hub.corp.net"}\n';

function injected(pod: V1Pod, settings: string): V1Pod {
  const { patch } = injectObject(pod, 'Pod', settingsFrom(settings), undefined);
  return jsonPatch.applyPatch(pod, [...patch], true, false).newDocument;
}

function told(lines: readonly Line[], name: string): string | undefined {
  const found = lines.filter(({ check }) => check === name);
  assert.ok(found.length <= 1, JSON.stringify(found));
  return found[0] && [found[0].mark, found[0].text, found[0].why].filter(Boolean).join(' | ');
}

describe('the forwarder', () => {
  const pod = podNamed('falco-federation-forwarder-0');

  function linesBy(metrics: Readonly<Record<string, number>>): Promise<readonly Line[]> {
    const samples = Object.entries(metrics).map(
      ([name, value]) => `falco_federation_forwarder_${name} ${value}`,
    );
    const at = pod.metadata.name;
    const pages = {
      [`${at} 8080/readyz`]: '[+] spool: ok\n[+] credentials: ok\n',
      [`${at} 9090/metrics`]: `${samples.join('\n')}\n`,
    };
    return forwarder.look(pretendCluster({ settings: spoke, ours: [pod], pages }));
  }

  for (const [about, metrics, line] of [
    [
      'nearly full',
      { waiting_events: 9, spool_bytes: 90, spool_limit_bytes: 100 },
      'error | falco-federation-forwarder-0: 9 events wait, spool at 90 % | the spool is nearly full; once it is full, the oldest events of the lowest priority are dropped',
    ],
    [
      'full, and events went',
      { waiting_events: 9, spool_bytes: 99, spool_limit_bytes: 100, events_dropped_total: 1 },
      'error | falco-federation-forwarder-0: 9 events wait, spool at 99 % | the spool is full: 1 event dropped already',
    ],
    [
      'small: full at half of it',
      { waiting_events: 9, spool_bytes: 60, spool_limit_bytes: 100, events_dropped_total: 1 },
      'error | falco-federation-forwarder-0: 9 events wait, spool at 60 % | the spool is full: 1 event dropped already',
    ],
    [
      'it was full',
      { waiting_events: 0, spool_bytes: 1, spool_limit_bytes: 100, events_dropped_total: 2 },
      'warning | falco-federation-forwarder-0: 0 events wait, spool at 1 % | the spool was full: 2 events dropped since it started',
    ],
    [
      'not full',
      { waiting_events: 1, spool_bytes: 89, spool_limit_bytes: 100 },
      'ok | falco-federation-forwarder-0: 1 event waits, spool at 89 %',
    ],
  ] as const) {
    test(`its spool: ${about}`, async () => {
      assert.equal(told(await linesBy(metrics), 'forwarder_spool'), line);
    });
  }

  test('events that the hub refused for good, and how to read them', async () => {
    const lines = await linesBy({
      'events_rejected_total{status="413"}': 2,
      'events_rejected_total{status="400"}': 1,
    });
    assert.equal(
      told(lines, 'forwarder_rejected'),
      'warning | falco-federation-forwarder-0 | the hub has refused 3 events permanently since it started',
    );
    assert.match(lines.find(({ check }) => check === 'forwarder_rejected')?.fix ?? '', /--list-rejected/);
    assert.equal(
      told(await linesBy({ 'events_rejected_total{status="413"}': 0 }), 'forwarder_rejected'),
      undefined,
    );
  });
});

describe('the dry run', () => {
  for (const [about, took, line, own = 0] of [
    ['by a slow API server', 1_400, /^warning \| .* and the API server itself is slow: it took 0\.9 s/, 900],
    ['soon', 40, /^ok \| .*federated \(dry run, 40 ms\)$/],
    [
      'late',
      1_400,
      /^warning \| .*1400 ms\) \| it took 1\.4 s; after 5\.0 s the API server creates it without/,
    ],
  ] as const) {
    test(`injected, ${about}`, async () => {
      let now = 1_000;
      const clock = mock.method(performance, 'now', () => now);
      const view = pretendCluster({
        settings: spoke,
        version: async () => {
          now += own;
        },
        dryRun: async (_, pod) => {
          now += took;
          const { metadata, ...made } = injected(pod, spoke);
          return { ...made, metadata: { ...metadata, name: 'falco-federation-check-abcde' } } as InspectedPod;
        },
      });
      try {
        assert.match(told(await dryRun.look(view), 'dry_run') ?? '', line);
      } finally {
        clock.mock.restore();
      }
    });
  }
});

describe("the hub's falcosidekick", () => {
  const hub = 'cluster: obsrv\nrole: hub\nlabels: {env: obsrv}\n';
  const sidekick = (version: string, env: { name: string; value: string }[] = []): V1Pod => ({
    metadata: { name: 'falco-falcosidekick-abcde' },
    spec: {
      containers: [{ name: 'falcosidekick', image: `docker.io/falcosecurity/falcosidekick:${version}`, env }],
    },
  });
  test("labels that stop it are told; a spoke's is not looked at", async () => {
    const stops = sidekick('2.33.0', [
      { name: 'CUSTOMFIELDS', value: 'team:red' },
      { name: 'PROMETHEUS_EXTRALABELS', value: 'team' },
    ]);
    const look = (settings: string) => falcosidekick.look(pretendCluster({ settings, pods: [stops] }));
    assert.match(
      told(await look(hub), 'falcosidekick_labels') ?? '',
      /^error .* team would be a duplicate label/,
    );
    assert.deepEqual(await look(spoke), []);
  });

  test('well, with fields that overwrite what spokes say, or not there', async () => {
    const look = (...pods: readonly V1Pod[]) => falcosidekick.look(pretendCluster({ settings: hub, pods }));
    const well = injected(sidekick('2.32.0'), hub);
    assert.match(told(await look(well), 'falcosidekick_labels') ?? '', /^ok .* are valid$/);
    const fields = [
      { name: 'CUSTOMFIELDS', value: 'env:obsrv' },
      { name: 'TEMPLATEDFIELDS', value: 'env:x' },
    ];
    assert.match(
      told(await look(sidekick('2.30.0', fields)), 'falcosidekick_labels') ?? '',
      /^error .* env, and overwrite what the spokes say|^error .* duplicate label/,
    );
    assert.match(told(await look(), 'hub_falcosidekick') ?? '', /^error .* go nowhere$/);
  });
});

describe('the webhook of workloads, and injectAt', () => {
  const pods = documentsOf('base/webhook-configuration.yaml')[0] as unknown as InspectedWebhooks;
  // Safe: it is the patch that adds the webhook.
  const [{ value }] = documentsOf('components/workloads/webhook.yaml')[0] as [{ value: object }];
  const both = { ...pods, webhooks: [...(pods.webhooks ?? []), value] } as InspectedWebhooks;
  const marks = (found: typeof pods, injectAt: 'pod' | 'workload') =>
    aboutConfigurations([found], injectAt, { namespace: 'ours', role: 'spoke', objects: [] })
      .filter(({ check, mark }) => check === 'webhook_selection' && mark !== 'ok')
      .map(({ mark, why }) => `${mark} ${why}`);

  test('go together', () => {
    assert.deepEqual(marks(pods, 'pod'), []);
    assert.deepEqual(marks(both, 'workload'), []);
    assert.deepEqual(marks(both, 'pod'), [], 'which leaves it alone');
  });

  test('workload, and no such webhook: templates stay as they are', () => {
    const [said, ...more] = marks(pods, 'workload');
    assert.match(
      said ?? '',
      /^error the settings say injectAt: workload, and it has no webhook inject-workloads\./,
    );
    assert.deepEqual(more, []);
  });

  test('another selection of workloads', () => {
    const [, second] = both.webhooks ?? [];
    assert.ok(second !== undefined);
    const other = {
      ...both,
      webhooks: [...(pods.webhooks ?? []), { ...second, objectSelector: { matchLabels: {} } }],
    };
    assert.match(
      marks(other, 'workload')[0] ?? '',
      /^error not as this version does: objectSelector is different/,
    );
  });
});
