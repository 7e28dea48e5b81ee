/** What the schema takes, the programs can use. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { httpClient } from '../../src/events/http-client.ts';
import { effectiveSettings } from '../../src/federation/effective-settings.ts';
import { inject } from '../../src/injection/inject.ts';
import { parseSettings } from '../../src/settings/load.ts';
import { placeholders } from '../../src/settings/placeholders.ts';
import { defaultImage, type Settings, withImage } from '../../src/settings/schema.ts';
import { addressProblem, amountOf } from '../../src/settings/values.ts';
import { rounds } from '../rounds.ts';

const refusals = (text: string): readonly string[] => {
  const result = parseSettings(text);
  return result.ok ? [] : result.problems.map(({ path, position }) => `${position} ${path}`);
};

describe('refused, with line and key', () => {
  for (const address of [
    ...['https://h:99999', 'http://:2801', 'https://h:8O80', 'http://[::1', 'https://h:0', 'https://'],
    ...[
      'https://fd00::1:8443',
      'https://user:secret@h',
      'https://h/?a=b',
      'https://h/#a',
      'ftp://h',
      'h:2801',
    ],
    ...['https://h h', 'https://$(HUB)', 'https:///h'],
  ]) {
    test(`hub.address: ${address}`, () =>
      assert.deepEqual(refusals(`cluster: a\nhub:\n  address: "${address}"\n`), ['3:12 hub.address']));
  }

  for (const image of [
    ...[
      'Falco-Federation:0.1.0',
      'registry.example/Falco:1',
      'a:1:2',
      'a:1@sha256:12',
      'registry.example/',
      'a b',
    ],
    ...['/a', 'a//b', 'a:', `a:${'1'.repeat(129)}`],
  ]) {
    test(`rules.image: ${image.slice(0, 40)}`, () =>
      assert.deepEqual(refusals(`cluster: a\nrules:\n  image: "${image}"\n`), ['3:10 rules.image']));
  }

  for (const [resources, key] of [
    ['requests: { cpu: x }', 'requests.cpu'],
    ['requests: { cpu: "2" }\n    limits: { cpu: 1500m }', 'requests.cpu'],
    ['requests: { memory: 1Gi }\n    limits: { memory: 1000M }', 'requests.memory'],
    ['requests: { memory: 64m }', 'requests.memory'],
    ['limits: { memory: 64 }', 'limits.memory'],
    ['limits: { cpu: "0" }', 'limits.cpu'],
  ] as const) {
    test(`resources: ${resources}`, () => {
      const [first = ''] = refusals(`cluster: a\nrules:\n  resources:\n    ${resources}\n`);
      assert.match(first, new RegExp(`^[45]:\\d+ rules\\.resources\\.${key}$`));
    });
  }

  test('sizes that no disk has', () => {
    for (const size of ['99999999999999999999Gi', '1Mi', '0Gi', '1'])
      assert.ok(
        refusals(`cluster: a\nhub: { address: "https://h" }\nforwarder: { spoolSize: ${size} }\n`).length,
      );
  });
});

describe('taken', () => {
  for (const address of [
    'https://h',
    'http://10.0.0.1:2801',
    'https://[fd00::1]:8443/in',
    'https://h.example:443/a/',
  ])
    test(address, () => assert.equal(addressProblem(address), undefined));

  for (const image of [
    ...['falco-federation-webhook:0.1.0', 'localhost:5000/a/b', 'Registry.example:443/a_b/c-d.e:v1', 'a'],
    `registry.example/a:1@sha256:${'0'.repeat(64)}`,
    '[fd00::1]:5000/a:1',
  ]) {
    test(image, () => assert.deepEqual(refusals(`cluster: a\nrules: { image: "${image}" }`), []));
  }
});

const parts = (...all: readonly string[]) =>
  fc.array(fc.constantFrom(...all), { minLength: 1, maxLength: 4 }).map((chosen) => chosen.join(''));

/** One field in four at random, so that many a file is taken as a whole. */
const mostly = <T>(good: readonly T[], wild: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...good) }, { weight: 1, arbitrary: wild });

