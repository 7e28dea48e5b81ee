import { type PodState, podStates } from './assess.ts';
import type { WorkloadSurvey } from './survey.ts';

/** States in which somebody should look at a workload, the gravest first. */
const troubled: readonly PodState[] = ['failing', 'not_federated', 'stale'];

/** Workloads that are told by name. */
const mostWorkloads = 5;

function words(states: ReadonlyMap<PodState, number>): string {
  return podStates
    .flatMap((state) => {
      const pods = states.get(state) ?? 0;
      return pods === 0 ? [] : [`${pods} ${state.replaceAll('_', ' ')}`];
    })
    .join(', ');
}

function gravity({ states }: WorkloadSurvey): number {
  const at = troubled.findIndex((state) => states.has(state));
  return at < 0 ? troubled.length : at;
}

/** How the pods are, in one line: sums, and the workloads that somebody should look at. */
export function tellCoverage(workloads: ReadonlyMap<string, WorkloadSurvey>): string {
  const sums = new Map<PodState, number>();
  for (const { states } of workloads.values()) {
    for (const [state, pods] of states) sums.set(state, (sums.get(state) ?? 0) + pods);
  }
  if (sums.size === 0) return 'no Falco or falcosidekick pods';
  const unwell = [...workloads.values()]
    .filter((one) => gravity(one) < troubled.length)
    .sort((a, b) => gravity(a) - gravity(b) || (a.workload.key < b.workload.key ? -1 : 1));
  const told = unwell
    .slice(0, mostWorkloads)
    .map(({ workload, states }) => `${workload.key}: ${words(states)}`);
  if (unwell.length > told.length) told.push(`and ${unwell.length - told.length} more workloads`);
  return [words(sums), ...told].join('; ');
}
