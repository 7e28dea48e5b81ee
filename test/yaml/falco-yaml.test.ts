/**
 * YAML as Falco's parser reads it. The answers were taken from yaml-cpp itself; where it is wider than the standard,
 * another parser's would be others.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseAllDocuments } from 'yaml';
import {
  byteText,
  type Node,
  NotYaml,
  Reader,
  resolve,
  Tokens,
  unicodeText,
} from '../../src/yaml/falco-yaml.ts';
import { rounds } from '../rounds.ts';
import { pieces } from './pieces.ts';

type Plain = string | null | readonly Plain[] | { readonly pairs: readonly (readonly [Plain, Plain])[] };

function plain(node: Node): Plain {
  const target = resolve(node);
  if (target.is === 'null') return null;
  if (target.is === 'scalar') return unicodeText(target.text) ?? target.text;
  if (target.is === 'sequence') return target.items.map(plain);
  return { pairs: target.pairs.map(({ key, value }) => [plain(key), plain(value)]) };
}

/** As JSON people write it, which is enough for most. */
function short(value: Plain): unknown {
  if (value === null || typeof value === 'string') return value;
  if (!('pairs' in value)) return value.map(short);
  return Object.fromEntries(
    value.pairs.map(([key, one]) => [typeof key === 'string' ? key : JSON.stringify(key), short(one)]),
  );
}

function roots(text: string): Node[] {
  const reader = new Reader(byteText(text));
  const found: Node[] = [];
  for (let next = reader.nextDocument(); next !== undefined; next = reader.nextDocument()) {
    found.push(next.root);
  }
  return found;
}

function documents(text: string): Plain[] {
  return roots(text).map(plain);
}

const read: Readonly<Record<string, readonly [text: string, ...documents: readonly unknown[]]>> = {
  'quoted text that goes on at the first column': ['a: "b\nc"\nd: e\n', { a: 'b c', d: 'e' }],
  'what looks like an item, in quotes': ["- a: 'x\n- b: y'\n", [{ a: 'x - b: y' }]],
  'a line break in place of the closing quote, at the end': ['a: "b\n', { a: 'b ' }],
  'line breaks at the end of a quoted text are one': ['a: "b\n\n\n\n"\n', { a: 'b\n' }],
  'an escaped line break': ['a: "b \\\n  c"\n', { a: 'b c' }],
  'escape sequences': ['a: "\\x41\\u00e9\\U0001F600\\t\\"\\/"\n', { a: 'Aé😀\t"/' }],
  'quotes within quotes': ["a: 'it''s'\n", { a: "it's" }],
  'a plain text over lines': ['a: b\n  c\n\n  d\ne: f\n', { a: 'b c\nd', e: 'f' }],
  'a comment ends a plain text': ['a: b\n  c # d\ne: f\n', { a: 'b c', e: 'f' }],
  'a hash within a plain text': ['a: b#c\n', { a: 'b#c' }],
  'a comment without a blank before it': ['a: [b,#c\n  d]#e\nf: "g"#h\n', { a: ['b', 'd'], f: 'g' }],
  'block scalars': [
    'a: |\n  b\n   c\n\nd: >-\n  e\n  f\n\n  g\nh: |+\n  i\n\nj: |2-\n   k\n',
    { a: 'b\n c\n', d: 'e f\ng', h: 'i\n\n', j: ' k' },
  ],
  'a folded text with deeper lines': ['a: >\n  b\n    c\n  d\n', { a: 'b\n  c\nd\n' }],
  'a block scalar without an end': ['a: |\n  b', { a: 'b' }],
  'blanks in the last line of a block scalar': ['a: >-\n  b\n   ', { a: 'b\n ' }],
  'a flow collection at any indentation': [
    'a: [b,\nc\n]\nd: {e: f,\ng: h\n}\n',
    { a: ['b', 'c'], d: { e: 'f', g: 'h' } },
  ],
  'pairs and lone keys in flow collections': ['[a: b, {c, "d":e}]\n', [{ a: 'b' }, { c: null, d: 'e' }]],
  'explicit keys': ['? a\n: b\n? c\n', { a: 'b', c: null }],
  'a list at the column of its key': ['a:\n- b\n- c\nd: e\n', { a: ['b', 'c'], d: 'e' }],
  'nothing is null': [
    'a:\nb: ~\nc: null\nd: "null"\ne: !!str\n',
    { a: null, b: null, c: null, d: 'null', e: '' },
  ],
  'numbers and truths are texts': ['a: 0x1F\nb: yes\nc: 1_0\n', { a: '0x1F', b: 'yes', c: '1_0' }],
  'anchors and aliases': ['a: &x [b]\nc: *x\n&k d: *k\n', { a: ['b'], c: ['b'], d: 'd' }],
  tags: ['a: !<tag:x> b\nc: !!str ~\nd: !own!x e\n', { a: 'b', c: '~', d: 'e' }],
  CRLF: ['a: b\r\nc:\r\n  - d\r\n', { a: 'b', c: ['d'] }],
  'CR alone': ['a: b\rc:\r  - d\r', { a: 'b', c: ['d'] }],
  'several documents': ['%YAML 1.2\n---\na\n---\nb\n...\n# c\n---\nd\n', 'a', 'b', 'd'],
  'what is indented less begins a document': ['  - a\n- b\n', ['a'], ['b']],
  'a lone key at the end': ['a: b\nc:[d]\n', { a: 'b', 'c:[d]': null }],
  'a lone text above a document': ['a: b\nc\n---\nd\n', { a: 'b', c: null }, 'd'],
  nothing: [''],
  'only a comment': ['# a\n'],
};
for (const [name, [text, ...expected]] of Object.entries(read)) {
  test(`read: ${name}`, () => assert.deepEqual(documents(text).map(short), expected));
}

