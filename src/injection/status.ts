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
}

/** Reads the status that an earlier injection left; anything else than our JSON counts as none. */
export function readStatus(template: PodTemplate): Status | undefined {
  const text = template.metadata?.annotations?.[statusAnnotation];
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('added' in value)) return undefined;
    const { added } = value;
    if (!Array.isArray(added) || !added.every((one) => typeof one === 'string')) return undefined;
    const textOf = (key: string): string => {
      const field: unknown = Reflect.get(value, key);
      return typeof field === 'string' ? field : '';
    };
    return { version: textOf('version'), cluster: textOf('cluster'), settings: textOf('settings'), added };
  } catch {
    return undefined;
  }
}

export function statusFor(identity: Identity, added: readonly string[]): string {
  const status: Status = { version, cluster: identity.cluster, settings: identity.hash, added };
  return JSON.stringify(status);
}
