/** What one of our programs tells of itself through the API server: readiness and metrics. */
import type { InspectedCluster, InspectedPod } from '../cluster/index.ts';
import { messageOf } from '../reasons/message-of.ts';

/** One line of /readyz: `[+] name: detail`. */
export interface Condition {
  readonly ready: boolean;
  readonly detail: string;
}

export interface Replica {
  readonly name: string;
  /** As the kubelet found it. */
  readonly ready: boolean;
  /** Conditions by name; or why it could not be asked. */
  readonly readiness: ReadonlyMap<string, Condition> | { readonly problem: string };
  readonly metrics: Metrics | undefined;
}

export interface Metrics {
  /** Values of a metric's samples with their labels. */
  readonly samples: (name: string) => readonly Sample[];
  /** The value of the only sample. */
  readonly value: (name: string) => number | undefined;
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export function readConditions(text: string): ReadonlyMap<string, Condition> {
  const found = text.split('\n').flatMap((line) => {
    const [, sign, name, detail] = /^\[([+-])\] ([^:]+): (.*)$/.exec(line) ?? [];
    if (name === undefined || detail === undefined) return [];
    return [[name, { ready: sign === '+', detail }] as const];
  });
  return new Map(found);
}

const sampleLine = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const labelPair = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

/** Samples of Prometheus' text format. */
export function readMetrics(text: string): Metrics {
  const all = new Map<string, Sample[]>();
  for (const line of text.split('\n')) {
    const [, name, labels = '', value] = sampleLine.exec(line) ?? [];
    if (name === undefined || value === undefined) continue;
    const pairs = [...labels.matchAll(labelPair)].map(([, key = '', said = '']) => [
      key,
      said.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped)),
    ]);
    const sample: Sample = { labels: Object.fromEntries(pairs), value: Number(value) };
    all.set(name, [...(all.get(name) ?? []), sample]);
  }
  const samples = (name: string): readonly Sample[] => all.get(name) ?? [];
  return { samples, value: (name) => samples(name)[0]?.value };
}

/** Number of a named port of a pod's container. */
export function portOf({ spec }: InspectedPod, name: string): number | undefined {
  return spec.containers.flatMap(({ ports }) => ports ?? []).find((port) => port.name === name)
    ?.containerPort;
}

export function isReady({ status }: InspectedPod): boolean {
  return status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true;
}

async function ask(
  cluster: InspectedCluster,
  namespace: string,
  pod: InspectedPod,
  port: 'health' | 'metrics',
  path: string,
): Promise<string> {
  const number = portOf(pod, port);
  if (number === undefined) throw new Error(`the pod has no port named ${port}`);
  return (await cluster.getFromPod(namespace, pod.metadata.name, String(number), path)).text;
}

/** Asks a pod of ours. What cannot be asked is no error: NetworkPolicies and firewalls may keep the API server out. */
export async function askReplica(
  cluster: InspectedCluster,
  namespace: string,
  pod: InspectedPod,
): Promise<Replica> {
  const [readiness, metrics] = await Promise.allSettled([
    ask(cluster, namespace, pod, 'health', 'readyz'),
    ask(cluster, namespace, pod, 'metrics', 'metrics'),
  ]);
  return {
    name: pod.metadata.name,
    ready: isReady(pod),
    readiness:
      readiness.status === 'fulfilled'
        ? readConditions(readiness.value)
        : { problem: messageOf(readiness.reason) },
    metrics: metrics.status === 'fulfilled' ? readMetrics(metrics.value) : undefined,
  };
}

/** Condition of a replica by name; undefined where it does not tell. */
export function condition({ readiness }: Replica, name: string): Condition | undefined {
  return 'problem' in readiness ? undefined : readiness.get(name);
}
