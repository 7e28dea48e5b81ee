import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { effectiveSettings } from '../../src/federation/effective-settings.ts';
import { settingsFrom } from '../injection/pods.ts';

const p = 'falco-federation.io/';

describe('settings in force', () => {
  test('without annotations it is the cluster, and always the same object', () => {
    const settings = settingsFrom('cluster: staging\n');
    const { effective, findings } = effectiveSettings(settings, undefined, undefined);
    assert.deepEqual(
      [effective.cluster, effective.labels, effective.tags],
      ['staging', { env: 'staging' }, ['staging']],
    );
    assert.deepEqual(findings, []);
    assert.equal(effectiveSettings(settings, {}, { other: 'x' }).effective, effective);
  });

  test("the pod's annotations win over the namespace's, key by key", () => {
    const settings = settingsFrom('cluster: staging\n');
    const namespace = { [`${p}cluster`]: 'edge', [`${p}tags`]: 'from-namespace' };
    const { effective } = effectiveSettings(settings, namespace, {
      [`${p}tags`]: 'from-pod, second,from-pod',
    });
    assert.deepEqual(effective.tags, ['from-pod', 'second']);
    assert.deepEqual([effective.cluster, effective.labels], ['edge', { env: 'edge' }]);
  });

  test('labels and tags that the settings spell out do not follow the cluster annotation', () => {
    const settings = settingsFrom('cluster: staging\nlabels: {env: prod}\ntags: [prod]\n');
    const { effective } = effectiveSettings(settings, { [`${p}cluster`]: 'edge' }, undefined);
    assert.deepEqual(
      [effective.cluster, effective.labels, effective.tags],
      ['edge', { env: 'prod' }, ['prod']],
    );
  });

  test("Falco's version comes from the pod before the namespace, and is part of the hash", () => {
    const settings = settingsFrom('cluster: staging\n');
    const namespace = { [`${p}falco-version`]: 'v0.40.0' };
    const { effective } = effectiveSettings(settings, namespace, {
      [`${p}falco-version`]: ' 0.44.1-debian ',
    });
    assert.equal(effective.falcoVersion, '0.44.1-debian');
    const ofNamespace = effectiveSettings(settings, namespace, undefined).effective;
    assert.equal(ofNamespace.falcoVersion, '0.40.0');
    const none = effectiveSettings(settings, undefined, undefined).effective;
    assert.equal(none.falcoVersion, undefined);
    assert.equal(new Set([effective, ofNamespace, none].map(({ hash }) => hash)).size, 3);
  });

  test('a value as long as a book is told by its beginning', () => {
    const settings = settingsFrom('cluster: staging\n');
    const { findings } = effectiveSettings(settings, undefined, { [`${p}tags`]: `! ${'x'.repeat(100_000)}` });
    assert.ok((findings[0]?.detail ?? '').length < 500);
  });

  const ignored: readonly (readonly [annotation: string, value: string])[] = [
    ['cluster', '-x'],
    ['labels', 'rule=x'],
    ['labels', 'env'],
    ['labels', 'env=a:b'],
    ['tags', 'a b'],
    ['falco-version', 'latest'],
    ['falco-version', '44'],
    ['falco-version', ''],
  ];
  for (const [annotation, value] of ignored) {
    test(`not allowed and so ignored: ${annotation}=${value}`, () => {
      // What falcosidekick's fields must carry counts on a hub.
      const settings = settingsFrom('cluster: obsrv\nrole: hub\n');
      const { effective, findings } = effectiveSettings(settings, undefined, { [p + annotation]: value });
      assert.deepEqual(
        findings.map(({ code }) => code),
        ['annotation_invalid'],
      );
      assert.equal(effective, effectiveSettings(settings, undefined, undefined).effective);
    });
  }

  test('more tags or labels than anybody has are none', () => {
    for (const [key, part] of [
      ['tags', 'a'],
      ['labels', 'a=b'],
    ] as const) {
      const of = (count: number) =>
        effectiveSettings(settingsFrom('cluster: staging\n'), undefined, {
          [`falco-federation.io/${key}`]: Array.from({ length: count }, () => part).join(','),
        }).findings.length;
      assert.deepEqual([of(100), of(101)], [0, 1], key);
    }
  });

  test('an annotation that we do not know is told', () => {
    const { findings } = effectiveSettings(
      settingsFrom('cluster: a\n'),
      { [`${p}colour`]: 'red' },
      { [`${p}status`]: '{}' },
    );
    assert.deepEqual(findings, [{ code: 'annotation_unknown', detail: `${p}colour on the namespace` }]);
  });

  test('a cluster name that cannot be a tag leaves the rules without, and says so', () => {
    const { effective, findings } = effectiveSettings(settingsFrom('cluster: a\n'), undefined, {
      [`${p}cluster`]: 'eu.west',
    });
    assert.deepEqual(effective.tags, []);
    assert.match(findings[0]?.detail ?? '', /set falco-federation\.io\/tags too/);
  });

  test('the hash changes with every setting that matters', () => {
    const texts = [
      'cluster: a',
      'cluster: b',
      'cluster: a\ntags: [x]',
      'cluster: a\nrole: hub',
      'cluster: a\nrules: {startup: alongside}',
    ];
    const hashes = texts.map(
      (text) => effectiveSettings(settingsFrom(text), undefined, undefined).effective.hash,
    );
    assert.equal(new Set(hashes).size, texts.length);
    for (const hash of hashes) assert.match(hash, /^[0-9a-f]{12}$/);
  });
});
