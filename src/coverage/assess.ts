import type { EffectiveSettings } from '../federation/effective-settings.ts';
import { version } from '../federation/names.ts';
import type { Finding } from '../reasons/reasons.ts';
import { wellAfter } from './container-failure.ts';
import type { SeenPod } from './seen-pod.ts';

export const podStates = ['federated', 'stale', 'not_federated', 'skipped', 'failing'] as const;

export type PodState = (typeof podStates)[number];

/** How a pod stands to today's settings. */
export interface Assessment {
  readonly state: PodState;
  /** What there is to say of it; `undefined` for one that is as it should be. */
  readonly reason: Finding | undefined;
}

const federated: Assessment = { state: 'federated', reason: undefined };
const stale: Assessment = { state: 'stale', reason: { code: 'pod_stale' } };
const notFederated: Assessment = { state: 'not_federated', reason: { code: 'pod_not_federated' } };

function failing({ failure }: SeenPod, now: number): Finding | undefined {
  if (failure === undefined) return undefined;
  const { container, why, runningSince } = failure;
  if (runningSince !== undefined && now - runningSince >= wellAfter) return undefined;
  return { code: 'pod_failing', detail: `${container}: ${why}` };
}

/**
 * The first line that holds:
 *
 * | pod                                                    | state         |
 * | ------------------------------------------------------ | ------------- |
 * | asks to be left alone                                  | skipped       |
 * | without status, injection would change it              | not_federated |
 * | without status, injection would leave it               | skipped       |
 * | a container of ours or falcosidekick fails             | failing       |
 * | its status has other settings or another version       | stale         |
 * | anything else                                          | federated     |
 *
 * @param effective the settings in force for the pod
 * @param now milliseconds
 */
export function assess(pod: SeenPod, effective: EffectiveSettings, now: number): Assessment {
  if (pod.outcome === 'injected') return notFederated;
  if (pod.outcome === 'opted_out' || pod.seal === undefined) {
    return { state: 'skipped', reason: { code: pod.outcome } };
  }
  const reason = failing(pod, now);
  if (reason !== undefined) return { state: 'failing', reason };
  const isToday = pod.seal.settings === effective.hash && pod.seal.version === version;
  return isToday ? federated : stale;
}
