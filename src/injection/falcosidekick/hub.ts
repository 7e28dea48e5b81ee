import type { V1Container } from '@kubernetes/client-node';
import type { Identity } from '../../federation/identity.ts';
import type { Finding } from '../../reasons/reasons.ts';
import type { ContainerStep } from './container-step.ts';
import { isUnreadable, readVariable, withVariable } from './environment.ts';
import { isKeepingTemplate, keepingTemplate, readFields, withoutFields, withPart } from './fields.ts';

const fieldsAdded = 'falcosidekick/TEMPLATEDFIELDS';

/** The hub's labels must not stand in its CUSTOMFIELDS: they would overwrite the spokes' (FACTS 3.3) and panic (3.4). */
function withoutCustomFields(container: V1Container, labels: Identity['labels']): ContainerStep {
  const variable = readVariable(container, 'CUSTOMFIELDS');
  if (variable.kind !== 'text') return { container, added: [], findings: [] };
  const fields = readFields(variable.text);
  const removed = Object.keys(labels).filter((key) => fields.has(key));
  if (removed.length === 0) return { container, added: [], findings: [] };
  const text = withoutFields(variable.text, new Set(removed));
  return {
    container: withVariable(container, 'CUSTOMFIELDS', text),
    added: [],
    findings: removed.map((key) => ({ code: 'custom_field_removed', detail: `${key}:${fields.get(key)}` })),
  };
}

/**
 * A hub's labels as templated fields: what a spoke said stays, the hub's own events are named (FACTS 3.3).
 */
export function hubFields(container: V1Container, labels: Identity['labels']): ContainerStep {
  if (Object.keys(labels).length === 0) return { container, added: [], findings: [] };
  const templated = readVariable(container, 'TEMPLATEDFIELDS');
  const unreadable = ['CUSTOMFIELDS', 'TEMPLATEDFIELDS'].filter((name) =>
    isUnreadable(readVariable(container, name)),
  );
  if (unreadable.length > 0) {
    // The same key may be in there, and both together would stop falcosidekick.
    return { container, added: [], findings: [{ code: 'field_unreadable', detail: unreadable.join(', ') }] };
  }
  const cleared = withoutCustomFields(container, labels);
  const findings: Finding[] = [...cleared.findings];
  const before = templated.kind === 'text' ? templated.text : '';
  const fields = readFields(before);
  let text = before;
  for (const [key, value] of Object.entries(labels)) {
    const template = keepingTemplate(key, value);
    const is = fields.get(key);
    if (is === template) continue;
    if (is !== undefined && !isKeepingTemplate(key, is)) {
      findings.push({ code: 'field_templated_by_user', detail: key });
      continue;
    }
    text = withPart(is === undefined ? text : withoutFields(text, new Set([key])), `${key}:${template}`);
  }
  return {
    container: text === before ? cleared.container : withVariable(cleared.container, 'TEMPLATEDFIELDS', text),
    added: [fieldsAdded],
    findings,
  };
}
