import type { V1PodSpec } from '@kubernetes/client-node';
import type { EffectiveSettings } from '../federation/effective-settings.ts';
import type { Finding } from '../reasons/reasons.ts';
import type { SeenAs } from './pod-template.ts';
import type { ReadPod } from './read-pod.ts';
import type { Status } from './status.ts';

/** Kind of a Secret that our image is pulled with, in the status annotation. */
export const pullSecret = 'imagePullSecret';

/** Secrets that are ours in a pod. */
export interface PullSecrets {
  readonly names: readonly string[];
  readonly findings: readonly Finding[];
}

const noPullSecrets: PullSecrets = { names: [], findings: [] };

const namesIn = ({ imagePullSecrets }: V1PodSpec): readonly string[] =>
  (imagePullSecrets ?? []).flatMap(({ name }) => name ?? []);

function isOurs(name: string, before: Status | undefined): boolean {
  return before?.added.includes(`${pullSecret}/${name}`) === true;
}

/**
 * The Secrets that the settings name and the pod's user does not.
 *
 * A pod gets those of its service account only while it names none itself, before any webhook is asked. So to a template
 * that names none they are left to its pods where those are met too; in a file they must be, as our image may not be
 * pulled without, and that is told.
 */
export function planPullSecrets(
  { template, status }: ReadPod,
  { rules }: EffectiveSettings,
  seenAs: SeenAs,
): PullSecrets {
  const users = namesIn(template.spec).filter((name) => !isOurs(name, status));
  const names = rules.imagePullSecrets.filter((name) => !users.includes(name));
  if (names.length === 0 || users.length > 0 || seenAs === 'pod') return { names, findings: [] };
  if (seenAs === 'workload') return noPullSecrets;
  return { names, findings: [{ code: 'pull_secrets_of_account_hidden', detail: names.join(', ') }] };
}

/** Adds what is missing, at the end, and takes out what an earlier injection added and is not wanted. */
export function withPullSecrets(
  spec: V1PodSpec,
  before: Status | undefined,
  wanted: readonly string[],
): V1PodSpec {
  const all = spec.imagePullSecrets ?? [];
  const kept = all.filter(({ name = '' }) => !isOurs(name, before) || wanted.includes(name));
  const missing = wanted.filter((name) => !kept.some((one) => one.name === name));
  if (kept.length === all.length && missing.length === 0) return spec;
  const next = [...kept, ...missing.map((name) => ({ name }))];
  if (next.length > 0) return { ...spec, imagePullSecrets: next };
  const { imagePullSecrets: _, ...rest } = spec;
  return rest;
}
