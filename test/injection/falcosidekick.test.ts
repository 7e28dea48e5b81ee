/** falcosidekick's environment after injection, as a model of the kubelet and of falcosidekick sees it (issue 14). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { V1Container } from '@kubernetes/client-node';
import fc from 'fast-check';
import { effectiveSettings } from '../../src/federation/effective-settings.ts';
import { inject } from '../../src/injection/inject.ts';
import type { Settings } from '../../src/settings/schema.ts';
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
const webhookValues: fc.Arbitrary<Record<string, string>> = fc.record(
  {
    WEBHOOK_ADDRESS: fc.constantFrom('', 'https://mine.example'),
    WEBHOOK_METHOD: fc.constant('PUT'),
    WEBHOOK_CHECKCERT: fc.constant('false'),
    WEBHOOK_MUTUALTLS: fc.constant('true'),
    WEBHOOK_MINIMUMPRIORITY: fc.constant('critical'),
    WEBHOOK_CUSTOMHEADERS: fc.constant('Token:of-mine'),
    WEBHOOK_MAXCONCURRENTREQUESTS: fc.constant('9'),
  },
  { requiredKeys: [] },
);
const values = fc.tuple(fieldValues, webhookValues).map(([some, others]) => ({ ...some, ...others }));
const minors = fc.constantFrom(27, 28, 29, 30, 31, 32, 33, 34);

/** A container and the Secrets beside it, whose variables stand in `env`, in Secrets, or in references to these. */
const containers = fc
  .record({
    minor: minors,
    plain: values,
    first: values,
    second: values,
    prefix: fc.constantFrom('', 'X_', 'WEBHOOK_'),
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

const settings: fc.Arbitrary<Settings> = fc.constantFrom(
  ...[
    'cluster: north\nhub: {through: falcosidekick, address: "https://hub.example"}\n',
    'cluster: north\nlabels: {env: north, data_center: d1, a_b: c}\nhub: {through: falcosidekick, address: "https://hub.example", headersSecret: hub-headers, minimumPriority: notice}\n',
    'cluster: north\nlabels: {data_center: d1}\nrules: {enabled: false}\n',
    'cluster: control\nrole: hub\n',
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

/** The Secret with the hub's headers, there or not yet. */
const headers = fc.constantFrom(new Map<string, string>(), new Map([['headers', 'Token:of-the-hub']]));

const webhookNames = [
  'ADDRESS',
  'METHOD',
  'CHECKCERT',
  'MUTUALTLS',
  'MINIMUMPRIORITY',
  'MAXCONCURRENTREQUESTS',
  'CUSTOMHEADERS',
];

function webhookOf(environment: ReadonlyMap<string, string>): (string | undefined)[] {
  return webhookNames.map((name) => environment.get(`WEBHOOK_${name}`));
}

function assertHubsOnly(environment: ReadonlyMap<string, string>, { hub }: Settings): void {
  const [address, ...others] = webhookOf(environment).slice(0, -1);
  assert.equal(address, hub?.address);
  assert.deepEqual(others, ['POST', 'true', 'false', hub?.minimumPriority ?? '', '50']);
}

describe('falcosidekick with what is injected', () => {
  test('starts wherever it started before, with all that can be read', () => {
    fc.assert(
      fc.property(containers, settings, ({ container, secrets, minor }, chosen) => {
        fc.pre(!panicsAtStart(environmentOf(container, secrets), minor));
        const after = environmentOf(injected(container, chosen, secrets), secrets);
        assert.ok(!panicsAtStart(after, minor), JSON.stringify([...after]));
      }),
      { numRuns: 1_000 },
    );
  });

  test('posts to the hub with nothing of a user’s webhook, or is left alone, whether Secrets can be read or not', () => {
    const none: Secrets = new Map();
    fc.assert(
      fc.property(
        containers,
        settings,
        fc.boolean(),
        headers,
        ({ container, secrets }, chosen, isRead, hubs) => {
          const all: Secrets = new Map([...secrets, ['hub-headers', hubs]]);
          const before = environmentOf(container, all);
          const after = environmentOf(injected(container, chosen, isRead ? secrets : none), all);
          const isOurs = chosen.hub !== undefined && after.get('WEBHOOK_ADDRESS') === chosen.hub.address;
          if (isOurs) assertHubsOnly(after, chosen);
          else assert.deepEqual(webhookOf(after), webhookOf(before));
          // Headers of a user's in env leave no place in front of them for ours: then those of a Secret could come through.
          const inEnv = container.env?.some(({ name }) => name === 'WEBHOOK_CUSTOMHEADERS') === true;
          if (!isOurs || (inEnv && hubs.size === 0)) return;
          const expected = chosen.hub?.headersSecret === undefined ? '' : hubs.get('headers');
          assert.deepEqual(pairsOf(after.get('WEBHOOK_CUSTOMHEADERS')), pairsOf(expected));
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test('keeps every field of the user’s on a spoke', () => {
    fc.assert(
      fc.property(containers, settings, ({ container, secrets }, chosen) => {
        fc.pre(chosen.role === 'spoke');
        const [before, after] = [container, injected(container, chosen, secrets)].map((one) =>
          pairsOf(environmentOf(one, secrets).get('CUSTOMFIELDS')),
        );
        assert.ok(before && after);
        const ours = new Map(Object.entries(chosen.labels ?? { env: chosen.cluster }));
        for (const [key, value] of before) assert.ok([value, ours.get(key)].includes(after.get(key)), key);
      }),
      { numRuns: 1_000 },
    );
  });

  test('an address in a Secret that is read is kept, and told with the Secret’s name', () => {
    const secrets: Secrets = new Map([['own', new Map([['WEBHOOK_ADDRESS', 'https://mine.example']])]]);
    const { effective } = effectiveSettings(
      settingsFrom('cluster: north\nhub: {through: falcosidekick, address: "https://hub.example"}\n'),
      undefined,
      undefined,
    );
    const container: V1Container = {
      name: 'falcosidekick',
      image: 'falcosidekick:2.32.0',
      envFrom: [{ secretRef: { name: 'own' } }],
    };
    const template = { spec: { containers: [container] } };
    const read = inject(template, effective, { secretOf: (name) => secrets.get(name) });
    assert.deepEqual(read.template.spec.containers[0]?.env, [{ name: 'CUSTOMFIELDS', value: 'env:north' }]);
    assert.deepEqual(read.findings, [
      { code: 'hub_address_kept', detail: 'container falcosidekick, Secret own' },
    ]);
    const unread = inject(template, effective);
    assert.deepEqual(
      unread.findings.map(({ code, detail }) => [code, detail]),
      [
        ['fields_in_env_from', 'PROMETHEUS_EXTRALABELS, CUSTOMFIELDS, TEMPLATEDFIELDS in Secret own'],
        ['webhook_output_taken', 'Secret own'],
      ],
    );
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