const refused: Readonly<Record<string, readonly [text: string, line: number]>> = {
  'a flow list without its end': ['a: b\nc: [d\ne: f\n', 3],
  'a closing bracket alone': ['a: b\nc: ]\n', 2],
  'brackets that do not fit': ['a: [b}\n', 1],
  'a comma at the begin of a line': ['a: [b\n,c]\n', 2],
  'a quote without its end': ['a: b\nc: "d', 2],
  'a document within quotes': ['a: "b\n---\nc"\n', 2],
  'an unknown escape sequence': ['a: "\\q"\n', 1],
  'half a pair of surrogates': ['a: "\\ud800"\n', 1],
  'two texts in a line': ['a: "b" "c"\n', 1],
  'an alias of nothing': ['a: b\nc: *d\n', 2],
  'a tab as indentation': ['a: |\n\tb\n', 2],
  'a lone key between others': ['a: b\nc\n\nd: e\n', 4],
  'a mapping within a line': ['a: b: c\n', 1],
  'a list item behind a key': ['a: - b\n', 1],
  'a reserved character': ['a: b\nc: @d\n', 2],
  'an indentation of 0': ['a: |0\n  b\n', 1],
  'a second version': ['%YAML 1.2\n%YAML 1.2\n---\na\n', 2],
  'a version to come': ['%YAML 2.0\n---\na\n', 1],
  'two anchors': ['a: &b &c d\n', 1],
  'two tags': ['a: !b !c d\n', 1],
};
for (const [name, [text, line]] of Object.entries(refused)) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => documents(text),
      (error) => error instanceof NotYaml && error.line === line,
    );
  });
}

test('nesting is refused where Falco’s parser gives up, and no stack is too small', () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
  assert.equal(documents(nested(499)).length, 1);
  for (const text of [nested(500), '['.repeat(100_000), '{a: '.repeat(100_000), '- '.repeat(100_000)]) {
    assert.throws(() => documents(text), NotYaml);
  }
});

