import type { EffectiveSettings } from '../../federation/effective-settings.ts';
import type { Finding } from '../../reasons/reasons.ts';
import { imageVersion, isBefore } from '../image.ts';
import type { ContainerStep } from './container-step.ts';
import {
  type Environment,
  isUnreadable,
  readVariable,
  referenceTo,
  textOf,
  withVariable,
} from './environment.ts';
import { readFields, readTags, withPart } from './fields.ts';

const fieldsAdded = 'falcosidekick/CUSTOMFIELDS';
const tagsAdded = 'falcosidekick/CUSTOMTAGS';

/** A spoke's labels as custom fields, behind what the user has, so that ours win (FACTS 3.2). */
export function spokeFields(environment: Environment, labels: EffectiveSettings['labels']): ContainerStep {
  const templated = readVariable(environment, 'TEMPLATEDFIELDS');
  const templates = readFields(textOf(templated));
  // The same key in both stops falcosidekick (FACTS 3.4); the template would win anyway (FACTS 3.3).
  const findings: Finding[] = Object.keys(labels)
    .filter((key) => templates.has(key))
    .map((key) => ({ code: 'field_templated_by_user', detail: key }));
  const entries = Object.entries(labels).filter(([key]) => !templates.has(key));
  if (entries.length === 0) return { environment, added: [], findings };
  if (isUnreadable(templated)) {
    findings.push({ code: 'field_unreadable', detail: 'TEMPLATEDFIELDS' });
    return { environment, added: [], findings };
  }
  const variable = readVariable(environment, 'CUSTOMFIELDS');
  const fields = readFields(textOf(variable));
  const missing = entries.filter(([key, value]) => fields.get(key) !== value);
  for (const [key, value] of missing) {
    const is = fields.get(key);
    if (is !== undefined) {
      findings.push({ code: 'custom_field_replaced', detail: `${key}: ${is} becomes ${value}` });
    }
  }
  if (missing.length === 0) return { environment, added: [fieldsAdded], findings };
  const text = missing.reduce(
    (sum, [key, value]) => withPart(sum, `${key}:${value}`),
    referenceTo('CUSTOMFIELDS', variable) ?? textOf(variable),
  );
  return { environment: withVariable(environment, 'CUSTOMFIELDS', text), added: [fieldsAdded], findings };
}

/** A spoke whose rules are not tagged gets the tags on its events instead. */
export function spokeTags(environment: Environment, { rules, tags }: EffectiveSettings): ContainerStep {
  if (rules.enabled || tags.length === 0) return { environment, added: [], findings: [] };
  const { image } = environment.container;
  const findings: Finding[] = isBefore(imageVersion(image), 2, 30)
    ? [{ code: 'custom_tags_unsupported', detail: String(image) }]
    : [];
  const variable = readVariable(environment, 'CUSTOMTAGS');
  if (variable.kind === 'reference') findings.push({ code: 'custom_tags_unreadable' });
  const present = readTags(textOf(variable));
  const missing = tags.filter((one) => !present.includes(one));
  if (missing.length === 0) return { environment, added: [tagsAdded], findings };
  // Words that the kubelet has nothing to put in for would be a tag: only what is certainly there is referred to.
  const reference = variable.kind === 'unread' ? undefined : referenceTo('CUSTOMTAGS', variable);
  const own = present.every((one) => one === '') ? '' : textOf(variable);
  const text = withPart(reference ?? own, missing.join(','));
  return { environment: withVariable(environment, 'CUSTOMTAGS', text), added: [tagsAdded], findings };
}