const addresses = mostly(
  ['https://hub.example', 'http://10.0.0.1:2801', 'https://[fd00::1]:8443/in'],
  fc
    .tuple(
      fc.constantFrom('https://', 'http://'),
      parts('h', 'hub.example', ':', '[', ']', '::1', '[fd00::1]', '1', '@', '%', '/', '\\', 'ä', '_', '..'),
      fc.constantFrom('', ':443', ':99999', ':8O', ':0', '/in', '?q'),
    )
    .map((three) => three.join('')),
);
const amount = fc.constantFrom('1', '10m', '500m', '0.5', '0', '2');
const memory = fc.constantFrom('16Mi', '64Mi', '1Gi', '64m', '2G', '100k');
const amounts = fc.record({ cpu: amount, memory }, { requiredKeys: [] });
const resources = mostly<object>(
  [{}],
  fc.record({ requests: amounts, limits: amounts }, { requiredKeys: [] }),
);

const files = fc.record(
  {
    cluster: mostly(['staging'], parts('a', 'B', '-', '.', '_', '1', 'ä')),
    tags: fc.array(mostly(['a'], parts('a', '_', ' ', ',')), { maxLength: 2 }),
    labels: fc.dictionary(
      mostly(['env', 'a.b/c'], parts('env', '.', '/', '_', '1', ':')),
      mostly(['a'], parts('a', ' ', ':', '%', '"', ',')),
      { maxKeys: 2 },
    ),
    rules: fc.record(
      {
        image: mostly(['a:1'], parts('a', 'A', '/', ':', '1', '@', 'localhost', '.example')),
        imagePullSecrets: fc.array(mostly(['a'], parts('a', '.', '-')), { maxLength: 2 }),
        startup: fc.constantFrom('init', 'alongside'),
        resources,
        followResources: resources,
      },
      { requiredKeys: [] },
    ),
    hub: fc.record({ address: addresses }),
    forwarder: fc.record(
      { address: addresses, spoolSize: mostly(['1Gi'], parts('1', '0', '6', 'Mi', 'Gi')) },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: ['cluster', 'tags', 'hub'] },
);

const falco = {
  metadata: {},
  spec: {
    containers: [
      {
        name: 'falco',
        image: 'docker.io/falcosecurity/falco:0.44.1',
        args: ['/usr/bin/falco'],
        volumeMounts: [{ name: 'rules', mountPath: '/etc/falco' }],
      },
    ],
    volumes: [{ name: 'rules', emptyDir: {} }],
  },
};
const falcosidekick = {
  metadata: {},
  spec: {
    hostNetwork: true,
    containers: [{ name: 'falcosidekick', image: 'falcosecurity/falcosidekick:2.32.0' }],
  },
};

/** What serve, inject and forward do with settings as soon as they have them. */
function use(file: Settings): void {
  const settings = withImage(file, defaultImage);
  placeholders(settings);
  const { effective } = effectiveSettings(settings, undefined, undefined);
  for (const template of [falco, falcosidekick]) {
    const { template: injected } = inject(template, effective);
    for (const container of [...(injected.spec.initContainers ?? []), ...injected.spec.containers]) {
      for (const name of ['cpu', 'memory'] as const) {
        const [request, limit] = [container.resources?.requests?.[name], container.resources?.limits?.[name]];
        if (request !== undefined && limit !== undefined) assert.ok(amountOf(request) <= amountOf(limit));
      }
    }
  }
  if (settings.forwarder !== undefined)
    assert.ok(Number.isSafeInteger(amountOf(settings.forwarder.spoolSize)));
  if (settings.hub !== undefined) {
    const { address } = settings.hub;
    httpClient({
      address,
      credentials: { ca: undefined, client: undefined, headers: {} },
      env: {},
    }).close();
  }
}

test('property: settings that are taken can be used by every command', () => {
  let taken = 0;
  fc.assert(
    fc.property(files, (file) => {
      const read = parseSettings(JSON.stringify(file));
      if (!read.ok) return;
      taken++;
      use(read.settings);
    }),
    rounds(1_000),
  );
  assert.ok(taken > 100, `only ${taken} were taken`);
});
