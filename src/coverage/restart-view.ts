import { version } from '../federation/names.ts';
import { assess } from './assess.ts';
import type { ReplaceablePod, ReplaceableWorkload } from './restart-plan.ts';
import type { SeenPod } from './seen-pod.ts';
import type { IdentityOf } from './survey.ts';
import type { Workload } from './workload.ts';

interface Gathered {
  readonly workload: Workload;
  readonly settings: Set<string>;
  readonly pods: ReplaceablePod[];
}

function gather(pods: Iterable<SeenPod>, identityOf: IdentityOf, now: number): readonly Gathered[] {
  const workloads = new Map<string, Gathered>();
  for (const pod of pods) {
    const { workload, name, uid, revision, createdAt, ready, ending } = pod;
    const one = workloads.get(workload.key) ?? { workload, settings: new Set(), pods: [] };
    workloads.set(workload.key, one);
    const identity = identityOf(workload.namespace, pod);
    const { state, behind } = assess(pod, identity, now);
    one.settings.add(`${identity.hash}/${version}`);
    one.pods.push({
      ...{ name, uid, revision, createdAt, ready, ending, behind },
      missed: state === 'not_federated',
      failing: state === 'failing',
    });
  }
  return [...workloads.values()];
}

/** Since when a workload has had its settings, and whether it was seen with others before. */
interface Since {
  readonly settings: string;
  readonly since: number;
  readonly changed: boolean;
}

/**
 * Workloads as a replacement sees them. Remembers since when each has had its present settings: a replica that reads
 * them a minute later would make a successor of the former ones.
 *
 * @param delay so long must they have been in force, milliseconds
 * @param clock milliseconds that only go forward
 */
export function restartView(
  delay: number,
  clock: () => number,
): (pods: Iterable<SeenPod>, identityOf: IdentityOf, now: number) => readonly ReplaceableWorkload[] {
  let known = new Map<string, Since>();
  return (pods, identityOf, now) => {
    const seen = new Map<string, Since>();
    const workloads = gather(pods, identityOf, now).map((one): ReplaceableWorkload => {
      const { key } = one.workload;
      const settings = [...one.settings].sort().join();
      const before = known.get(key);
      const isSame = before?.settings === settings;
      const now = isSame ? before : { settings, since: clock(), changed: before !== undefined };
      seen.set(key, now);
      const steady = clock() - now.since >= delay;
      const changedAt = now.changed ? now.since : undefined;
      return { workload: one.workload, settings, steady, changedAt, pods: one.pods };
    });
    known = seen;
    return workloads;
  };
}
