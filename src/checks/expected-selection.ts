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

/** A webhook as this version has it, as far as pods are selected by it. */
interface Selection {
  readonly objectSelector: unknown;
  readonly rules: unknown;
  /** The conditions as they are asked of a pod. */
  readonly conditionsOf: (
    conditions: InspectedWebhook['matchConditions'],
  ) => InspectedWebhook['matchConditions'];
}

const ofPods: Selection = {
  objectSelector: expectedObjectSelector,
  rules: [
    {
      apiGroups: [''],
      apiVersions: ['v1'],
      resources: ['pods'],
      operations: ['CREATE'],
      scope: 'Namespaced',
    },
  ],
  conditionsOf: (conditions) => conditions,
};

/** Of `injectAt: workload`. The label that opts out is in the template, where no selector looks. */
const ofWorkloads: Selection = {
  objectSelector: {},
  rules: [
    {
      apiGroups: ['apps'],
      apiVersions: ['v1'],
      resources: ['daemonsets', 'deployments', 'statefulsets'],
      operations: ['CREATE', 'UPDATE'],
      scope: 'Namespaced',
    },
  ],
  conditionsOf: (conditions) =>
    conditions?.map((one) => ({
      ...one,
      expression: one.expression.replaceAll('object.spec.template.spec.', 'object.spec.'),
    })),
};

interface Requirement {
  readonly key: string;
  readonly operator: string;
  readonly values?: readonly string[] | null | undefined;
}

/** Whether a namespace that this leaves out is left out by the other as well. */
function isWithin(one: Requirement, other: Requirement): boolean {
  const values = one.values ?? [];
  return (
    one.key === other.key &&
    one.operator === other.operator &&
    (other.values ?? []).every((value) => values.includes(value))
  );
}

/**
 * Whether it selects by our label, and leaves out what ours leaves out. It may leave out more: AKS (its admissions enforcer)
 * and GKE Autopilot add namespaces of their own to the selector of every webhook.
 */
function isOurNamespaceSelector(selector: InspectedWebhook['namespaceSelector']): boolean {
  const expected = expectedNamespaceSelector;
  const requirements: readonly Requirement[] = selector?.matchExpressions ?? [];
  return (
    isDeepStrictEqual(selector?.matchLabels, expected.matchLabels) &&
    expected.matchExpressions.every((ours) => requirements.some((one) => isWithin(one, ours))) &&
    requirements.every(({ operator }) => operator === 'NotIn' || operator === 'DoesNotExist')
  );
}

/** Fields of one of our webhooks that are not as this version has them. */
export function otherwise(webhook: InspectedWebhook, of: 'pods' | 'workloads'): readonly string[] {
  const expected = of === 'pods' ? ofPods : ofWorkloads;
  const { namespaceSelector, objectSelector, rules, matchConditions } = webhook;
  const conditions = hashOfConditions(expected.conditionsOf(matchConditions));
  const fields: readonly (readonly [string, boolean])[] = [
    ['namespaceSelector', isOurNamespaceSelector(namespaceSelector)],
    ['objectSelector', isDeepStrictEqual(objectSelector ?? {}, expected.objectSelector)],
    ['rules', isDeepStrictEqual(rules, expected.rules)],
    ['matchConditions', conditions === expectedConditions],
  ];
  return fields.filter(([, same]) => !same).map(([name]) => name);
}
