/** Tags are added to the text of rules files and nothing else changes. `UPDATE=1` writes the golden files anew. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { type TaggedFile, tagRulesFile } from '../../src/rules/tagging/tag-rules-file.ts';

const cases = join(import.meta.dirname, 'cases/files');
const upstream = resolve(
  import.meta.dirname,
  '../..',
  process.env.FEDERATION_UPSTREAM ?? '../shared/upstream',
  'rules',
);

function report({ rules, tagged, alreadyTagged, untagged, loadsTwice, problems }: TaggedFile): unknown {
  return { rules, tagged, alreadyTagged, untagged, loadsTwice, problems };
}

function tag(text: string, ...tags: readonly string[]): TaggedFile & { readonly text: string } {
  const result = tagRulesFile(Buffer.from(text), tags.length === 0 ? ['staging'] : tags);
  return { ...result, text: result.bytes.toString() };
}

for (const name of readdirSync(cases)) {
  test(`file: ${name}`, () => {
    const at = (file: string) => join(cases, name, file);
    const used = ['input.yaml', 'output.yaml', 'report.json', 'tags.txt'];
    const input = readFileSync(at('input.yaml'));
    const tags = readFileSync(at('tags.txt'), 'utf8').trimEnd().split('\n');
    const result = tagRulesFile(input, tags);
    if (process.env.UPDATE === '1') {
      writeFileSync(at('output.yaml'), result.bytes);
      writeFileSync(at('report.json'), `${JSON.stringify(report(result), null, 2)}\n`);
    }
    assert.deepEqual(readdirSync(join(cases, name)).sort(), used, 'each file of a case is used');
    assert.equal(result.bytes.toString('latin1'), readFileSync(at('output.yaml'), 'latin1'));
    assert.deepEqual(report(result), JSON.parse(readFileSync(at('report.json'), 'utf8')));
    const again = tagRulesFile(result.bytes, tags);
    assert.equal(again.bytes, result.bytes, 'a second run changes nothing');
    assert.equal(again.tagged, 0);
  });
}

test('upstream rules files: every rule is tagged, nothing else changes', (t) => {
  if (!existsSync(upstream)) {
    t.diagnostic(`left out: upstream rules files, no folder ${upstream}`);
    return;
  }
  for (const name of readdirSync(upstream)) {
    const text = readFileSync(join(upstream, name), 'utf8');
    const result = tag(text);
    assert.deepEqual(result.problems, []);
    assert.equal(result.tagged, result.text.split('staging').length - text.split('staging').length, name);
    assert.equal(result.tagged, result.rules);
    assert.equal(result.rules, text.match(/^- rule:/gm)?.length);
    const taken = result.text.replace(/, staging\b/g, '').replace(/\n *- staging(?=\n)/g, '');
    assert.equal(taken, text, `${name}: only tags were added`);
  }
});

test('nesting without end is reported, not thrown', () => {
  for (const open of ['[', '{a: ', '- ']) {
    const result = tag(`- rule: One\n  tags: ${open.repeat(100_000)}`);
    assert.equal(result.tagged, 0);
    assert.equal(result.problems.length, 1);
  }
});

test('many aliases are no bomb', () => {
  const lists = Array.from(
    { length: 30 },
    (_, index) => `- x${index}: &a${index} [${`*a${index - 1}, `.repeat(9)}]`,
  );
  const text = `- list: l\n  items: [a]\n${lists.join('\n').replaceAll('*a-1', 'a')}\n- rule: R\n  desc: d\n  condition: c\n  output: o\n  priority: INFO\n  tags: [a]\n`;
  assert.equal(tag(text).tagged, 1);
});

// --- properties -------------------------------------------------------------------------------------------

const word = fc.constantFrom(
  'a',
  'host',
  'T1059',
  'mitre_x',
  '"q, ]"',
  "'it''s'",
  'true',
  '12',
  'a b',
  '"#h"',
);
const words = fc.array(word, { minLength: 1, maxLength: 4 });
const comment = fc.constantFrom('', ' # note', '  # [x]: "y');

/** Ways to write a tag list, as the lines of a rule item. */
const tagLines = fc.oneof(
  fc.constant<string[]>([]),
  // With a blank in it, so that what is added cannot be taken for an added key.
  fc.constant(['  tags: [ ]']),
  fc.tuple(words, comment).map(([list, note]) => [`  tags: [${list.join(', ')}]${note}`]),
  fc
    .tuple(words, comment)
    .map(([list, note]) => ['  tags: [', ...list.map((tag) => `    ${tag},${note}`), '  ]']),
  fc
    .tuple(words, comment)
    .map(([list, note]) => ['  tags: [', ...list.map((tag) => `  ${tag},${note}`), ']']),
  fc
    .tuple(words, comment, fc.constantFrom('  ', '    ', '      '))
    .map(([list, note, indent]) => [`  tags:${note}`, ...list.map((tag) => `${indent}- ${tag}${note}`)]),
  fc.tuple(words).map(([list]) => ['  "tags" :', ...list.flatMap((tag) => [`  - ${tag}`, '', '  # more'])]),
);

