/** falcosidekick's environment after injection, as a model of the kubelet and of falcosidekick sees it (issue 14). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { V1Container } from '@kubernetes/client-node';
import fc from 'fast-check';
import { effectiveSettings } from '../../src/federation/effective-settings.ts';
import { inject } from '../../src/injection/inject.ts';
import type { Settings } from '../../src/settings/schema.ts';
import { rounds } from '../rounds.ts';
import { environmentOf, pairsOf, panicsAtStart, type Secrets } from './falcosidekick-model.ts';
import { frozen, settingsFrom } from './pods.ts';

const keys = fc.constantFrom(
  'env',
  'team',
  'data.center',
  'data_center',
  'data-center',
  'rule',
  'a.b',
  'a_b',
);
const listOf = (value: fc.Arbitrary<string>) =>
  fc
    .array(fc.tuple(keys, value), { maxLength: 3 })
    .map((pairs) => pairs.map(([key, text]) => `${key}${text}`).join(','));
const fieldValues: fc.Arbitrary<Record<string, string>> = fc.record(
  {
    CUSTOMFIELDS: listOf(fc.constantFrom(':x', ':%HOME', ':%NONE', '', ':a:b')),
    TEMPLATEDFIELDS: listOf(fc.constantFrom(':{{ .x }}', ':{{ or (index . "env") "x" }}', '')),
    PROMETHEUS_EXTRALABELS: listOf(fc.constantFrom('', ' ')),
    CUSTOMTAGS: fc.constantFrom('', ' ', 'mine'),
  },
  { requiredKeys: [] },
);
const minors = fc.constantFrom(27, 28, 29, 30, 31, 32, 33, 34);

/** A container and the Secrets beside it, whose variables stand in `env`, in Secrets, or in references to these. */
const containers = fc
  .record({
    minor: minors,
    plain: fieldValues,
    first: fieldValues,
    second: fieldValues,
    prefix: fc.constantFrom('', 'X_'),
    referred: fc.subarray(['CUSTOMFIELDS', 'TEMPLATEDFIELDS', 'PROMETHEUS_EXTRALABELS']),
    optional: fc.boolean(),
  })
  .map(({ minor, plain, first, second, prefix, referred, optional }) => {
    const container: V1Container = {
      name: 'falcosidekick',
      image: `registry.example/falcosidekick:2.${minor}.0`,
      envFrom: [{ secretRef: { name: 'first' } }, { prefix, secretRef: { name: 'second' } }],
      env: [
        ...Object.entries(plain).map(([name, value]) => ({ name, value })),
        ...referred.map((name) => ({
          name,
          // The kubelet does not start a container whose reference is required and not there.
          valueFrom: {
            secretKeyRef: { name: 'first', key: name, optional: optional || !Object.hasOwn(first, name) },
          },
        })),
      ],
    };
    const secrets: Secrets = new Map([
      ['first', new Map(Object.entries(first))],
      ['second', new Map(Object.entries(second))],
    ]);
    return { container, secrets, minor };
  });

const hub = settingsFrom('cluster: control\nrole: hub\n');

const settings: fc.Arbitrary<Settings> = fc.constantFrom(
  hub,
  ...[
    'cluster: north\nhub: {address: "https://hub.example"}\n',
    'cluster: north\nlabels: {data_center: d1}\nrules: {enabled: false}\n',
    'cluster: control\nrole: hub\nlabels: {env: control, data_center: d1, team: red, a_b: c}\n',
  ].map(settingsFrom),
);

function injected(container: V1Container, chosen: Settings, secrets: Secrets): V1Container {
  const { effective } = effectiveSettings(chosen, undefined, undefined);
  const template = frozen({ spec: { containers: [container] } });
  const [first] = inject(template, effective, { secretOf: (name) => secrets.get(name) }).template.spec
    .containers;
  assert.ok(first);
  return first;
}

describe('falcosidekick with what is injected', () => {
  test('starts wherever it started before, with all that can be read', () => {
    fc.assert(
      fc.property(containers, settings, ({ container, secrets, minor }, chosen) => {
        fc.pre(!panicsAtStart(environmentOf(container, secrets), minor));
        const after = environmentOf(injected(container, chosen, secrets), secrets);
        assert.ok(!panicsAtStart(after, minor), JSON.stringify([...after]));
      }),
      rounds(333),
    );
  });

  test('is left as it is on a spoke', () => {
    fc.assert(
      fc.property(containers, settings, ({ container, secrets }, chosen) => {
        fc.pre(chosen.role === 'spoke');
        assert.deepEqual(injected(container, chosen, secrets), container);
      }),
      rounds(100),
    );
  });

  test('a configuration file of a hub’s is a place that is not read, and told', () => {
    const { effective } = effectiveSettings(hub, undefined, undefined);
    for (const args of [['-c', '/x.yaml'], ['--config-file=/x.yaml'], ['--config-file', '/x.yaml']]) {
      const container: V1Container = { name: 'falcosidekick', image: 'falcosidekick:2.32.0', args };
      const [finding] = inject({ spec: { containers: [container] } }, effective).findings;
      assert.equal(finding?.code, 'fields_unread');
      assert.match(finding?.detail ?? '', /\/x\.yaml/);
    }
  });

  test('an extra label in a Secret that is read keeps our field out', () => {
    const secrets: Secrets = new Map([
      ['own', new Map([['PROMETHEUS_EXTRALABELS', 'proc.name, data.center']])],
    ]);
    const settings = settingsFrom('cluster: control\nrole: hub\nlabels: {env: control, data_center: d1}\n');
    const { effective } = effectiveSettings(settings, undefined, undefined);
    const container: V1Container = {
      name: 'falcosidekick',
      image: 'falcosidekick:2.32.0',
      envFrom: [{ secretRef: { name: 'own' } }],
    };
    const template = { spec: { containers: [container] } };
    const { findings, template: after } = inject(template, effective, {
      secretOf: (name) => secrets.get(name),
    });
    assert.deepEqual(findings, [{ code: 'field_is_extra_label', detail: 'data_center' }]);
    const fields = pairsOf(after.spec.containers[0]?.env?.[0]?.value);
    assert.deepEqual([...fields.keys()], ['env']);
  });
});
