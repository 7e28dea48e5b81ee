import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { canHoldFalco } from '../../src/documents/can-hold-falco.ts';
import { splitJson } from '../../src/documents/split.ts';
import { surroundingsIn } from '../../src/documents/surroundings.ts';

const secret = (name: string, rest: object, namespace?: string): object => ({
  kind: 'Secret',
  metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
  ...rest,
});

describe('what else a stream holds', () => {
  test('Secrets by namespace and name: data decoded, stringData over it, those in lists too', () => {
    const both = { data: { A: 'b25l', B: 'dHdv' }, stringData: { B: 'three' } };
    const { secretOf } = surroundingsIn(
      [
        secret('one', both, 'falco'),
        { kind: 'List', items: [secret('two', { stringData: { C: 'x:y', D: 3 } })] },
        { kind: 'ConfigMap', metadata: { name: 'three', namespace: 'falco' }, data: { A: 'b25l' } },
        secret('four', { data: 'none' }, 'falco'),
      ],
      'security',
    );
    assert.deepEqual(
      secretOf('falco', 'one'),
      new Map([
        ['A', 'one'],
        ['B', 'three'],
      ]),
    );
    assert.deepEqual(secretOf('security', 'two'), new Map([['C', 'x:y']]));
    assert.deepEqual(secretOf('falco', 'four'), new Map());
    assert.equal(secretOf('falco', 'two'), undefined);
    assert.equal(secretOf('falco', 'three'), undefined);
  });

  test("objects that name no namespace are each other's neighbours", () => {
    const { secretOf } = surroundingsIn([secret('one', { stringData: { A: 'b' } })], undefined);
    assert.deepEqual(secretOf(undefined, 'one'), new Map([['A', 'b']]));
    assert.equal(secretOf('falco', 'one'), undefined);
  });

  test("a Namespace's annotations, in a list too", () => {
    const namespace = { kind: 'Namespace', metadata: { name: 'falco', annotations: { a: 'b', c: 1 } } };
    const { annotationsOf } = surroundingsIn([{ kind: 'NamespaceList', items: [namespace] }], undefined);
    assert.deepEqual(annotationsOf('falco'), { a: 'b' });
    assert.equal(annotationsOf(undefined), undefined);
  });
});

describe('whether a text may hold Falco', () => {
  const held: readonly string[] = [
    'kind: DaemonSet\nmetadata: {name: falco}',
    'kind: "Pod"\nimage: registry.example/falcosecurity/falco:0.44.1',
    '{"kind":"Deployment","args":["/usr/bin/falco"]}',
    'kind: Deployment\n  - name: falcosidekick',
    'kind: List\n  image: falco-no-driver@sha256:00',
  ];
  for (const text of held) test(`yes: ${text}`, () => assert.equal(canHoldFalco(text), true));

  const others: readonly string[] = [
    'kind: ConfigMap\nmetadata: {name: falco}',
    'kind: Deployment\nmetadata: {name: web, namespace: falco}',
    'kind: Deployment\nmetadata: {name: falco-exporter}',
    'kind: DaemonSet\n  path: /etc/falco/falco.yaml',
    'kind: DaemonSet\n  url: https://falco.org',
    'kind: Deployment\n  labels: {falco-federation.io/inject: disabled}',
  ];
  for (const text of others) test(`no: ${text}`, () => assert.equal(canHoldFalco(text), false));
});

describe('a stream of JSON', () => {
  test('is cut behind each object, whatever stands between them', () => {
    const stream = ' {"a": "}\\""}\n{"b": [{}, {}]}{"c": 1}\r\n\n';
    assert.deepEqual(splitJson(stream), [' {"a": "}\\""}', '\n{"b": [{}, {}]}', '{"c": 1}\r\n\n']);
  });

  test('that does not end, or is none, is not cut', () => {
    assert.equal(splitJson('{"a": ['), undefined);
    assert.equal(splitJson('[{}]'), undefined);
    assert.equal(splitJson('kind: Pod'), undefined);
  });
});