const endLines = fc.constantFrom<string[]>(
  [],
  ['  enabled: true'],
  ['  exceptions:', '    - name: e', '      values:', '        - [x, y]'],
  ['  output: >', '    folded', '    text', ''],
  ['  source: syscall # c', '', '# between', ''],
);

const ruleLines = fc
  .tuple(tagLines, endLines, fc.boolean())
  .map(([tags, end, tagsLast]) => [
    '- rule: R',
    '  desc: d',
    '  condition: c',
    '  priority: INFO',
    ...(end.some((line) => line.includes('output')) ? [] : ['  output: o']),
    ...(tagsLast ? [...end, ...tags] : [...tags, ...end]),
  ]);

const otherLines = fc.constantFrom<string[]>(
  ['- macro: m', '  condition: c', '  tags: [x]'],
  ['- list: l', '  items: [a,', '    b]'],
  ['- rule: R', '  append: true', '  condition: and c'],
  ['- rule: R', '  enabled: false'],
  ['# a comment', ''],
  ['---'],
);

const file = fc
  .tuple(
    fc.array(fc.oneof({ weight: 3, arbitrary: ruleLines }, otherLines), { maxLength: 6 }),
    fc.constantFrom('\n', '\r\n'),
    fc.boolean(),
    fc.boolean(),
  )
  .map(([items, eol, mark, ends]) => (mark ? '\uFEFF' : '') + items.flat().join(eol) + (ends ? eol : ''));

/** Whether taking pieces out of `longer` that are tag text gives `shorter`. */
function onlyTagTextAdded(shorter: string, longer: string): boolean {
  const added =
    /, "?new-tag"?|"?new-tag"?(?= \])|\r?\n *- "?new-tag"?|\r?\n *tags: \[new-tag\]| *tags: \[new-tag\]\r?\n/g;
  return longer.replace(added, '') === shorter;
}

test('property: only tag text is added, every rule has it, a second run changes nothing', () => {
  fc.assert(
    fc.property(file, (text) => {
      const result = tag(text, 'new-tag');
      assert.deepEqual(result.problems, []);
      assert.equal(result.tagged, result.rules);
      assert(onlyTagTextAdded(text, result.text), result.text);
      const again = tag(result.text, 'new-tag');
      assert.equal(again.text, result.text);
      assert.equal(again.alreadyTagged, result.rules);
    }),
    { numRuns: 500 },
  );
});

test('property: any text at all comes back whole or with tags, and nothing is thrown', () => {
  const pieces = fc.constantFrom(
    '- ',
    'rule: R',
    '\n',
    '  ',
    'tags: ',
    '[',
    ']',
    '{',
    '}',
    ',',
    '#',
    '"',
    "'",
    '|',
    '>',
    '&a ',
    '*a',
    '---',
    ':',
    '\t',
    'x',
    '\r\n',
    'desc: d',
    'output: o',
    'condition: c',
    'priority: I',
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 60 }), (parts) => {
      const text = parts.join('');
      const result = tag(text, 'new-tag');
      if (result.tagged === 0) assert.equal(result.text, text);
      else assert(result.text.includes('new-tag'));
    }),
    { numRuns: 2000 },
  );
});
