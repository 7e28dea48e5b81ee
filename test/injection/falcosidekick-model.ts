import type { V1Container } from '@kubernetes/client-node';

/**
 * What the kubelet makes of a container's environment, and falcosidekick of that: written from their sources apart from
 * ours, so that both can be held against each other.
 */

export type Secrets = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** The kubelet: envFrom in order, then env in order; a reference that is not there leaves what was there. */
export function environmentOf(container: V1Container, secrets: Secrets): ReadonlyMap<string, string> {
  const environment = new Map<string, string>();
  for (const { prefix, secretRef } of container.envFrom ?? []) {
    for (const [key, value] of secrets.get(secretRef?.name ?? '') ?? [])
      environment.set(`${prefix ?? ''}${key}`, value);
  }
  for (const { name, value, valueFrom } of container.env ?? []) {
    const { name: secret = '', key = '' } = valueFrom?.secretKeyRef ?? {};
    const text = valueFrom ? secrets.get(secret)?.get(key) : expanded(value ?? '', environment);
    if (text !== undefined) environment.set(name, text);
  }
  return environment;
}

function expanded(text: string, environment: ReadonlyMap<string, string>): string {
  return text.replace(/\$\$|\$\(([^)]*)\)/g, (whole, name) =>
    whole === '$$' ? '$' : (environment.get(name) ?? whole),
  );
}

/** CUSTOMFIELDS, TEMPLATEDFIELDS and WEBHOOK_CUSTOMHEADERS: two parts or nothing. */
export function pairsOf(text: string | undefined): Map<string, string> {
  const pairs = (text ?? '').split(',').map((part) => part.split(':'));
  return new Map(pairs.filter((parts) => parts.length === 2).map(([key = '', value = '']) => [key, value]));
}

function customFields(environment: ReadonlyMap<string, string>): Map<string, string> {
  const fields = new Map<string, string>();
  for (const [key, value] of pairsOf(environment.get('CUSTOMFIELDS'))) {
    const text = value.startsWith('%') ? environment.get(value.slice(1)) : value;
    if (text) fields.set(key, text);
    else if (!value.startsWith('%')) fields.set(key, '');
  }
  return fields;
}

/** falcosidekick 2.`minor`: whether it panics while it registers its counter of events, by a label that is there twice. */
export function panicsAtStart(environment: ReadonlyMap<string, string>, minor: number): boolean {
  const dotless = (key: string): string => key.split('.').join('_');
  const extra = (environment.get('PROMETHEUS_EXTRALABELS') ?? '').split(' ').join('');
  const labels = [
    ...['rule', 'priority', 'k8s_ns_name', 'k8s_pod_name'],
    ...(minor >= 28 ? ['hostname'] : []),
    ...(minor >= 29 ? ['source'] : []),
    ...(minor >= 30 ? ['priority_raw'] : []),
    ...[...customFields(environment).keys()].map((key) => (minor >= 30 ? dotless(key) : key)),
    ...(minor >= 31 ? [...pairsOf(environment.get('TEMPLATEDFIELDS')).keys()].map(dotless) : []),
    ...(extra === '' ? [] : extra.split(',').map(dotless)),
  ].filter((label) => /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(label));
  return new Set(labels).size < labels.length;
}
