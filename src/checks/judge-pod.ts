/** How a pod stands to today's settings. */
import type { ContainerStatus, InspectedPod } from '../cluster/index.ts';
import { effectiveIdentity } from '../federation/identity.ts';
import {
  copyRulesContainer,
  followRulesContainer,
  placeCopierContainer,
  tagRulesContainer,
  version,
} from '../federation/names.ts';
import { findFalco } from '../injection/falco/find-falco.ts';
import { findFalcosidekick } from '../injection/falcosidekick/find-falcosidekick.ts';
import { inject } from '../injection/inject.ts';
import { type PodTemplate, readPodTemplate } from '../injection/pod-template.ts';
import { readStatus, type Status } from '../injection/status.ts';
import { type Finding, type ReasonCode, reasons } from '../reasons/reasons.ts';
import type { Settings } from '../settings/schema.ts';

export type PodState = 'federated' | 'stale' | 'not_federated' | 'skipped' | 'failing';

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

const ours: ReadonlySet<string> = new Set([
  placeCopierContainer,
  copyRulesContainer,
  tagRulesContainer,
  followRulesContainer,
]);

/** The workload that made a pod. A Deployment's ReplicaSet is called after it and the template's hash. */
export function workloadOf({ metadata }: InspectedPod): string {
  const owner = metadata.ownerReferences?.[0];
  if (owner === undefined) return `pod/${metadata.name}`;
  const end = `-${metadata.labels?.['pod-template-hash']}`;
  if (owner.kind === 'ReplicaSet' && owner.name.endsWith(end)) {
    return `deployment/${owner.name.slice(0, -end.length)}`;
  }
  return `${owner.kind.toLowerCase()}/${owner.name}`;
}

interface Failure {
  readonly container: string;
  readonly why: string;
}

/** Waiting for these ends by itself. */
const passing: ReadonlySet<string> = new Set(['ContainerCreating', 'PodInitializing']);

function failureOf({ name, state, lastState }: ContainerStatus): Failure | undefined {
  const ended =
    [state?.terminated, lastState?.terminated].find((one) => one && one.exitCode !== 0) ?? undefined;
  const said = ended?.message?.startsWith('{') === false ? `: ${ended.message.slice(0, 200)}` : '';
  const waiting = state?.waiting;
  if (waiting?.reason !== undefined && !passing.has(waiting.reason)) {
    const last = ended === undefined ? '' : `, last exit status ${ended.exitCode}${said}`;
    return { container: name, why: `${waiting.reason}${last}` };
  }
  const now = state?.terminated;
  return now && now.exitCode !== 0
    ? { container: name, why: `exit status ${now.exitCode}${said}` }
    : undefined;
}

function containerName(
  found: ReturnType<typeof findFalco> | ReturnType<typeof findFalcosidekick>,
): string | undefined {
  return found !== undefined && 'container' in found ? found.container.name : undefined;
}

function firstFailure({ status }: InspectedPod, { spec }: PodTemplate): Failure | undefined {
  const watched = new Set([...ours, containerName(findFalco(spec)), containerName(findFalcosidekick(spec))]);
  const all = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  return all
    .filter(({ name }) => watched.has(name))
    .map(failureOf)
    .find((one) => one !== undefined);
}

function needsAttention(code: string): code is ReasonCode {
  if (!Object.hasOwn(reasons, code)) return false;
  // Safe: it is one of the table's own keys.
  const { severity } = reasons[code as ReasonCode];
  return severity === 'warning' || severity === 'error';
}

type Judged = Pick<JudgedPod, 'state' | 'reason' | 'why' | 'container'>;

/**
 * The first line that holds:
 *
 * | pod                                                         | state         |
 * | ----------------------------------------------------------- | ------------- |
 * | a container of ours, Falco or falcosidekick fails           | failing       |
 * | without status, injection would change it                   | not_federated |
 * | without status, injection would leave it                    | skipped       |
 * | its status has other settings or another version            | stale         |
 * | anything else                                               | federated     |
 */
function judged(
  status: Status | undefined,
  failure: Failure | undefined,
  hash: string,
  outcome: Finding,
): Judged {
  const nothing = { reason: undefined, container: undefined };
  if (failure !== undefined) {
    return {
      ...nothing,
      state: 'failing',
      why: `${failure.container}: ${failure.why}`,
      container: failure.container,
    };
  }
  if (status === undefined) {
    return outcome.code === 'injected'
      ? { ...nothing, state: 'not_federated', why: '' }
      : { ...nothing, state: 'skipped', reason: outcome, why: '' };
  }
  if (status.version !== version)
    return { ...nothing, state: 'stale', why: `injected by version ${status.version}` };
  if (status.settings !== hash) return { ...nothing, state: 'stale', why: 'injected with other settings' };
  return { ...nothing, state: 'federated', why: '' };
}

/**
 * @param settings those in force
 * @returns undefined for pods that are neither Falco nor falcosidekick
 */
export function judgePod(
  pod: InspectedPod,
  settings: Settings,
  namespaceAnnotations: Readonly<Record<string, string>> | undefined,
): JudgedPod | undefined {
  const template = readPodTemplate(pod, []);
  if (template === undefined) return undefined;
  if ((findFalco(template.spec) ?? findFalcosidekick(template.spec)) === undefined) return undefined;
  const { identity } = effectiveIdentity(settings, namespaceAnnotations, template.metadata?.annotations);
  const status = readStatus(template);
  const outcome: Finding =
    status === undefined ? inject(template, identity).reason : { code: 'already_injected' };
  return {
    pod,
    template,
    name: pod.metadata.name,
    workload: workloadOf(pod),
    findings: (status?.findings ?? []).filter(needsAttention),
    ...judged(status, firstFailure(pod, template), identity.hash, outcome),
  };
}
