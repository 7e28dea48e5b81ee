import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Decision } from '../admission/decide.ts';
import { gauge, type ProgramSources, prefix, programGauges } from './gauges.ts';
import { type Pages, type PlainServer, pagesServer } from './plain-server.ts';

/** What the gauges show; asked at each scrape, and answered from memory. */
export interface MetricsSources extends ProgramSources {
  /** End of the serving certificate's life; `undefined` where there is none yet. */
  readonly certificateNotAfter: () => Date | undefined;
  /** Opted-in namespaces; `undefined` where no API server is watched. */
  readonly namespaces: () => { readonly known: number; readonly synced: boolean } | undefined;
  /** Pods with Falco or falcosidekick in them; `undefined` where no pods can be seen. */
  readonly pods: () => PodCounts | undefined;
}

export interface PodCounts {
  readonly synced: boolean;
  readonly states: readonly {
    readonly namespace: string;
    readonly workloadKind: string;
    readonly state: string;
    readonly pods: number;
  }[];
  readonly findings: readonly { readonly namespace: string; readonly code: string; readonly pods: number }[];
}

export interface Metrics {
  readonly registry: Registry;
  readonly decided: (decision: Decision) => void;
  /** @param seconds from the request's first byte to the answer's last */
  readonly answered: (seconds: number) => void;
}

/** Seconds. An answer takes about a millisecond, and the webhook's timeout in the manifests is 5 s. */
const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** What the gauges of pods show; without a value for what there is none of. */
function podGauges(registry: Registry, pods: MetricsSources['pods']): void {
  new Gauge({
    registers: [registry],
    name: `${prefix}pods`,
    help: 'Pods with Falco or falcosidekick in opted-in namespaces, by how they stand to the settings.',
    labelNames: ['namespace', 'workload_kind', 'state'],
    collect() {
      this.reset();
      for (const { namespace, workloadKind, state, pods: count } of pods()?.states ?? []) {
        this.set({ namespace, workload_kind: workloadKind, state }, count);
      }
    },
  });
  new Gauge({
    registers: [registry],
    name: `${prefix}pod_findings`,
    help: 'Pods of which something was found, by code; docs/reasons.md explains each.',
    labelNames: ['namespace', 'code'],
    collect() {
      this.reset();
      for (const { namespace, code, pods: count } of pods()?.findings ?? []) {
        this.set({ namespace, code }, count);
      }
    },
  });
  gauge(
    registry,
    'pods_synced',
    'Whether the pods of opted-in namespaces have been listed (1); absent without the permission to see them.',
    () => {
      const known = pods();
      return known === undefined ? undefined : Number(known.synced);
    },
  );
}

/** The metrics of one webhook, with Node's and the process's own; names after Prometheus' conventions. */
export function makeMetrics(sources: MetricsSources): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const decisions = new Counter({
    registers: [registry],
    name: `${prefix}admission_decisions_total`,
    help: 'Admission requests by reason code; docs/reasons.md explains each.',
    labelNames: ['reason'],
  });
  const findings = new Counter({
    registers: [registry],
    name: `${prefix}admission_findings_total`,
    help: 'What was found besides the reason, by code; docs/reasons.md explains each.',
    labelNames: ['code'],
  });
  const duration = new Histogram({
    registers: [registry],
    name: `${prefix}admission_duration_seconds`,
    help: 'From a request to the end of its answer, as seen by the webhook.',
    buckets,
  });
  programGauges(registry, sources);
  gauge(registry, 'certificate_not_after_timestamp_seconds', 'When the serving certificate expires.', () => {
    const date = sources.certificateNotAfter();
    return date && Math.floor(date.getTime() / 1000);
  });
  gauge(registry, 'namespaces', 'Namespaces known to be opted in.', () => sources.namespaces()?.known);
  gauge(
    registry,
    'namespaces_synced',
    'Whether the opted-in namespaces have been listed (1); before, their annotations do not count.',
    () => {
      const namespaces = sources.namespaces();
      return namespaces === undefined ? undefined : Number(namespaces.synced);
    },
  );
  podGauges(registry, sources.pods);
  return {
    registry,
    decided: ({ reason, findings: others }) => {
      decisions.inc({ reason: reason.code });
      for (const { code } of others) findings.inc({ code });
    },
    answered: (took) => duration.observe(took),
  };
}

/** `GET /metrics`, and other pages, over plain HTTP, on a port of its own. */
export function buildMetricsServer({ registry }: Pick<Metrics, 'registry'>, others: Pages = {}): PlainServer {
  return pagesServer({
    ...others,
    '/metrics': async () => ({ status: 200, type: registry.contentType, text: await registry.metrics() }),
  });
}
