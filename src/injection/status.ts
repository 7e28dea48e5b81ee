import type { Identity } from '../federation/identity.ts';
import { statusAnnotation, version } from '../federation/names.ts';
import type { PodTemplate } from './pod-template.ts';

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

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

/** Reads the status that an earlier injection left; anything else than our JSON counts as none. */
export function readStatus(template: PodTemplate): Status | undefined {
  const text = template.metadata?.annotations?.[statusAnnotation];
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('added' in value)) return undefined;
    const { added } = value;
    if (!isTextList(added)) return undefined;
    const findings: unknown = Reflect.get(value, 'findings');
    const textOf = (key: string): string => {
      const field: unknown = Reflect.get(value, key);
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

/** The status annotation's text. */
export function statusFor(identity: Identity, added: readonly string[], codes: readonly string[]): string {
  const findings = [...new Set(codes)].sort();
  const status = { version, cluster: identity.cluster, settings: identity.hash, added };
  return JSON.stringify(findings.length === 0 ? status : { ...status, findings });
}
