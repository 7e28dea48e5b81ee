/** With a forwarder nothing that a user's falcosidekick had before is changed, but for one output. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { V1Container, V1EnvVar, V1Pod } from '@kubernetes/client-node';
import fc from 'fast-check';
import { effectiveSettings } from '../../src/federation/effective-settings.ts';
import { inject } from '../../src/injection/inject.ts';
import type { PodTemplate } from '../../src/injection/pod-template.ts';
import { settingsFrom } from './pods.ts';
import { recordedReviews } from './reviews.ts';

const settings = settingsFrom('cluster: staging\nhub: {address: "https://hub.example"}\n');
const { effective } = effectiveSettings(settings, undefined, undefined);

function withoutNodeRed(env: readonly V1EnvVar[] | null | undefined): readonly V1EnvVar[] {
  return (env ?? []).filter(({ name }) => !name.startsWith('NODERED_'));
}

/** Asserts that falcosidekick containers differ by NODERED_* only, and others not at all. */
function assertOnlyNodeRed(before: PodTemplate): void {
  const { template: after, patch } = inject(before, effective);
  assert.deepEqual(inject(after, effective).patch, []);
  assert.deepEqual(after.spec.volumes, before.spec.volumes);
  after.spec.containers.forEach((one, at) => {
    const was = before.spec.containers[at];
    assert.ok(was);
    const { env, ...rest } = one;
    const { env: envBefore, ...restBefore } = was;
    assert.deepEqual(rest, restBefore);
    assert.deepEqual(withoutNodeRed(env), withoutNodeRed(envBefore));
  });
  for (const { path } of patch) assert.match(path, /^\/(metadata|spec\/containers\/\d+\/env)(\/|$)/);
}

test('property: whatever environment falcosidekick has, only NODERED_* differs', () => {
  const name = fc.constantFrom(
    ...[
      'CUSTOMFIELDS',
      'CUSTOMTAGS',
      'TEMPLATEDFIELDS',
      'WEBHOOK_ADDRESS',
      'NODERED_USER',
      'NODERED_ADDRESS',
    ],
    ...['MUTUALTLSFILESPATH', 'TLSCLIENT_CACERTFILE', 'SLACK_WEBHOOKURL'],
  );
  const entry: fc.Arbitrary<V1EnvVar> = fc.oneof(
    fc.record({ name }),
    fc.record({ name, value: fc.constantFrom('', 'a:b', '$(X)') }),
    fc.record({ name, valueFrom: fc.constant({ secretKeyRef: { name: 's', key: 'k' } }) }),
  );
  const container: fc.Arbitrary<V1Container> = fc.record({
    name: fc.constant('falcosidekick'),
    image: fc.constantFrom('falcosecurity/falcosidekick:2.32.0', 'falcosecurity/falcosidekick:2.20.0'),
    env: fc.array(entry, { maxLength: 6 }),
    envFrom: fc.constant([{ secretRef: { name: 'falco-falcosidekick' } }]),
  });
  fc.assert(
    fc.property(container, (one) => assertOnlyNodeRed({ spec: { containers: [one] } })),
    { numRuns: 500 },
  );
});

test('the recorded falcosidekick pods too', (t) => {
  let seen = 0;
  for (const { text } of recordedReviews(t)) {
    const { object } = JSON.parse(text).request as { object: V1Pod };
    const { metadata, spec } = object;
    if (object.kind !== 'Pod' || !spec?.containers.some(({ name }) => name === 'falcosidekick')) continue;
    seen++;
    assertOnlyNodeRed({ ...(metadata === undefined ? {} : { metadata }), spec });
  }
  t.diagnostic(`${seen} recorded pods`);
});
