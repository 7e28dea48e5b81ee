/**
 * Which pods the API server is to send, as the manifests of this version say it. test/manifests holds that they are the
 * same: manifests/base/webhook-configuration.yaml is where a change begins.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { InspectedWebhooks } from '../cluster/index.ts';
import { injectLabel, neverInjected } from '../federation/names.ts';

export type InspectedWebhook = NonNullable<InspectedWebhooks['webhooks']>[number];

/** Of the pods' webhook: first characters of `hashOfConditions`. */
export const expectedConditions = '33cbe60e55b75fb2';

/** The same, however the lines are folded. */
export function hashOfConditions(conditions: InspectedWebhook['matchConditions']): string {
  const texts = (conditions ?? []).map(({ expression }) => expression.replaceAll(/\s+/g, ' ').trim());
  return createHash('sha256').update(texts.join('\n')).digest('hex').slice(0, 16);
}

export const expectedNamespaceSelector = {
  matchLabels: { [injectLabel]: 'enabled' },
  matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: neverInjected }],
};

export const expectedObjectSelector = {
  matchExpressions: [{ key: injectLabel, operator: 'NotIn', values: ['disabled'] }],
};

const expectedRules = [
  { apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], operations: ['CREATE'], scope: 'Namespaced' },
];

/** Fields of the pods' webhook that are not as this version has them. */
export function otherwise(webhook: InspectedWebhook): readonly string[] {
  const { namespaceSelector, objectSelector, rules, matchConditions } = webhook;
  const fields: readonly (readonly [string, boolean])[] = [
    ['namespaceSelector', isDeepStrictEqual(namespaceSelector, expectedNamespaceSelector)],
    ['objectSelector', isDeepStrictEqual(objectSelector, expectedObjectSelector)],
    ['rules', isDeepStrictEqual(rules, expectedRules)],
    ['matchConditions', hashOfConditions(matchConditions) === expectedConditions],
  ];
  return fields.filter(([, same]) => !same).map(([name]) => name);
}
