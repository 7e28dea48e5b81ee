import type { Finding } from '../reasons/reasons.ts';
import type { PodState } from './assess.ts';
import type { WorkloadSurvey } from './survey.ts';

/** Pods of a namespace, made by one kind of workload, that are in one state. */
export interface PodCount {
  readonly namespace: string;
  readonly workloadKind: string;
  readonly state: PodState;
  readonly pods: number;
}

/** Pods of a namespace of which something was found. */
export interface FindingCount {
  readonly namespace: string;
  readonly code: Finding['code'];
  readonly pods: number;
}

export interface Counts {
  readonly states: readonly PodCount[];
  readonly findings: readonly FindingCount[];
}

/** Kinds that are told by name; what else makes pods is any number of kinds. */
const knownKinds: ReadonlySet<string> = new Set([
  'DaemonSet',
  'Deployment',
  'StatefulSet',
  'ReplicaSet',
  'Job',
  'Pod',
]);

/** So many namespaces are told by name, the first by the alphabet; no namespace can be called as the rest is. */
export const mostNamespaces = 200;
export const restOfNamespaces = '_others';

function namesToTell(workloads: ReadonlyMap<string, WorkloadSurvey>): ReadonlySet<string> {
  const all = [...new Set([...workloads.values()].map(({ workload }) => workload.namespace))].sort();
  return new Set(all.slice(0, mostNamespaces));
}

/** Sums with a bounded number of labels: 201 namespaces, seven kinds, five states and the codes that there are. */
export function countsOf(workloads: ReadonlyMap<string, WorkloadSurvey>): Counts {
  const told = namesToTell(workloads);
  const states = new Map<string, PodCount>();
  const findings = new Map<string, FindingCount>();
  for (const { workload, states: byState, findings: byCode } of workloads.values()) {
    const namespace = told.has(workload.namespace) ? workload.namespace : restOfNamespaces;
    const workloadKind = knownKinds.has(workload.kind) ? workload.kind : 'Other';
    for (const [state, pods] of byState) {
      const key = `${namespace}/${workloadKind}/${state}`;
      states.set(key, { namespace, workloadKind, state, pods: pods + (states.get(key)?.pods ?? 0) });
    }
    for (const [code, { pods }] of byCode) {
      const key = `${namespace}/${code}`;
      findings.set(key, { namespace, code, pods: pods + (findings.get(key)?.pods ?? 0) });
    }
  }
  return { states: [...states.values()], findings: [...findings.values()] };
}
