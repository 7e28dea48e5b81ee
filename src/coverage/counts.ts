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

/** Sums by what they are told by. */
export function countsOf(workloads: ReadonlyMap<string, WorkloadSurvey>): Counts {
  const states = new Map<string, PodCount>();
  const findings = new Map<string, FindingCount>();
  for (const { workload, states: byState, findings: byCode } of workloads.values()) {
    const { namespace, kind: workloadKind } = workload;
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
