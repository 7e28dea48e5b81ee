/**
 * The chart is the kustomization, object by object: with the same settings and options both come to the same, but for
 * what only one of the two ways can have.
 *
 * Part of `npm run e2e`; alone by `node --test test/e2e/chart/equal.e2e.ts`.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { missingClients } from '../clients/programs.ts';
import {
  comparable,
  type Kustomization,
  type Rendered,
  renderChart,
  renderKustomization,
} from './rendered.ts';

const address = 'https://falcosidekick.hub.example';
const spoke = { cluster: 'change-me', role: 'spoke', hub: { address } };
const marked = { cluster: 'change-me' };

interface Pair {
  readonly values: object;
  readonly kustomization: Kustomization;
}

const pairs: Readonly<Record<string, Pair>> = {
  'a cluster without a hub': { values: marked, kustomization: { resources: ['base'] } },
  'a spoke': { values: spoke, kustomization: { resources: ['overlays/spoke'] } },
  'a hub': { values: { cluster: 'change-me', role: 'hub' }, kustomization: { resources: ['overlays/hub'] } },
  'cert-manager': {
    values: { ...marked, certManager: { enabled: true } },
    kustomization: { resources: ['overlays/cert-manager'] },
  },
  "the nodes' network": {
    values: { ...marked, hostNetwork: { enabled: true } },
    kustomization: { resources: ['overlays/host-network'] },
  },
  'what replaces stale pods': {
    values: { ...spoke, rollout: { restartStale: true } },
    kustomization: { resources: ['overlays/spoke'], components: ['components/restart-stale'] },
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
const onlyChart = ['Secret falco-federation-webhook-certificates', 'Lease falco-federation-webhook-restarts'];

/** What the release has made need not be created by the program, which would do so again while it is taken away. */
function withoutCreate(object: Rendered): Rendered {
  if (object.kind !== 'Role' || object.rules === undefined) return object;
  const rules = object.rules.filter(({ verbs }) => !verbs.includes('create'));
  return { ...object, rules };
}

function without(
  all: ReadonlyMap<string, Rendered>,
  names: readonly string[],
): ReadonlyMap<string, Rendered> {
  return new Map([...all].filter(([name]) => !names.includes(name)));
}

/** Settings that the file of an overlay does not have, as its user adds them for the same options. */
function settingsOf(values: object): object {
  const { cluster, role, hub, injectAt, rollout } = { ...values } as Readonly<Record<string, unknown>>;
  return JSON.parse(JSON.stringify({ cluster, role, hub, injectAt, rollout }));
}

export function checkEquality(): void {
  for (const [about, { values, kustomization }] of Object.entries(pairs)) {
    test(`${about}: the same objects`, () => {
      const resources = [...kustomization.resources, 'check-role'];
      const wanted = without(renderKustomization({ ...kustomization, resources }), onlyKustomize);
      for (const helm of ['helm-3', 'helm-4'] as const) {
        const found = without(renderChart(values, { helm }), onlyChart);
        assert.deepEqual([...found.keys()].sort(), [...wanted.keys()].sort(), helm);
        for (const [name, object] of wanted) {
          const expected =
            name === 'ConfigMap falco-federation-webhook'
              ? { ...object, data: { 'federation.yaml': settingsOf(values) } }
              : withoutCreate(object);
          assert.deepEqual(comparable(found.get(name)), expected, `${helm}: ${name}`);
        }
      }
    });
  }
}

if (process.argv[1] === import.meta.filename) {
  const missing = missingClients();
  describe(
    'the chart and the kustomization',
    { skip: missing.length > 0 && `needs ${missing}` },
    checkEquality,
  );
}
