import { createHash } from 'node:crypto';
import type { EffectiveSettings } from '../federation/effective-settings.ts';
import { clusterKey, ownContainers, statusAnnotation, version, volumeName } from '../federation/names.ts';
import type { Finding } from '../reasons/reasons.ts';
import type { PodTemplate } from './pod-template.ts';
import { isRecord } from './record.ts';

/** A list's element without its name. */
export type Unnamed = Readonly<Record<string, unknown>>;

/** What we wrote, or took out, where a user has something of the same kind, as the status annotation keeps it. */
export interface ChangeRecord {
  /** Hash of what we wrote. */
  readonly is?: string;
  /** What stood in its place; absent where there was nothing. */
  readonly was?: Unnamed;
  /** What we took out, by its index in the list. */
  readonly gone?: Readonly<Record<number, Unnamed>>;
}

/** By name: of a variable of falcosidekick's, of an option of Falco's. */
export type ChangeRecords = Readonly<Record<string, ChangeRecord>>;

/** Tells whether something is still what we wrote. */
export function hashOfText(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

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
  /** What stood in the place of some of it, so that other settings can undo it. */
  readonly records?: ChangeRecords;
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
    const { added, records, findings } = value;
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
      ...(records === undefined ? {} : { records: readRecords(records) }),
    };
  } catch {
    return undefined;
  }
}

/** What an injection came to, as far as the status tells it. */
export interface Outcome {
  readonly added: readonly string[];
  readonly findings: readonly Finding[];
  readonly records: ChangeRecords;
}

function statusFor(effective: EffectiveSettings, { added, findings, records }: Outcome): string {
  const codes = [...new Set(findings.map(({ code }) => code))].sort();
  return JSON.stringify({
    version,
    cluster: effective.cluster,
    settings: effective.hash,
    added,
    ...(codes.length === 0 ? {} : { findings: codes }),
    ...(Object.keys(records).length === 0 ? {} : { records }),
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

/** Reads the records of a status annotation; what has not their shape counts as none. */
function readRecords(value: unknown): ChangeRecords {
  if (!isRecord(value)) return {};
  const records: Record<string, ChangeRecord> = {};
  for (const [name, record] of Object.entries(value)) {
    if (!isRecord(record)) continue;
    const { is, was, gone } = record;
    records[name] = {
      ...(typeof is === 'string' ? { is } : {}),
      ...(isRecord(was) ? { was } : {}),
      ...(isRecord(gone) ? { gone: readElements(gone) } : {}),
    };
  }
  return records;
}

function readElements(value: Readonly<Record<string, unknown>>): Record<number, Unnamed> {
  const elements: Record<number, Unnamed> = {};
  for (const [at, element] of Object.entries(value)) {
    if (/^\d{1,6}$/.test(at) && isRecord(element)) elements[Number(at)] = element;
  }
  return elements;
}
