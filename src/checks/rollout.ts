import type { InspectedPod, InspectedWorkload } from '../cluster/index.ts';
import { statusOf } from '../coverage/seen-pod.ts';
import { firstTrouble } from '../coverage/trouble.ts';
import { error, type Line, warning } from './line.ts';

/** Why no node takes a pod. */
export function whyUnscheduled({ status }: InspectedPod): string | undefined {
  const found = status?.conditions?.find(({ type, status: is }) => type === 'PodScheduled' && is === 'False');
  return found && `cannot be scheduled: ${found.message ?? 'no reason given'}`;
}

/** What keeps a pod from ever being ready, if it stays as it is. */
export function stuckBy(pod: InspectedPod): string | undefined {
  const unscheduled = whyUnscheduled(pod);
  if (unscheduled !== undefined) return unscheduled;
  const trouble = firstTrouble(statusOf(pod), () => true);
  return trouble === undefined || trouble.runningSince !== undefined
    ? undefined
    : `${trouble.container}: ${trouble.why}`;
}

/**
 * A rollout that is not done: while old replicas serve, a new one that does not start is easily overlooked.
 *
 * @param resource as kubectl names it: `deployment/x`
 */
export function rolloutLines(
  check: string,
  resource: string,
  namespace: string,
  { spec, status }: InspectedWorkload,
  pods: readonly InspectedPod[],
): readonly Line[] {
  const wanted = spec.replicas ?? 1;
  if (status === undefined || status === null) return [];
  const updated = status.updatedReplicas ?? 0;
  if (updated >= wanted && (status.replicas ?? 0) <= wanted) return [];
  const text = `rollout of ${resource}: ${updated} of ${wanted} replicas updated`;
  const fix = `kubectl --namespace ${namespace} rollout status ${resource} --timeout=60s   # or back: kubectl --namespace ${namespace} rollout undo ${resource}`;
  const deadline = status.conditions?.find(
    ({ type, status: is }) => type === 'Progressing' && is === 'False',
  );
  const [reason = deadline?.message] = pods.flatMap((pod) => {
    const why = stuckBy(pod);
    return why === undefined ? [] : [`${pod.metadata.name}: ${why}`];
  });
  return typeof reason === 'string'
    ? [error(check, text, `it does not proceed: ${reason}`, fix)]
    : [warning(check, text, 'it is in progress', fix)];
}
