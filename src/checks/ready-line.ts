import type { InspectedPod, InspectedWorkload } from '../cluster/index.ts';
import { counted, error, type Line, ok, some, warning } from './line.ts';
import { isReady, type Replica, whyNotRunning } from './replica.ts';
import { stuckBy } from './rollout.ts';

/** Replicas of a program of ours. */
export interface Replicas {
  /** Of the line. */
  readonly check: string;
  /** `the forwarder`. */
  readonly what: string;
  /** Name of the workload, and value of its pods' label. */
  readonly name: string;
  readonly namespace: string;
  readonly workload: InspectedWorkload;
  readonly pods: readonly InspectedPod[];
  readonly replicas: readonly Replica[];
  /** What comes of none being ready. */
  readonly consequence: string;
}

/** Why pods are not ready: the kubelet's words, else their own. */
export function whyNotReady(pods: readonly InspectedPod[], replicas: readonly Replica[]): string {
  const reasons = pods
    .filter((pod) => !isReady(pod))
    .map((pod) => {
      const { name } = pod.metadata;
      const replica = replicas.find((one) => one.name === name);
      const readiness = replica === undefined || 'problem' in replica.readiness ? [] : [...replica.readiness];
      const own = readiness
        .filter(([, { ready }]) => !ready)
        .map(([what, { detail }]) => `${what}: ${detail}`);
      return `${name}: ${whyNotRunning(pod) ?? (own.length > 0 ? own.join('; ') : 'not ready')}`;
    });
  return some(reasons, 2);
}

/** @param scale how to have some again where the workload asks for none */
export function readyLine(of: Replicas, scale: string): Line {
  const { check, what, name, namespace, workload, pods, replicas, consequence } = of;
  const wanted = workload.spec.replicas ?? 1;
  const ready = pods.filter(isReady).length;
  const text = `${ready} of ${counted(wanted, 'replica')} of ${what} ${wanted === 1 ? 'is' : 'are'} ready`;
  if (ready >= wanted && wanted > 0) return ok(check, text);
  if (wanted === 0)
    return error(check, text, `${workload.metadata.name} asks for none, so ${consequence}`, scale);
  const why = pods.length === 0 ? 'there are no pods' : whyNotReady(pods, replicas);
  const fix = `kubectl --namespace ${namespace} describe pod --selector app.kubernetes.io/name=${name}`;
  if (ready === 0) return error(check, text, `${why}; ${consequence}`, fix);
  return pods.some((pod) => stuckBy(pod) !== undefined)
    ? error(check, text, why, fix)
    : warning(check, text, why, fix);
}
