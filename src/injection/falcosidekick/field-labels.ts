import type { EffectiveSettings } from '../../federation/effective-settings.ts';
import type { Finding } from '../../reasons/reasons.ts';
import { type Environment, isUnreadable, readVariable } from './environment.ts';
import { prometheusName, readFieldKeys } from './prometheus-labels.ts';

/** Which of our labels may become fields of falcosidekick. */
export interface FieldLabels {
  readonly labels: EffectiveSettings['labels'];
  readonly findings: readonly Finding[];
}

/**
 * Labels that may become fields: all but those that would be a second label of one name for Prometheus, on which
 * falcosidekick stops at its start (FACTS 3.4).
 *
 * | the label's name, `.` read as `_`, is also that of | then               |
 * | --------------------------------------------------- | ------------------ |
 * | an extra label                                      | left out           |
 * | a user's field with another spelling (`k8s.x`)      | left out           |
 * | a user's field of the very name                     | the roles decide   |
 * | something that cannot be read                       | left out if `env` names it so, told if `envFrom` may |
 */
export function fieldLabels(environment: Environment, labels: EffectiveSettings['labels']): FieldLabels {
  const keys = Object.keys(labels);
  if (keys.length === 0) return { labels, findings: [] };
  if (isUnreadable(readVariable(environment, 'PROMETHEUS_EXTRALABELS'))) {
    return { labels: {}, findings: [{ code: 'field_unreadable', detail: 'PROMETHEUS_EXTRALABELS' }] };
  }
  const { custom, templated, extra } = readFieldKeys(environment);
  const extraNames = new Set(extra.map(prometheusName));
  const alike = (key: string): string | undefined =>
    [...custom, ...templated].find((one) => one !== key && prometheusName(one) === prometheusName(key));
  const findings = keys.flatMap((key): Finding[] => {
    if (extraNames.has(prometheusName(key))) return [{ code: 'field_is_extra_label', detail: key }];
    const other = alike(key);
    return other === undefined ? [] : [{ code: 'field_named_alike', detail: `${key} and ${other}` }];
  });
  const kept = keys.filter((key) => !extraNames.has(prometheusName(key)) && alike(key) === undefined);
  return {
    labels: Object.fromEntries(kept.map((key) => [key, labels[key] ?? ''])),
    findings: kept.length === 0 ? findings : [...findings, ...unreadSources(environment)],
  };
}

/** The configuration file of `-c FILE`: environment wins over it, and all else of it counts (FACTS 3.18). */
function configFile({ args, command }: Environment['container']): string | undefined {
  const words = [...(command ?? []), ...(args ?? [])];
  const at = words.findIndex((word) => /^--?(c|config-file)(=|$)/.test(word));
  const [option = '', glued] = (words[at] ?? '').split(/=(.*)/s, 2);
  return option === '' ? undefined : `${option} ${glued ?? words[at + 1] ?? ''}`;
}

/** What may stand in places that are not read here and stop falcosidekick together with our fields. */
function unreadSources(environment: Environment): Finding[] {
  const unread = ['PROMETHEUS_EXTRALABELS', 'CUSTOMFIELDS', 'TEMPLATEDFIELDS'].flatMap((name) => {
    const variable = readVariable(environment, name);
    return variable.kind === 'unread' ? [{ name, where: variable.where }] : [];
  });
  const [first] = unread;
  const names = unread.map(({ name }) => name).join(', ');
  const file = configFile(environment.container);
  const places = [...(first === undefined ? [] : [`${names} in ${first.where}`]), ...(file ? [file] : [])];
  return places.map((detail) => ({ code: 'fields_unread', detail }));
}
