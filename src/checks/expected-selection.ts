/**
 * Which pods the API server is to send, as the manifests of this version say it. test/manifests holds that they are the
 * same: manifests/base/webhook-configuration.yaml is where a change begins.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { InspectedWebhooks } from '../cluster/index.ts';
import { injectLabel, neverInjected } from '../federation/names.ts';
import { isRecord } from '../injection/record.ts';

export type InspectedWebhook = NonNullable<InspectedWebhooks['webhooks']>[number];

const hashed = ['objectSelector', 'rules', 'matchConditions'] as const;

/** Beginnings of the fields' hashes. */
const expected: Readonly<Record<'pods' | 'workloads', Readonly<Record<(typeof hashed)[number], string>>>> = {
  pods: { objectSelector: 'c8a2a968ff29', rules: '40a21135d5a8', matchConditions: 'c283962065d1' },
  // The label that opts out is in the template, where no selector looks.
  workloads: { objectSelector: '4f53cda18c2b', rules: 'ea5d082cb175', matchConditions: '98fa27cddbe2' },
};

/** The same, in whatever order the keys are, and however expressions are folded. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (isRecord(value)) return Object.entries(value).sort().map(plain);
  return typeof value === 'string' ? value.replaceAll(/\s+/g, ' ').trim() : value;
}

export function hashOf(field: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(plain(field ?? {})))
    .digest('hex')
    .slice(0, 12);
}

/**
 * Whether it selects by our label, and leaves out what ours leaves out. It may leave out more: AKS (its admissions enforcer)
 * and GKE Autopilot add namespaces of their own to the selector of every webhook, and the chart that of its release.
 */
function isOurNamespaceSelector(selector: InspectedWebhook['namespaceSelector']): boolean {
  const requirements = selector?.matchExpressions ?? [];
  return (
    isDeepStrictEqual(selector?.matchLabels, { [injectLabel]: 'enabled' }) &&
    requirements.every(({ operator }) => operator === 'NotIn' || operator === 'DoesNotExist') &&
    requirements.some(
      ({ key, operator, values }) =>
        key === 'kubernetes.io/metadata.name' &&
        operator === 'NotIn' &&
        neverInjected.every((name) => values?.includes(name)),
    )
  );
}

/** Fields of one of our webhooks that are not as this version has them. */
export function otherwise(webhook: InspectedWebhook, of: 'pods' | 'workloads'): readonly string[] {
  return [
    ...(isOurNamespaceSelector(webhook.namespaceSelector) ? [] : ['namespaceSelector']),
    ...hashed.filter((field) => hashOf(webhook[field]) !== expected[of][field]),
  ];
}
