import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { injectStream } from '../../src/documents/inject-stream.ts';
import { settingsInResourceList } from '../../src/documents/resource-list.ts';
import { settingsFrom } from '../injection/pods.ts';

const list = (functionConfig: string, more = '') => `apiVersion: config.kubernetes.io/v1
kind: ResourceList
functionConfig: ${functionConfig}
items:
- apiVersion: v1
  kind: Pod # mine
  metadata: {name: falco, namespace: falco}
  spec:
    containers:
    - {name: falco, image: 'falcosecurity/falco:0.36.0', args: [/usr/bin/falco]}
    - {name: falcosidekick, image: 'falcosecurity/falcosidekick:2.32.0'}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: other}}
${more}`;

const ofSpec = list('{apiVersion: falco-federation.io/v1, kind: Federation, spec: {cluster: staging}}');

describe('settings of a function', () => {
  test('from the spec of any kind, or from a ConfigMap with the file', () => {
    for (const text of [
      ofSpec,
      list('{apiVersion: v1, kind: ConfigMap, data: {federation.yaml: "cluster: staging\\n"}}'),
    ]) {
      const read = settingsInResourceList(text);
      assert.ok(read?.ok);
      assert.equal(read.settings.cluster, 'staging');
    }
  });

  test('bad ones are told by their keys', () => {
    const read = settingsInResourceList(list('{kind: Federation, spec: {cluster: staging, hubb: {}}}'));
    assert.ok(read?.ok === false);
    assert.match(read.problems[0]?.message ?? '', /did you mean "hub"/);
  });

  test('are none where it has none, and where it is something else', () => {
    for (const text of [
      list('{kind: ConfigMap, data: {a: b}}'),
      list('{kind: Federation}'),
      'kind: ConfigMap\ndata: {a: "ResourceList functionConfig"}\n',
      'a: [ResourceList functionConfig',
    ])
      assert.equal(settingsInResourceList(text), undefined, text);
  });
});

describe('a ResourceList', () => {
  const inject = (text: string) =>
    injectStream(text, {
      settings: settingsFrom('cluster: staging\nrole: hub\n'),
      namespace: undefined,
    });

  test('has its items injected in their place', () => {
    const { output, failed } = inject(ofSpec);
    assert.equal(failed, false);
    assert.match(output, /kind: Pod # mine/);
    const { items } = parse(output);
    assert.match(items[0].metadata.annotations['falco-federation.io/status'], /"cluster":"staging"/);
    assert.deepEqual(items[1], { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'other' } });
  });

  test('of nothing of ours stays byte for byte', () => {
    const other = list('{}').replace(/^- apiVersion: v1\n[\s\S]*?2\.32\.0'}\n/m, '');
    assert.equal(inject(other).output, other);
  });
});
