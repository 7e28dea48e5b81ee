import type { Annotations, EffectiveSettings } from '../federation/effective-settings.ts';
import {
  followRulesContainer,
  injectLabel,
  ownContainers,
  prefix,
  statusAnnotation,
  tagRulesContainer,
} from '../federation/names.ts';
import { findFalco } from '../injection/falco/find-falco.ts';
import { findFalcosidekick } from '../injection/falcosidekick/find-falcosidekick.ts';
import { inject } from '../injection/inject.ts';
import { type PodTemplate, readPodTemplate } from '../injection/pod-template.ts';
import { readStatus } from '../injection/status.ts';
import type { ReasonCode } from '../reasons/reasons.ts';
import { type Failure, failureOf, firstFailure } from './container-failure.ts';
import { interned } from './interned.ts';
import { statusOf } from './pod-status.ts';
import { attentionCodes, reportedCodes } from './tagging-report.ts';
import { type Workload, workloadOf } from './workload.ts';

/** With which settings a pod was injected, by which version. */
export interface Seal {
  readonly settings: string;
  readonly version: string;
}

/** What is kept of a pod with Falco or falcosidekick. There may be thousands: what they share is one object. */
export interface SeenPod {
  readonly name: string;
  readonly resourceVersion: string;
  readonly uid: string;
  readonly workload: Workload;
  /** It is being deleted. */
  readonly ending: boolean;
  /** Our annotations on it that override settings. */
  readonly annotations: Annotations;
  /** `undefined`: it was not injected. */
  readonly seal: Seal | undefined;
  /** What injection would come to where it was not injected or asks to be left alone; otherwise `already_injected`. */
  readonly outcome: ReasonCode;
  /** The hash of the effective settings with which the outcome was worked out. */
  readonly outcomeFor: string;
  /** What was found at its admission and by `tag-rules`, as far as it needs attention. */
  readonly findings: readonly ReasonCode[];
  readonly failure: Failure | undefined;
}

const overrides = interned<Annotations>();
const seals = interned<Seal>();
const findingLists = interned<readonly ReasonCode[]>();

function ownAnnotations({ metadata }: PodTemplate): Annotations {
  const own = Object.entries(metadata?.annotations ?? {}).filter(
    ([key]) => key.startsWith(prefix) && key !== statusAnnotation,
  );
  return own.length === 0 ? undefined : overrides(JSON.stringify(own), () => Object.fromEntries(own));
}

/** The very function that the webhook calls says what it would do: there is one recognition. */
function outcomeOf(template: PodTemplate, isInjected: boolean, effective: EffectiveSettings): ReasonCode {
  if (template.metadata?.labels?.[injectLabel] === 'disabled') return 'opted_out';
  if (isInjected) return 'already_injected';
  try {
    return inject(template, effective).reason.code;
  } catch {
    return 'internal_error';
  }
}

/** The name of falcosidekick's container; '' where there is none or it cannot be told. */
function sidekickOf({ spec }: PodTemplate): string {
  const found = findFalcosidekick(spec);
  return found !== undefined && 'container' in found ? found.container.name : '';
}

/** Containers that injection added, as the annotation says, and that somebody has taken out again. */
function removedFrom({ spec }: PodTemplate, added: readonly string[]): Failure | undefined {
  const there = new Set([...(spec.initContainers ?? []), ...spec.containers].map(({ name }) => name));
  const gone = added.flatMap((one) => {
    const [kind, name = ''] = one.split('/');
    return (kind === 'container' || kind === 'initContainer') && ownContainers.has(name) && !there.has(name)
      ? [name]
      : [];
  });
  return gone.length === 0 ? undefined : failureOf(gone.join(', '), 'removed by another webhook or a policy');
}

function isOurs({ spec }: PodTemplate): boolean {
  return findFalco(spec) !== undefined || findFalcosidekick(spec) !== undefined;
}

/**
 * What of a pod counts here; `undefined` for pods that are neither Falco nor falcosidekick, and for those that have
 * ended.
 *
 * @param pod as the API server sends it
 * @param effectiveFor the settings in force for a pod with these annotations by today's settings, in its namespace
 */
export function seePod(
  pod: unknown,
  namespace: string,
  effectiveFor: (annotations: Annotations) => EffectiveSettings,
): SeenPod | undefined {
  const template = readPodTemplate(pod, []);
  if (template === undefined || !isOurs(template)) return undefined;
  const status = statusOf(pod);
  if (status.phase === 'Succeeded' || status.phase === 'Failed') return undefined;
  const metadata = template.metadata ?? {};
  const annotations = ownAnnotations(template);
  const effective = effectiveFor(annotations);
  const injected = readStatus(template);
  const sidekick = sidekickOf(template);
  const codes = [
    ...attentionCodes(injected?.findings ?? []),
    ...reportedCodes(status, tagRulesContainer),
    ...reportedCodes(status, followRulesContainer),
  ];
  const findings = [...new Set(codes)].sort();
  return {
    name: metadata.name ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
    uid: metadata.uid ?? '',
    workload: workloadOf(namespace, metadata),
    ending: Boolean(metadata.deletionTimestamp),
    annotations,
    seal: injected && sealOf(injected),
    outcome: outcomeOf(template, injected !== undefined, effective),
    outcomeFor: effective.hash,
    findings: findingLists(findings.join(), () => findings),
    failure:
      removedFrom(template, injected?.added ?? []) ??
      firstFailure(status, (name) => ownContainers.has(name) || name === sidekick),
  };
}

function sealOf({ settings, version }: Seal): Seal {
  return seals(`${settings} ${version}`, () => ({ settings, version }));
}
