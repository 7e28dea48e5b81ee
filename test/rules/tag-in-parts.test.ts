/** Long files are tagged in parts: with the same result, in memory that does not grow with the file. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { largestParsed, tagInParts } from '../../src/rules/tagging/tag-in-parts.ts';
import { tagRulesFile } from '../../src/rules/tagging/tag-rules-file.ts';
import { upstream } from '../injection/reviews.ts';
import { rule } from './temporary-tree.ts';

const tags = ['staging'];
const filler = `# ${'x'.repeat(500)}\n`;

function long(...items: readonly string[]): string {
  return Array.from(
    { length: 200 },
    (_, at) => filler + items.map((one) => one.replaceAll('N', String(at))).join(''),
  ).join('');
}

function assertSame(text: string): void {
  const { problems, ...rest } = tagInParts(text, tags);
  const { problems: ofWhole, ...whole } = tagRulesFile(text, tags);
  assert.deepEqual(rest, whole);
  assert.deepEqual(problems, ofWhole);
}

test('the same as the whole file in one piece, whatever the items', () => {
  const items = fc.constantFrom(
    rule('RN'),
    '- rule: RN\n  desc: >\n    - rule: no\n  condition: a\n  output: b\n  priority: INFO\n  tags:\n  - x\n  # y\n',
    '- rule: RN\n  desc: d\n  condition: a\n  output: b\n  priority: INFO\n',
    '- macro: mN\n  condition: evt.type in (a, b)\n',
    '- list: lN\n  items: [a, "b",\n    c]\n',
    '- rule: RN\n  append: true\n  condition: and x\n',
    '- {rule: RN, desc: d, condition: a, output: b, priority: INFO, tags: [a]}\n',
    '- rule: RN\n  desc: "a\n\n    b"\n  condition: a\n  output: b\n  priority: INFO\n  tags: []\n',
  );
  fc.assert(
    fc.property(
      fc.array(items, { minLength: 1, maxLength: 4 }),
      fc.constantFrom('\n', '\r\n'),
      fc.constantFrom('', '---\n', '# c\n---\n', '\uFEFF'),
      (some, end, head) => assertSame((head + long(...some)).replaceAll('\n', end)),
    ),
    { numRuns: 12 },
  );
});

const dependent: readonly (readonly [name: string, text: string])[] = [
  [
    'anchors',
    long('- rule: RN\n  desc: d\n  condition: &cN a\n  output: *cN\n  priority: INFO\n  tags: [a]\n'),
  ],
  ['several documents', long(rule('RN'), '---\n')],
  [
    'what looks like an item, in quotes',
    `${long(rule('RN'))}- rule: Q\n  desc: "a\n- rule: no\n  b"\n  condition: a\n  output: b\n  priority: INFO\n${long(rule('SN'))}`,
  ],
  [
    'an item that Falco refuses',
    `${long(rule('RN'))}- rule: Bad\n  desc: d\n  condition: a\n  output: b\n  priority: INFO\n  tags: text\n${long(rule('SN'))}`,
  ],
  ['an end that is broken', `${long(rule('RN'))}- rule: [\n`],
];
for (const [name, text] of dependent) {
  test(`a file of which no part stands alone: ${name}`, () => assertSame(text));
}

test('a file beyond what can be parsed at once is tagged, as long as its items are small', () => {
  const text = Array.from({ length: 60 }, () => long(rule('RN'))).join('');
  assert.ok(text.length > 10 * largestParsed.length);
  const { rules, tagged, problems } = tagInParts(text, tags);
  assert.deepEqual([rules, tagged, problems], [60 * 200, 60 * 200, []]);
});

test("upstream's rules files", (t) => {
  const folder = join(upstream, 'rules');
  if (!existsSync(folder)) return t.diagnostic(`left out: upstream rules files, no folder ${folder}`);
  for (const name of readdirSync(folder)) assertSame(readFileSync(join(folder, name), 'utf8'));
  return undefined;
});
