/** The patch made next to the change, held against the library's (RFC 6902). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fastCheck from 'fast-check';
import fastJsonPatch, { type Operation } from 'fast-json-patch';
import { patchBetween } from '../../src/injection/patch.ts';
import { rounds } from '../rounds.ts';

function applied(before: unknown, operations: readonly Operation[]): unknown {
  return fastJsonPatch.applyPatch(structuredClone(before), structuredClone([...operations]), true)
    .newDocument;
}

// The library refuses to write `__proto__` for safety; no key in Kubernetes begins with an underscore.
const key = fastCheck
  .oneof(fastCheck.constantFrom('a', 'b', 'a/b', 'a~b', '~1', ''), fastCheck.string())
  .filter((one) => one !== '__proto__');
const { value } = fastCheck.letrec((tie) => ({
  value: fastCheck.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fastCheck.constantFrom(null, true, 0, 1, '', 'text'),
    fastCheck.array(tie('value'), { maxLength: 3 }),
    fastCheck.dictionary(key, tie('value'), { maxKeys: 4 }),
  ),
}));
/** As JSON.parse makes them. */
const parsed = <T>(one: T): T => JSON.parse(JSON.stringify(one));
const document = fastCheck.dictionary(key, value, { maxKeys: 5 }).map(parsed);
const elements = fastCheck.array(value).map(parsed);

test('whatever the two values are, the patch leads from one to the other', () => {
  fastCheck.assert(
    fastCheck.property(document, document, (before, after) => {
      assert.deepEqual(applied(before, patchBetween(before, after)), after);
    }),
    rounds(500),
  );
});

test('elements and fields added: the same operations as the library makes', () => {
  const byPath = (operations: readonly Operation[]) =>
    [...operations].sort((one, other) => one.path.localeCompare(other.path));
  fastCheck.assert(
    fastCheck.property(document, document, elements, (before, fields, added) => {
      const start = { list: [before], ...before };
      const after = { ...fields, ...start, list: [...start.list, ...added] };
      assert.deepEqual(byPath(patchBetween(start, after)), byPath(fastJsonPatch.compare(start, after)));
    }),
    rounds(500),
  );
});

test('elements that are gone are removed, the last one first, and no other is written anew', () => {
  const named = fastCheck
    .uniqueArray(fastCheck.record({ name: fastCheck.string(), value }), { selector: ({ name }) => name })
    .map(parsed);
  const texts = fastCheck.array(fastCheck.constantFrom('a', 'b', 'c'));
  const coins = fastCheck.infiniteStream(fastCheck.boolean());
  fastCheck.assert(
    fastCheck.property(named, texts, coins, fastCheck.nat(3), (list, args, toss, cut) => {
      const kept = list.filter(() => toss.next().value);
      const added = { name: `new ${list.map(({ name }) => name).join()}` };
      const before = { list, args: [...args, ...Array(cut).fill('-o'), 'x'] };
      const after = { list: [...kept, added], args: [...args, 'x'] };
      const operations = patchBetween(before, after);
      assert.deepEqual(
        operations.map(({ op }) => op),
        [...Array(list.length - kept.length).fill('remove'), 'add', ...Array(cut).fill('remove')],
      );
      assert.deepEqual(applied(before, operations), after);
    }),
  );
});

test('shared parts are not looked into; equal ones give nothing', () => {
  const shared = new Proxy({}, { ownKeys: () => assert.fail('looked into') });
  assert.deepEqual(patchBetween({ a: shared, b: 1 }, { a: shared, b: 2 }), [
    { op: 'replace', path: '/b', value: 2 },
  ]);
  assert.deepEqual(patchBetween({ a: [{ b: 1 }] }, { a: [{ b: 1 }] }), []);
  assert.deepEqual(patchBetween({ a: undefined }, {}), []);
  assert.deepEqual(patchBetween({ a: 1 }, { a: undefined }), [{ op: 'remove', path: '/a' }]);
  assert.deepEqual(patchBetween({ a: undefined }, { a: 1 }), [{ op: 'add', path: '/a', value: 1 }]);
});
