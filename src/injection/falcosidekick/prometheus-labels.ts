import { isBefore, type Version } from '../image.ts';
import { type Environment, readVariable, textOf } from './environment.ts';
import { readFields } from './fields.ts';

/** The name of a field as a Prometheus label: falcosidekick makes `.` a `_`, so `k8s.ns` and `k8s_ns` are one. */
export function prometheusName(key: string): string {
  return key.replaceAll('.', '_');
}

/** falcosidekick's own labels, and the version that brought each (FACTS 3.4). */
const ownLabels: readonly (readonly [name: string, minor: number])[] = [
  ['rule', 0],
  ['priority', 0],
  ['k8s_ns_name', 0],
  ['k8s_pod_name', 0],
  ['hostname', 28],
  ['source', 29],
  ['priority_raw', 30],
];

/** The keys that falcosidekick would make labels of, as far as they can be read. */
export interface FieldKeys {
  readonly custom: readonly string[];
  readonly templated: readonly string[];
  readonly extra: readonly string[];
}

export function readFieldKeys(environment: Environment): FieldKeys {
  const keysOf = (name: string): string[] => [...readFields(textOf(readVariable(environment, name))).keys()];
  const extra = textOf(readVariable(environment, 'PROMETHEUS_EXTRALABELS')).replaceAll(' ', '');
  return {
    custom: keysOf('CUSTOMFIELDS'),
    templated: keysOf('TEMPLATEDFIELDS'),
    extra: extra.split(',').filter((one) => one !== ''),
  };
}

/**
 * Names that falcosidekick would give to two of its labels, on which it stops at its start. Fields whose names cannot be
 * labels get none; templated fields do since 2.31, custom fields with a dot since 2.30.
 */
export function doubledLabels(
  { custom, templated, extra }: FieldKeys,
  version: Version | undefined,
): string[] {
  const names = [
    ...ownLabels.filter(([, minor]) => !isBefore(version, 2, minor)).map(([name]) => name),
    ...(isBefore(version, 2, 30) ? custom : custom.map(prometheusName)),
    ...(isBefore(version, 2, 31) ? [] : templated.map(prometheusName)),
    ...extra.map(prometheusName),
  ].filter((name) => /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name));
  return [...new Set(names.filter((name, at) => names.indexOf(name) !== at))];
}

/** Fields on which falcosidekick 2.30 to 2.33 panics at every event: it forgets there that their dots became `_` (FACTS 3.4). */
export function panickingFields({ custom, templated }: FieldKeys, version: Version | undefined): string[] {
  if (version === undefined || isBefore(version, 2, 30) || !isBefore(version, 2, 34)) return [];
  const fields = isBefore(version, 2, 31) ? custom : [...custom, ...templated];
  return fields.filter((key) => /^[a-zA-Z_.][a-zA-Z0-9_.]*$/.test(key) && key.includes('.'));
}
