import type { EffectiveSettings } from '../../federation/effective-settings.ts';
import type { Finding } from '../../reasons/reasons.ts';
import {
  type Environment,
  isUnreadable,
  readVariable,
  referenceTo,
  textOf,
  withVariable,
} from './environment.ts';
import { keptOrGiven, readFields, readTags, withPart } from './fields.ts';
import { hubTemplate, type TellingLabel } from './hub-template.ts';
import { ourTemplate, variableAdded, withFieldsOff } from './our-variables.ts';

const templatesAdded = 'falcosidekick/TEMPLATEDFIELDS';

/** The environment with the hub's fields in it, and what is ours there then. */
export interface HubFields {
  readonly environment: Environment;
  readonly added: readonly string[];
  readonly findings: readonly Finding[];
}

/** What is left for our templates once the hub's CUSTOMFIELDS are seen to. */
interface ClearedFields {
  readonly environment: Environment;
  readonly labels: EffectiveSettings['labels'];
  readonly findings: readonly Finding[];
}

/**
 * The hub's labels must not stand in its CUSTOMFIELDS: they would overwrite the spokes' (FACTS 3.3) and panic (3.4).
 * From a Secret nothing can be taken out: there the label gets no template. All other fields there are put on every
 * spoke's events too, which is told.
 */
function clearCustomFields(environment: Environment, labels: EffectiveSettings['labels']): ClearedFields {
  const variable = readVariable(environment, 'CUSTOMFIELDS');
  if (variable.kind !== 'text') return { environment, labels, findings: [] };
  const fields = readFields(variable.text);
  const own = Object.keys(labels).filter((key) => fields.has(key));
  if (variable.from !== undefined) {
    const detail = `${[...fields.keys()].join(', ')} in ${variable.from}`;
    return {
      environment,
      labels: Object.fromEntries(Object.entries(labels).filter(([key]) => !fields.has(key))),
      findings: fields.size === 0 ? [] : [{ code: 'hub_custom_fields', detail }],
    };
  }
  const others = [...fields.keys()].filter((key) => !own.includes(key));
  const findings: Finding[] = [
    ...own.map((key) => ({ code: 'custom_field_removed', detail: `${key}:${fields.get(key)}` }) as const),
    ...(others.length === 0 ? [] : [{ code: 'hub_custom_fields', detail: others.join(', ') } as const]),
  ];
  if (own.length === 0) return { environment, labels, findings };
  const text = withFieldsOff(variable.text, new Set(own));
  return { environment: withVariable(environment, 'CUSTOMFIELDS', text), labels, findings };
}

/**
 * The labels that tell the hub's own events, but for those of which a user's template makes something unknown. One of
 * the tutorial's form gives a value of its own to the hub's events.
 */
function tellingLabels(
  labels: EffectiveSettings['labels'],
  users: ReadonlyMap<string, string>,
): TellingLabel[] {
  return Object.entries(labels).flatMap(([key, value]) => {
    const template = users.get(key);
    if (template === undefined) return [{ key, values: [value] }];
    const given = keptOrGiven(key, template);
    return given === undefined ? [] : [{ key, values: [...new Set([value, given])] }];
  });
}

/**
 * A hub's labels as templated fields: what an event says stays, the hub's own events are named (FACTS 3.3).
 *
 * @param labels those that may become fields
 * @param all all labels of the hub: its events have them from its Falco
 */
export function hubFields(
  environment: Environment,
  labels: EffectiveSettings['labels'],
  all: EffectiveSettings['labels'],
): HubFields {
  if (Object.keys(labels).length === 0) return { environment, added: [], findings: [] };
  const unreadable = ['CUSTOMFIELDS', 'TEMPLATEDFIELDS'].filter((name) =>
    isUnreadable(readVariable(environment, name)),
  );
  if (unreadable.length > 0) {
    // The same key may be in there, and both together would stop falcosidekick.
    return {
      environment,
      added: [],
      findings: [{ code: 'field_unreadable', detail: unreadable.join(', ') }],
    };
  }
  const cleared = clearCustomFields(environment, labels);
  const templated = readVariable(environment, 'TEMPLATEDFIELDS');
  const users = readFields(textOf(templated));
  const telling = tellingLabels(all, users);
  const kept = Object.entries(cleared.labels).filter(([key]) => users.has(key));
  const ours = Object.entries(cleared.labels).filter(([key]) => !users.has(key));
  const findings: Finding[] = [
    ...cleared.findings,
    ...kept.map(([key]) => ({ code: 'field_templated_by_user', detail: key }) as const),
  ];
  if (ours.length === 0) return { environment: cleared.environment, added: [templatesAdded], findings };
  const text = ours.reduce((sum, [key, value]) => {
    const others = telling.filter((one) => one.key !== key);
    return withPart(sum, ourTemplate(key, hubTemplate(key, value, others)));
  }, referenceTo('TEMPLATEDFIELDS', templated) ?? textOf(templated));
  return {
    environment: withVariable(cleared.environment, 'TEMPLATEDFIELDS', text),
    added: [templatesAdded, ...(templated.kind === 'absent' ? [variableAdded('TEMPLATEDFIELDS')] : [])],
    findings,
  };
}

/** A hub's CUSTOMTAGS are put on every spoke's events too (FACTS 3.3). */
export function hubTags(environment: Environment): Finding[] {
  const tags = readTags(textOf(readVariable(environment, 'CUSTOMTAGS'))).filter((one) => one !== '');
  return tags.length === 0 ? [] : [{ code: 'hub_custom_tags', detail: tags.join(', ') }];
}
