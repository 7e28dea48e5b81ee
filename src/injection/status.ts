import type { EffectiveSettings } from '../federation/effective-settings.ts';
import { clusterKey, ownContainers, statusAnnotation, version, volumeName } from '../federation/names.ts';
import type { Finding } from '../reasons/reasons.ts';
import type { PodTemplate } from './pod-template.ts';
import { isRecord } from './record.ts';

/** The status annotation: what was put into a pod, by which version, from which settings. */
export interface Status {
  readonly version: string;
  readonly cluster: string;
  /** Hash of the effective settings: `check` compares it with the present ones. */
  readonly settings: string;
  /** What is ours in the pod, as `kind/name` or `container/field`. */
  readonly added: readonly string[];
  /** Codes of what was found on the way, sorted. Not written where there are none. */
  readonly findings: readonly string[];
}

/** All that we add has such a name: whatever an annotation says, nothing else goes. */
export function isOurName(name: string): boolean {
  return name.startsWith(volumeName);
}

const ownByName: Readonly<Record<string, ReadonlySet<string>>> = {
  container: ownContainers,
  initContainer: ownContainers,
};
const none: ReadonlySet<string> = new Set();

/** Names of one kind that an earlier injection added; our containers tell it by their names too. */
export function addedNames(status: Status | undefined, kind: string): ReadonlySet<string> {
  const always = ownByName[kind] ?? none;
  if (status === undefined) return always;
  const prefix = `${kind}/`;
  const names = status.added.filter((one) => one.startsWith(prefix)).map((one) => one.slice(prefix.length));
  return new Set([...always, ...names.filter(isOurName)]);
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

/** Reads the status that an earlier injection left; anything else than our JSON counts as none. */
export function readStatus(template: PodTemplate): Status | undefined {
  const text = template.metadata?.annotations?.[statusAnnotation];
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (!isRecord(value)) return undefined;
    const { added, findings } = value;
    if (!isTextList(added)) return undefined;
    const textOf = (key: string): string => {
      const field = value[key];
      return typeof field === 'string' ? field : '';
    };
    return {
      version: textOf('version'),
      cluster: textOf('cluster'),
      settings: textOf('settings'),
      added,
      findings: isTextList(findings) ? findings : [],
    };
  } catch {
    return undefined;
  }
}

/** What an injection came to, as far as the status tells it. */
export interface Outcome {
  readonly added: readonly string[];
  readonly findings: readonly Finding[];
}

function statusFor(effective: EffectiveSettings, { added, findings }: Outcome): string {
  const codes = [...new Set(findings.map(({ code }) => code))].sort();
  return JSON.stringify({
    version,
    cluster: effective.cluster,
    settings: effective.hash,
    added,
    ...(codes.length === 0 ? {} : { findings: codes }),
  });
}

/** The template with our label and status annotation. */
export function withStatus(
  template: PodTemplate,
  effective: EffectiveSettings,
  outcome: Outcome,
): PodTemplate {
  const { metadata } = template;
  const status = statusFor(effective, outcome);
  const { labels, annotations } = metadata ?? {};
  if (labels?.[clusterKey] === effective.cluster && annotations?.[statusAnnotation] === status)
    return template;
  return {
    ...template,
    metadata: {
      ...metadata,
      labels: { ...labels, [clusterKey]: effective.cluster },
      annotations: { ...annotations, [statusAnnotation]: status },
    },
  };
}

function withoutKey(
  map: Record<string, string> | undefined,
  key: string,
): Record<string, string> | undefined {
  if (map?.[key] === undefined) return map;
  const { [key]: _, ...rest } = map;
  return Object.keys(rest).length === 0 ? undefined : rest;
}

/** The template without our label and status annotation. */
export function withoutStatus(template: PodTemplate): PodTemplate {
  const { metadata } = template;
  if (metadata?.annotations?.[statusAnnotation] === undefined) return template;
  const { labels, annotations, ...others } = metadata;
  const kept = {
    labels: withoutKey(labels, clusterKey),
    annotations: withoutKey(annotations, statusAnnotation),
  };
  return {
    ...template,
    metadata: {
      ...others,
      ...(kept.labels === undefined ? {} : { labels: kept.labels }),
      ...(kept.annotations === undefined ? {} : { annotations: kept.annotations }),
    },
  };
}
