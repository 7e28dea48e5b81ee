import { createHash } from 'node:crypto';
import type { ZodType } from 'zod';
import { messageOf } from '../reasons/message-of.ts';
import type { Finding } from '../reasons/reasons.ts';
import {
  type Alerts,
  carriesFields,
  defaultAlerts,
  defaultForwarderAddress,
  labelProblems,
  type Settings,
  settingsSchema,
  tag,
} from '../settings/schema.ts';
import {
  clusterKey,
  falcoVersionAnnotation,
  injectLabel,
  labelsAnnotation,
  prefix,
  statusAnnotation,
  tagsAnnotation,
} from './names.ts';

/** The settings in force for a pod: the cluster's, with what its namespace's and its own annotations override. */
export interface EffectiveSettings {
  readonly cluster: string;
  readonly role: Settings['role'];
  /** Custom fields on every alert. */
  readonly labels: Readonly<Record<string, string>>;
  /** Tags on every rule. */
  readonly tags: readonly string[];
  readonly rules: Settings['rules'];
  /**
   * How alerts are shipped, and to which forwarder: on a spoke with a hub. The hub behind it is no pod's business, so that
   * it can change.
   */
  readonly alerts: (Alerts & { readonly to: string }) | undefined;
  /** Version of Falco where an annotation says it: `0.44.1`; it counts before the image's tag. */
  readonly falcoVersion?: string;
  /** Twelve hexadecimal digits that change when anything above does. */
  readonly hash: string;
}

export type Annotations = Readonly<Record<string, string>> | undefined;

interface Overrides {
  readonly cluster?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly tags?: readonly string[];
  readonly falcoVersion?: string;
}

/** Why a value is not allowed; undefined where it is. */
function whyNot(schema: ZodType, value: unknown): string | undefined {
  return schema.safeParse(value).error?.issues[0]?.message;
}

/** @throws Error with what is wrong */
function allowed<T>(value: T, why: string | undefined): T {
  if (why !== undefined) throw new Error(why);
  return value;
}

/** More than anybody has, and few enough for a pod's arguments: an annotation may be as long as a book. */
const mostParts = 100;

function partsOf(text: string): readonly string[] {
  const parts = text.split(',').map((part) => part.trim());
  const why = parts.length > mostParts ? `it must have at most ${mostParts} parts` : undefined;
  return allowed(
    parts.filter((part) => part !== ''),
    why,
  );
}

function labelsOf(text: string, asFields: boolean): Record<string, string> {
  const labels = Object.fromEntries(
    partsOf(text).map((part) => {
      const at = part.indexOf('=');
      return allowed(
        [part.slice(0, at), part.slice(at + 1)],
        at < 0 ? `"${part}" must be key=value` : undefined,
      );
    }),
  );
  return allowed(labels, labelProblems(labels, { asFields })[0]?.message);
}

function falcoVersionOf(text: string): string {
  const version = /^v?(\d+\.\d+(?:\.\d+)?(?:-[0-9A-Za-z.-]+)?)$/.exec(text.trim())?.[1];
  return allowed(
    version ?? '',
    version === undefined ? "it must be Falco's own version, such as 0.44.1" : undefined,
  );
}

/** What an annotation overrides. Each throws an Error with what is wrong. */
const parsers = new Map<string, (text: string, settings: Settings) => Overrides>([
  [clusterKey, (text) => ({ cluster: allowed(text, whyNot(settingsSchema.shape.cluster, text)) })],
  [labelsAnnotation, (text, settings) => ({ labels: labelsOf(text, carriesFields(settings)) })],
  [
    tagsAnnotation,
    (text) => ({ tags: [...new Set(partsOf(text).map((one) => allowed(one, whyNot(tag, one))))] }),
  ],
  [falcoVersionAnnotation, (text) => ({ falcoVersion: falcoVersionOf(text) })],
]);

/** A value as it is told. */
function shown(text: string): string {
  return text.length > 100 ? `${text.slice(0, 99)}…` : text;
}

/** Reads one object's annotations; what is wrong becomes a finding and changes nothing. */
function readOverrides(
  annotations: Annotations,
  where: string,
  settings: Settings,
  findings: Finding[],
): Overrides {
  let overrides: Overrides = {};
  for (const [key, text] of Object.entries(annotations ?? {})) {
    if (!key.startsWith(prefix) || key === statusAnnotation) continue;
    const parse = parsers.get(key);
    if (parse === undefined) {
      const hint = key === injectLabel ? ': it is a label, not an annotation' : '';
      findings.push({ code: 'annotation_unknown', detail: `${key} on the ${where}${hint}` });
      continue;
    }
    try {
      overrides = { ...overrides, ...parse(text, settings) };
    } catch (error) {
      const detail = `${key}=${shown(text)} on the ${where}: ${messageOf(error)}`;
      findings.push({ code: 'annotation_invalid', detail });
    }
  }
  return overrides;
}

/** Labels and tags that nobody wrote out follow the effective cluster name; those written out stay. */
function effectiveFrom(settings: Settings, overrides: Overrides): Omit<EffectiveSettings, 'hash'> {
  const cluster = overrides.cluster ?? settings.cluster;
  return {
    cluster,
    role: settings.role,
    labels: overrides.labels ?? settings.labels ?? { env: cluster },
    tags: overrides.tags ?? settings.tags ?? (whyNot(tag, cluster) === undefined ? [cluster] : []),
    rules: settings.rules,
    alerts: settings.hub && {
      ...(settings.alerts ?? defaultAlerts),
      to: settings.forwarder?.address ?? defaultForwarderAddress,
    },
    ...(overrides.falcoVersion === undefined ? {} : { falcoVersion: overrides.falcoVersion }),
  };
}

function hashOf(effective: Omit<EffectiveSettings, 'hash'>): string {
  return createHash('sha256').update(JSON.stringify(effective)).digest('hex').slice(0, 12);
}

/** Those without overrides, which are nearly all: made once for each settings object. */
const plain = new WeakMap<Settings, EffectiveSettings>();

/**
 * The settings in force for a pod: pod annotations win over namespace annotations, those over the settings.
 *
 * @param namespaceAnnotations of the pod's namespace, `undefined` where they are not known
 * @returns them, and a warning for each annotation of ours that is unknown or not allowed
 */
export function effectiveSettings(
  settings: Settings,
  namespaceAnnotations: Annotations,
  podAnnotations: Annotations,
): { readonly effective: EffectiveSettings; readonly findings: readonly Finding[] } {
  const findings: Finding[] = [];
  const overrides = {
    ...readOverrides(namespaceAnnotations, 'namespace', settings, findings),
    ...readOverrides(podAnnotations, 'pod', settings, findings),
  };
  const overridden = Object.keys(overrides).length > 0;
  const why =
    overrides.cluster === undefined || (overrides.tags ?? settings.tags) !== undefined
      ? undefined
      : whyNot(tag, overrides.cluster);
  if (why !== undefined) {
    const detail = `${clusterKey}=${overrides.cluster} cannot be a tag, so rules get none; set ${tagsAnnotation} too: ${why}`;
    findings.push({ code: 'annotation_invalid', detail });
  }
  const known = overridden ? undefined : plain.get(settings);
  if (known !== undefined) return { effective: known, findings };
  const bare = effectiveFrom(settings, overrides);
  const effective = { ...bare, hash: hashOf(bare) };
  if (!overridden) plain.set(settings, effective);
  return { effective, findings };
}
