import { createHash } from 'node:crypto';
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
  cluster?: string;
  labels?: Record<string, string>;
  tags?: string[];
  falcoVersion?: string;
}

type Parsed<T> = { ok: true; value: T } | { ok: false; why: string };

const clusterSchema = settingsSchema.shape.cluster;

function parseCluster(text: string): Parsed<string> {
  const result = clusterSchema.safeParse(text);
  return result.success
    ? { ok: true, value: result.data }
    : { ok: false, why: result.error.issues[0]?.message ?? '' };
}

function parseTags(text: string): Parsed<string[]> {
  const tags = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  for (const one of tags) {
    const result = tag.safeParse(one);
    if (!result.success) return { ok: false, why: result.error.issues[0]?.message ?? '' };
  }
  return { ok: true, value: [...new Set(tags)] };
}

function parseLabels(text: string, asFields: boolean): Parsed<Record<string, string>> {
  const labels: Record<string, string> = {};
  for (const part of text.split(',').map((one) => one.trim())) {
    if (part === '') continue;
    const at = part.indexOf('=');
    if (at < 0) return { ok: false, why: `"${part}" must be key=value` };
    labels[part.slice(0, at)] = part.slice(at + 1);
  }
  const [problem] = labelProblems(labels, { asFields });
  return problem === undefined ? { ok: true, value: labels } : { ok: false, why: problem.message };
}

function parseFalcoVersion(text: string): Parsed<string> {
  const version = /^v?(\d+\.\d+(?:\.\d+)?(?:-[0-9A-Za-z.-]+)?)$/.exec(text.trim())?.[1];
  return version === undefined
    ? { ok: false, why: "it must be Falco's own version, such as 0.44.1" }
    : { ok: true, value: version };
}

const parsers = {
  [clusterKey]: (text: string, into: Overrides) => {
    const parsed = parseCluster(text);
    if (parsed.ok) into.cluster = parsed.value;
    return parsed;
  },
  [labelsAnnotation]: (text: string, into: Overrides, settings: Settings) => {
    const parsed = parseLabels(text, carriesFields(settings));
    if (parsed.ok) into.labels = parsed.value;
    return parsed;
  },
  [tagsAnnotation]: (text: string, into: Overrides) => {
    const parsed = parseTags(text);
    if (parsed.ok) into.tags = parsed.value;
    return parsed;
  },
  [falcoVersionAnnotation]: (text: string, into: Overrides) => {
    const parsed = parseFalcoVersion(text);
    if (parsed.ok) into.falcoVersion = parsed.value;
    return parsed;
  },
};

function isOverride(key: string): key is keyof typeof parsers {
  return Object.hasOwn(parsers, key);
}

/** A value as it is told: an annotation may be as long as a book. */
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
  const overrides: Overrides = {};
  for (const [key, text] of Object.entries(annotations ?? {})) {
    if (!key.startsWith(prefix) || key === statusAnnotation) continue;
    if (!isOverride(key)) {
      const hint = key === injectLabel ? 'it is a label, not an annotation' : undefined;
      findings.push({
        code: 'annotation_unknown',
        detail: `${key} on the ${where}${hint === undefined ? '' : `: ${hint}`}`,
      });
      continue;
    }
    const parsed = parsers[key](text, overrides, settings);
    if (!parsed.ok) {
      findings.push({
        code: 'annotation_invalid',
        detail: `${key}=${shown(text)} on the ${where}: ${parsed.why}`,
      });
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
    tags: overrides.tags ?? settings.tags ?? (tag.safeParse(cluster).success ? [cluster] : []),
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
  if (overrides.cluster !== undefined && (overrides.tags ?? settings.tags) === undefined) {
    const asTag = tag.safeParse(overrides.cluster);
    if (!asTag.success) {
      const why = asTag.error.issues[0]?.message ?? '';
      findings.push({
        code: 'annotation_invalid',
        detail: `${clusterKey}=${overrides.cluster} cannot be a tag, so rules get none; set ${tagsAnnotation} too: ${why}`,
      });
    }
  }
  const known = overridden ? undefined : plain.get(settings);
  if (known !== undefined) return { effective: known, findings };
  const bare = effectiveFrom(settings, overrides);
  const effective = { ...bare, hash: hashOf(bare) };
  if (!overridden) plain.set(settings, effective);
  return { effective, findings };
}
