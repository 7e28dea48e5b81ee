/** Names on which falcosidekick stops (FACTS 3.4): the fields of a pod, as far as Secrets can be read here. */
import { isBefore, type Version } from '../injection/image.ts';

/** The keys that falcosidekick would make labels of. */
export interface FieldKeys {
  readonly custom: readonly string[];
  readonly templated: readonly string[];
  readonly extra: readonly string[];
}

/** falcosidekick's own labels, and the version that brought each. */
const ownLabels: readonly (readonly [name: string, minor: number])[] = [
  ...(['rule', 'priority', 'k8s_ns_name', 'k8s_pod_name'] as const).map((name) => [name, 0] as const),
  ['hostname', 28],
  ['source', 29],
  ['priority_raw', 30],
];

const asLabel = (key: string): string => key.replaceAll('.', '_');

/** Names that two of its labels would have: it stops at its start. */
export function doubledLabels(keys: FieldKeys, version: Version | undefined): readonly string[] {
  const names = [
    ...ownLabels.filter(([, minor]) => !isBefore(version, 2, minor)).map(([name]) => name),
    ...(isBefore(version, 2, 30) ? keys.custom : keys.custom.map(asLabel)),
    ...(isBefore(version, 2, 31) ? [] : keys.templated.map(asLabel)),
    ...keys.extra.map(asLabel),
  ].filter((name) => /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name));
  return [...new Set(names.filter((name, at) => names.indexOf(name) !== at))];
}

/** Fields with a dot, on which 2.30 to 2.33 panic at every event. */
export function panickingFields(keys: FieldKeys, version: Version | undefined): readonly string[] {
  if (version === undefined || isBefore(version, 2, 30) || !isBefore(version, 2, 34)) return [];
  const fields = isBefore(version, 2, 31) ? keys.custom : [...keys.custom, ...keys.templated];
  return fields.filter((key) => key.includes('.'));
}
