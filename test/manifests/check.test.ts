/** What `check` expects of a cluster is what the manifests bring. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { V1ClusterRole } from '@kubernetes/client-node';
import { hashOf, type InspectedWebhook, otherwise } from '../../src/checks/expected-selection.ts';
import { neededPermissions } from '../../src/checks/permissions.ts';
import { documentsOf, objectOf } from './files.ts';

interface Configuration {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly webhooks: readonly InspectedWebhook[];
}

const [pods] = objectOf<Configuration>(
  'base/webhook-configuration.yaml',
  'MutatingWebhookConfiguration',
).webhooks;

describe('check and the manifests', () => {
  test('which pods and workloads are sent: the same, by the hashes of the fields', () => {
    // Safe: it is the patch that adds the webhook.
    const [{ value }] = documentsOf('components/workloads/webhook.yaml')[0] as [{ value: InspectedWebhook }];
    assert.ok(pods !== undefined);
    for (const [webhook, of] of [
      [pods, 'pods'],
      [value, 'workloads'],
    ] as const) {
      const { objectSelector, rules, matchConditions } = webhook;
      const hashes = [objectSelector, rules, matchConditions].map(hashOf).join(', ');
      assert.deepEqual(otherwise(webhook, of), [], `src/checks/expected-selection.ts, ${of}: ${hashes}`);
    }
  });

  test('whatever is changed is found', () => {
    assert.ok(pods !== undefined);
    const [condition] = pods.matchConditions ?? [];
    assert.ok(condition !== undefined);
    const changed = { ...condition, expression: condition.expression.replace('falcosidekick', 'sidekick') };
    assert.deepEqual(otherwise({ ...pods, matchConditions: [changed] }, 'pods'), ['matchConditions']);
    assert.deepEqual(otherwise({ ...pods, matchConditions: [] }, 'pods'), ['matchConditions']);
    assert.deepEqual(otherwise({ ...pods, rules: [] }, 'pods'), ['rules']);
    assert.deepEqual(otherwise({ ...pods, namespaceSelector: {}, objectSelector: {} }, 'pods'), [
      'namespaceSelector',
      'objectSelector',
    ]);
    const folded = { ...condition, expression: condition.expression.replaceAll(' ', '\n  ') };
    assert.deepEqual(otherwise({ ...pods, matchConditions: [folded] }, 'pods'), [], 'however it is folded');
  });

  test('namespaces of its own that a provider leaves out are no difference; anything else is', () => {
    assert.ok(pods !== undefined);
    const { matchExpressions = [] } = pods.namespaceSelector ?? {};
    const [own] = matchExpressions ?? [];
    assert.ok(own !== undefined);
    const withExpressions = (...all: readonly (typeof own)[]): readonly string[] =>
      otherwise(
        { ...pods, namespaceSelector: { ...pods.namespaceSelector, matchExpressions: [...all] } },
        'pods',
      );
    // As AKS has it, and as GKE Autopilot.
    const managed = { key: 'kubernetes.azure.com/managedby', operator: 'NotIn', values: ['aks'] };
    assert.deepEqual(withExpressions(own, { key: 'control-plane', operator: 'DoesNotExist' }, managed), []);
    const more = { ...own, values: [...(own.values ?? []), 'gke-gmp-system'] };
    assert.deepEqual(withExpressions(more), []);
    const wrong = ['namespaceSelector'];
    assert.deepEqual(withExpressions(managed), wrong, 'our own namespace is let in');
    assert.deepEqual(withExpressions({ ...own, values: ['kube-system'] }), wrong);
    assert.deepEqual(withExpressions(own, { key: 'team', operator: 'In', values: ['red'] }), wrong);
  });

  test('the role for whoever runs it has what it asks for, and nothing else', () => {
    const role = objectOf<V1ClusterRole & { kind: string; metadata: { name: string } }>(
      'check-role/cluster-role.yaml',
      'ClusterRole',
    );
    const given = (role.rules ?? []).flatMap(({ apiGroups = [], resources = [], verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((kind) => verbs.map((verb) => `${verb} ${group}/${kind}`)),
      ),
    );
    const needed = neededPermissions.map(({ permission: { group, resource, subresource, verb } }) => {
      return `${verb} ${group}/${resource}${subresource === undefined ? '' : `/${subresource}`}`;
    });
    assert.deepEqual(given.toSorted(), needed.toSorted());
  });
});
