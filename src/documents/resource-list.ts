/**
 * A KRM function's ResourceList (config.kubernetes.io/v1), as kustomize and kpt send it to a function: the objects, the
 * function's configuration, and the results that it hands back beside the objects.
 */
import type { Operation } from 'fast-json-patch';
import { stringify } from 'yaml';
import { isRecord } from '../injection/record.ts';
import { type Finding, reasons, sentenceOf } from '../reasons/reasons.ts';
import { parseSettings, type SettingsResult } from '../settings/load.ts';
import { readYaml } from './kubernetes-yaml.ts';

/** Which object something is about. */
export interface ResourceRef {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
}

export function isResourceList(object: unknown): object is Record<string, unknown> {
  return isRecord(object) && object.kind === 'ResourceList';
}

/** What the configuration says: a ConfigMap holds federation.yaml, any other kind has the settings as its `spec`. */
function settingsText(configuration: unknown): string | undefined {
  if (!isRecord(configuration)) return undefined;
  const { kind, data, spec } = configuration;
  if (kind !== 'ConfigMap') return isRecord(spec) ? stringify(spec) : undefined;
  const text = isRecord(data) ? data['federation.yaml'] : undefined;
  return typeof text === 'string' ? text : undefined;
}

/**
 * The settings that a ResourceList brings along.
 *
 * @param text what `inject` reads
 * @returns undefined where it is no ResourceList, or its functionConfig holds none
 */
export function settingsInResourceList(text: string): SettingsResult | undefined {
  // Cheaper than to parse whatever comes.
  if (!/\bResourceList\b/.test(text) || !/\bfunctionConfig\b/.test(text)) return undefined;
  const read = readYaml(text);
  if (read.is !== 'read' || !isResourceList(read.object)) return undefined;
  const settings = settingsText(read.object.functionConfig);
  return settings === undefined ? undefined : parseSettings(settings);
}

interface Reported {
  readonly resource?: ResourceRef;
  readonly reason: Finding;
  readonly findings: readonly Finding[];
}

const severities: Readonly<Record<string, string>> = { error: 'error', warning: 'warning', done: 'info' };

/** What is to be told, in the form of a function's results; the change that adds it. */
export function resultsPatch(
  list: Record<string, unknown>,
  reports: readonly Reported[],
): readonly Operation[] {
  const results = reports.flatMap(({ resource, reason, findings }) =>
    [reason, ...findings].flatMap((finding) => {
      const severity = severities[reasons[finding.code].severity];
      if (severity === undefined) return [];
      const about = resource === undefined ? {} : { resourceRef: resource };
      return [{ message: sentenceOf(finding), severity, ...about }];
    }),
  );
  if (results.length === 0) return [];
  const before: unknown[] = Array.isArray(list.results) ? list.results : [];
  return [
    {
      op: Array.isArray(list.results) ? 'replace' : 'add',
      path: '/results',
      value: [...before, ...results],
    },
  ];
}
