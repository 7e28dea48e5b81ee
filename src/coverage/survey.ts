import type { EffectiveSettings } from '../federation/effective-settings.ts';
import type { Finding } from '../reasons/reasons.ts';
import { type Assessment, assess, type PodState } from './assess.ts';
import type { SeenPod } from './seen-pod.ts';
import type { Workload } from './workload.ts';

/** A finding, and how many pods of a workload it is true of. */
export interface CountedFinding {
  readonly finding: Finding;
  readonly pods: number;
}

/** The pods of a workload, as far as they are not being deleted. */
export interface WorkloadSurvey {
  readonly workload: Workload;
  readonly states: ReadonlyMap<PodState, number>;
  /** By code: of several particulars the first. */
  readonly findings: ReadonlyMap<Finding['code'], CountedFinding>;
}

/** Who a pod is by today's settings. */
export type EffectiveFor = (namespace: string, pod: SeenPod) => EffectiveSettings;

class Tally implements WorkloadSurvey {
  readonly workload: Workload;
  readonly states = new Map<PodState, number>();
  readonly findings = new Map<Finding['code'], CountedFinding>();

  constructor(workload: Workload) {
    this.workload = workload;
  }

  add({ state, reason }: Assessment, { findings }: SeenPod): void {
    this.states.set(state, (this.states.get(state) ?? 0) + 1);
    if (reason !== undefined) this.note(reason);
    for (const code of findings) this.note({ code });
  }

  private note(finding: Finding): void {
    const before = this.findings.get(finding.code);
    const pods = (before?.pods ?? 0) + 1;
    // The same words whatever the order in which pods came: they are part of an Event's name.
    const detail = [before?.finding.detail, finding.detail].filter((one) => one !== undefined).sort()[0];
    this.findings.set(finding.code, {
      finding: detail === undefined ? { code: finding.code } : { code: finding.code, detail },
      pods,
    });
  }
}

/** How the workloads with Falco or falcosidekick are, by their keys. */
export function survey(
  pods: Iterable<SeenPod>,
  effectiveFor: EffectiveFor,
  now: number,
): ReadonlyMap<string, WorkloadSurvey> {
  const workloads = new Map<string, Tally>();
  for (const pod of pods) {
    if (pod.ending) continue;
    const { workload } = pod;
    const tally = workloads.get(workload.key) ?? new Tally(workload);
    workloads.set(workload.key, tally);
    tally.add(assess(pod, effectiveFor(workload.namespace, pod), now), pod);
  }
  return workloads;
}