test('a flow collection as long as the file is not held back until its end', () => {
  const tokens = new Tokens(`[${'a,\n '.repeat(20_000)}"never closed`);
  // Whoever had read to the end would have come upon the quote.
  for (let count = 0; count < 20_000; count++) assert.notEqual(tokens.next(), undefined);
  assert.throws(() => {
    while (tokens.next() !== undefined);
  }, NotYaml);
});

test('values that nobody wants cost nothing', () => {
  const text = `a: [${'x, '.repeat(1000)}]\nb: [y]\nc: {d: [z]}\n`;
  const reader = new Reader(text, { keysAt: { level: 0, keys: new Set(['b']) } });
  const root = reader.nextDocument()?.root;
  assert.ok(root?.is === 'mapping');
  assert.deepEqual(short(plain(root)), { a: [], b: ['y'], c: {} });
});

// --- properties -------------------------------------------------------------------------------------------

test('property: any text is read or refused, and nothing else', () => {
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 60 }), (parts) => {
      try {
        // Not as plain values: an alias may be a part of what it stands for.
        roots(parts.join(''));
      } catch (error) {
        assert.ok(error instanceof NotYaml, String(error));
        assert.ok(error.line >= 1);
      }
    }),
    rounds(500),
  );
});

test('property: nodes stand where their text is, in order, one in the other', () => {
  const checkPlaces = (node: Node, from: number, to: number): void => {
    assert.ok(from <= node.at && node.at <= node.end && node.end <= to);
    assert.ok(node.token <= node.endToken);
    if (node.is === 'sequence') for (const item of node.items) checkPlaces(item, node.at, node.end);
    if (node.is !== 'mapping') return;
    for (const { key, value, end } of node.pairs) {
      checkPlaces(key, Math.min(node.at, key.at), end);
      checkPlaces(value, key.end, end);
    }
  };
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
      const text = byteText(parts.join(''));
      try {
        const root = new Reader(text).nextDocument()?.root;
        if (root !== undefined) checkPlaces(root, 0, text.length);
      } catch (error) {
        if (!(error instanceof NotYaml)) throw error;
      }
    }),
    rounds(300),
  );
});

/** Texts that every reader takes for the same: values in the usual forms, nested, with comments in between. */
const scalarText = fc.constantFrom(
  'a',
  'b c',
  'é',
  "'it''s'",
  '"q: [x] # \\" \\n"',
  '12',
  'x#y',
  'a:b',
  '"折り"',
  "''",
);
const blockText = fc.constantFrom(
  '|\n  a\n\n  b\n',
  '>-\n  a\n  b\n\n  c\n',
  '|+\n  a\n\n',
  '>\n  a\n   b\n  c\n',
);
const flowText = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    scalarText,
    fc.array(tie('value'), { maxLength: 3 }).map((items) => `[${items.join(', ')}]`),
    fc
      .array(tie('value'), { maxLength: 2 })
      .map((items) => `{${items.map((item, at) => `k${at}: ${item}`).join(',\n    ')}}`),
  ),
})).value;
const entry = fc.oneof(
  fc
    .tuple(flowText, fc.constantFrom('\n', ' # note\n', '\n# between\n\n'))
    .map(([value, end]) => value + end),
  blockText,
);
const usualText = fc
  .tuple(
    fc.array(entry, { minLength: 1, maxLength: 6 }),
    fc.constantFrom('\n', '\r\n'),
    fc.constantFrom('', '---\n'),
  )
  .map(([entries, eol, head]) =>
    (head + entries.map((one, at) => `key${at}: ${one}`).join('')).replaceAll('\n', eol),
  );

test('property: usual texts are to another parser what they are to this one', () => {
  fc.assert(
    fc.property(usualText, (text) => {
      const options = { schema: 'failsafe', uniqueKeys: false, strict: false, logLevel: 'silent' } as const;
      const [other] = [...parseAllDocuments(text, options)];
      assert.ok(other !== undefined && other.errors.length === 0);
      assert.deepEqual(documents(text).map(short), [other.toJS()]);
    }),
    rounds(100),
  );
});
