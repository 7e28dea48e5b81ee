/** How a pod stands to today's settings: what the webhook's coverage says of it, with what more is seen from here. */
import type { InspectedPod } from '../cluster/index.ts';
import { assess, type PodState } from '../coverage/assess.ts';
import { type Failure, firstFailure } from '../coverage/container-failure.ts';
import { containerIn, containersIn, statusOf } from '../coverage/pod-status.ts';
import { type SeenPod, seePod } from '../coverage/seen-pod.ts';
import { attentionCodes } from '../coverage/tagging-report.ts';
import { kubectlName } from '../coverage/workload.ts';
import {
  type Annotations,
  type EffectiveSettings,
  effectiveSettings,
} from '../federation/effective-settings.ts';
import { version } from '../federation/names.ts';
import { inject } from '../injection/inject.ts';
import { type PodTemplate, readPodTemplate } from '../injection/pod-template.ts';
import { readStatus } from '../injection/status.ts';
import type { Finding, ReasonCode } from '../reasons/reasons.ts';
import type { Settings } from '../settings/schema.ts';
import { whyUnscheduled } from './programs.ts';
import { isReady } from './replica.ts';

export interface JudgedPod {
  readonly pod: InspectedPod;
  readonly template: PodTemplate;
  readonly name: string;
  /** As kubectl names it: `daemonset/falco`. */
  readonly workload: string;
  readonly state: PodState;
  /** Of a skipped pod: why. */
  readonly reason: Finding | undefined;
  /** Of others: what there is to say. */
  readonly why: string;
  /** Which container fails. */
  readonly container: string | undefined;
  /** Codes that its injection found and that need attention. */
  readonly findings: readonly ReasonCode[];
}

type Judged = Pick<JudgedPod, 'state' | 'reason' | 'why' | 'container'>;

/** What the container wrote of its end in its own words; a report of `tag-rules` has a line of its own. */
function lastWords(pod: InspectedPod, container: string): string {
  const { state, lastState } = containerIn(statusOf(pod), container) ?? {};
  const message = state?.terminated?.message ?? lastState?.terminated?.message;
  return message === undefined || message.startsWith('{') ? '' : `: ${message.slice(0, 200)}`;
}

function asFailing(pod: InspectedPod, { container, why }: Failure): Judged {
  return {
    state: 'failing',
    reason: undefined,
    why: `${container}: ${why}${lastWords(pod, container)}`,
    container,
  };
}

/** As the kubelet says it, such as `ContainerCreating` for a volume that is not there. */
function whyNotReady(pod: InspectedPod): string {
  const [first] = containersIn(statusOf(pod)).filter(({ state }) => state?.waiting);
  return `not ready${first === undefined ? '' : ` (${first.name}: ${first.state?.waiting?.reason})`}`;
}

/** Why injection leaves a pod alone, with the particulars, which coverage does not keep. */
function whyLeft(template: PodTemplate, effective: EffectiveSettings, { outcome }: SeenPod): Finding {
  return outcome === 'opted_out' || outcome === 'internal_error'
    ? { code: outcome }
    : inject(template, effective).reason;
}

function judged(
  pod: InspectedPod,
  template: PodTemplate,
  seen: SeenPod,
  effective: EffectiveSettings,
  now: number,
): Judged {
  const { state } = assess(seen, effective, now);
  const as = { state, reason: undefined, why: '', container: undefined };
  if (state === 'failing' && seen.failure !== undefined) return asFailing(pod, seen.failure);
  if (state === 'skipped') return { ...as, reason: whyLeft(template, effective, seen) };
  const own = firstFailure(statusOf(pod), () => true);
  if (own !== undefined && own.runningSince === undefined) return asFailing(pod, own);
  const told = whyUnscheduled(pod);
  if (told !== undefined) return { ...as, state: 'failing', why: told };
  if (state === 'federated') return { ...as, why: isReady(pod) ? '' : whyNotReady(pod) };
  if (state !== 'stale' || seen.seal === undefined) return as;
  return {
    ...as,
    why:
      seen.seal.version === version
        ? 'injected with different settings'
        : `injected by version ${seen.seal.version}`,
  };
}

/**
 * @param settings those in force
 * @param now milliseconds
 * @returns undefined for pods that are neither Falco nor falcosidekick, and for those that have ended
 */
export function judgePod(
  pod: InspectedPod,
  settings: Settings,
  namespaceAnnotations: Annotations,
  now: number,
): JudgedPod | undefined {
  const template = readPodTemplate(pod, []);
  if (template === undefined) return undefined;
  const effectiveFor = (own: Annotations): EffectiveSettings =>
    effectiveSettings(settings, namespaceAnnotations, own).effective;
  const seen = seePod(pod, pod.metadata.namespace ?? '', effectiveFor);
  if (seen === undefined) return undefined;
  return {
    pod,
    template,
    name: seen.name,
    workload: kubectlName(seen.workload),
    findings: attentionCodes(readStatus(template)?.findings ?? []),
    ...judged(pod, template, seen, effectiveFor(seen.annotations), now),
  };
}
