/**
 * A KRM function's ResourceList (config.kubernetes.io/v1), as kustomize and kpt send it to a function: the objects, the
 * function's configuration.
 */
import { stringify } from 'yaml';
import { isRecord } from '../injection/record.ts';
import { parseSettings, type SettingsResult } from '../settings/load.ts';
import { readYaml } from './kubernetes-yaml.ts';

function isResourceList(object: unknown): object is Record<string, unknown> {
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
