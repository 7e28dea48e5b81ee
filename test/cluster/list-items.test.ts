import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ListItems } from '../../src/cluster/list-items.ts';
import { rounds } from '../rounds.ts';

/** Cuts a text wherever `cuts` say, within characters too. */
function read(text: string, cuts: readonly number[]): { readonly items: unknown[]; readonly rest: unknown } {
  const bytes = Buffer.from(text);
  const at = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
    (a, b) => a - b,
  );
  const list = new ListItems();
  const items: unknown[] = [];
  for (const [index, from] of at.entries())
    items.push(...list.add(bytes.subarray(from, at[index + 1] ?? from)));
  return { items, rest: list.end() };
}

test('items and the rest of any list, wherever the network cuts it', () => {
  const item = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue());
  // A list has no other array right in it.
  const rest = fc.record({
    kind: fc.string({ unit: 'grapheme' }),
    metadata: fc.dictionary(fc.string(), fc.jsonValue()),
  });
  fc.assert(
    fc.property(
      ...[fc.array(item), rest, fc.array(fc.nat(10_000), { maxLength: 30 }), fc.constantFrom(undefined, 1)],
      (items, { kind, metadata }, cuts, indent) => {
        const text = JSON.stringify({ kind, items, metadata }, null, indent);
        const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
        assert.deepEqual(read(text, cuts), {
          items: plain(items),
          rest: plain({ kind, items: [], metadata }),
        });
      },
    ),
    rounds(100),
  );
});

test('an item larger than the memory for it, a list without items, and what is no JSON', () => {
  const items = [{ text: 'x'.repeat(300_000) }, { a: ['}', ']', '"', '\\'] }, {}];
  assert.deepEqual(read(JSON.stringify({ items }), [1, 7, 70_000]).items, items);
  assert.deepEqual(read('{"metadata":{},"items":null}', [3]), {
    items: [],
    rest: { metadata: {}, items: null },
  });
  for (const text of ['', '<html>', '{"items":[{]}', '{"items":[{}'])
    assert.throws(() => read(text, []), text);
});
