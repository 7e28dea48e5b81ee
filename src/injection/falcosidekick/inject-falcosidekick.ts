import type { V1Container } from '@kubernetes/client-node';
import type { Identity } from '../../federation/identity.ts';
import type { Finding } from '../../reasons/reasons.ts';
import { imageVersion, isBefore } from '../image.ts';
import type { Part } from '../part.ts';
import type { PodTemplate } from '../pod-template.ts';
import { readStatus } from '../status.ts';
import type { ContainerStep } from './container-step.ts';
import { readVariable, withVariable } from './environment.ts';
import { readTags, withPart } from './fields.ts';
import type { FalcosidekickContainer } from './find-falcosidekick.ts';
import { hubFields } from './hub.ts';
import { hubForwarding, spokeFields } from './spoke.ts';

/**
 * Labels that may become fields: one that is an extra Prometheus label already would stop falcosidekick
 * (FACTS 3.4).
 */
function fieldLabels(
  container: V1Container,
  labels: Identity['labels'],
): { readonly labels: Identity['labels']; readonly findings: readonly Finding[] } {
  const extra = readVariable(container, 'PROMETHEUS_EXTRALABELS');
  const taken = new Set(extra.kind === 'text' ? extra.text.split(',').map((one) => one.trim()) : []);
  const kept = Object.entries(labels).filter(([key]) => !taken.has(key));
  const leftOut = Object.keys(labels).filter((key) => taken.has(key));
  return {
    labels: Object.fromEntries(kept),
    findings: leftOut.map((key) => ({ code: 'field_is_extra_label', detail: key })),
  };
}

/** Spokes whose rules are not tagged get the tags on their events instead. A hub never: FACTS 3.3. */
function spokeTags(container: V1Container, identity: Identity): ContainerStep {
  const nothing = { container, added: [], findings: [] };
  if (identity.role === 'hub' || identity.rules.enabled || identity.tags.length === 0) return nothing;
  const findings: Finding[] = isBefore(imageVersion(container.image), 2, 30)
    ? [{ code: 'custom_tags_unsupported', detail: String(container.image) }]
    : [];
  const variable = readVariable(container, 'CUSTOMTAGS');
  const added = ['falcosidekick/CUSTOMTAGS'];
  const ours = identity.tags.join(',');
  if (variable.kind === 'reference') {
    return {
      container: withVariable(container, 'CUSTOMTAGS', `$(CUSTOMTAGS),${ours}`),
      added,
      findings: [...findings, { code: 'custom_tags_unreadable' }],
    };
  }
  const text = variable.kind === 'text' ? variable.text : '';
  const present = readTags(text);
  const missing = identity.tags.filter((one) => !present.includes(one));
  if (missing.length === 0) return { container, added, findings };
  return {
    container: withVariable(container, 'CUSTOMTAGS', withPart(text, missing.join(','))),
    added,
    findings,
  };
}

/**
 * Makes a falcosidekick pod part of the federation (DESIGN "Falcosidekick pods"): its fields, and on a spoke the
 * hub's address and credentials.
 */
export function injectFalcosidekick(
  template: PodTemplate,
  found: FalcosidekickContainer,
  identity: Identity,
): Part {
  const before = readStatus(template)?.added ?? [];
  const { labels, findings } = fieldLabels(found.container, identity.labels);
  const fields =
    identity.role === 'hub' ? hubFields(found.container, labels) : spokeFields(found.container, labels);
  const tags = spokeTags(fields.container, identity);
  const forwarding =
    identity.role === 'hub'
      ? { container: tags.container, volumes: template.spec.volumes, added: [], findings: [] }
      : hubForwarding(tags.container, template.spec.volumes, identity.hub, before);
  const { container, volumes } = forwarding;
  const { spec } = template;
  const containers =
    container === found.container
      ? spec.containers
      : spec.containers.map((one, at) => (at === found.index ? container : one));
  return {
    template: {
      ...template,
      spec: { ...spec, containers, ...(volumes === undefined || volumes === null ? {} : { volumes }) },
    },
    added: [...fields.added, ...tags.added, ...forwarding.added],
    findings: [...findings, ...fields.findings, ...tags.findings, ...forwarding.findings],
  };
}
