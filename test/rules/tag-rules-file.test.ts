/** Tags are added to the text of rules files and nothing else changes. `UPDATE=1` writes the golden files anew. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseAllDocuments } from 'yaml';
import { firstDifference } from '../../src/rules/tagging/only-tags-added.ts';
import type { ExpectedToken } from '../../src/rules/tagging/tag-edit.ts';
import { type TaggedFile, tagRulesFile } from '../../src/rules/tagging/tag-rules-file.ts';
import { applyEdits, mostNodes, type Token, Tokens } from '../../src/yaml/falco-yaml.ts';
import { rounds } from '../rounds.ts';
import { rule } from './temporary-tree.ts';

const cases = join(import.meta.dirname, 'cases/files');
const upstream = resolve(
  import.meta.dirname,
  '../..',
  process.env.FEDERATION_UPSTREAM ?? '../shared/upstream',
  'rules',
);

function report({ rules, tagged, alreadyTagged, untagged, loadsTwice, findings }: TaggedFile): unknown {
  return { rules, tagged, alreadyTagged, untagged, loadsTwice, findings };
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
    assert.deepEqual(result.findings, []);
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
    assert.equal(result.findings.length, 1);
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

/**
 * The same forms as a user finds them in the wild: texts in all quotes and styles, over lines at any indentation, bytes
 * that are no UTF-8, comments without a blank, items indented by halves, documents.
 */
const wildText = fc.constantFrom(
  'a text',
  '"one\n  two"',
  '"at the\nfirst column\n\n- rule: no"',
  "'it''s\n over lines'",
  '"escaped \\\n  break \\" # no comment"',
  '|\n    lines\n     # of text\n\n    tags: [no]',
  '>-\n    folded\n\n      deeper\n    text',
  '|+\n    kept\n\n',
  'plain\n    over lines\n\n    and more',
  '\xe9t\xe9 \xff',
  '[a, {b: c}]',
  'x#y # note',
  '"quoted"#note',
);
const wildTags = fc.constantFrom(
  '',
  '  tags: [ ]\n',
  '  tags: [a,#note\n  b]\n',
  "  tags: ['a'#note\n\n]\n",
  '  tags: ["a\nb", c ]# note\n',
  '  tags:\n  - a\n  - b # note\n',
  '  tags: # note\n\n      - "a"\n      # note\n      - >\n        b\n',
  '  ? tags\n  : [a,\n\n  ]\n',
  '  "tags": !!seq [a]\n',
);
const wildRule = fc
  .tuple(
    fc.array(wildText, { minLength: 3, maxLength: 3 }),
    wildTags,
    wildTags.map((tags) => tags !== ''),
  )
  .map(([[name, desc, text], tags, first]) => {
    const head = `- rule: "R"\n  desc: ${desc}\n  output: ${text}\n`;
    const tail = `  priority: INFO\n  condition: ${name}\n`;
    return first ? head + tags + tail : head + tail + tags;
  });
const wildItem = fc.oneof(
  { weight: 4, arbitrary: wildRule },
  fc.constantFrom(
    '- macro: m\n  condition: "a\nb"\n',
    '- list: l\n  items: [a,\nb,#c\n]\n',
    '- {rule: R, desc: "d\ne", condition: c, output: o,\npriority: INFO}\n',
    '- {"rule":"R","desc":"d","condition":"c","output":"o","priority":"INFO","tags":["a"]}\n',
    '- rule: R\n  append: true\n  condition: and c\n',
    '# a comment\n\n',
    '- # nothing\n',
  ),
);
const wildFile = fc
  .tuple(
    fc.array(wildItem, { maxLength: 4 }),
    fc.array(wildItem, { maxLength: 4 }),
    fc.constantFrom('', '    ', '---\n', '%YAML 1.2\n---\n'),
    fc.constantFrom('\n', '\r\n', '\r'),
    fc.nat({ max: 3 }),
  )
  .map(([above, below, head, eol, cut]) => {
    const indented = head === '    ' ? above.join('').replace(/^/gm, head) : head + above.join('');
    // Never an empty document: Falco reads no further.
    const next = head.endsWith('---\n')
      ? '- macro: m\n  condition: c\n---\n- macro: n\n  condition: c\n'
      : '';
    const text = indented + next + below.join('');
    return text.slice(0, text.length - cut).replaceAll('\n', eol);
  });

/** Whether taking pieces out of `longer` that are tag text gives `shorter`. */
function onlyTagTextAdded(shorter: string, longer: string): boolean {
  const added =
    /, "?tags"?: \[new-tag\]|"?tags"?: \[new-tag\], |, "?new-tag"?(?: (?=#))?|"?new-tag"?(?= \]|\])|new-tag (?=#)|(?:\r\n|\n|\r) *- "?new-tag"?|(?:\r\n|\n|\r) *tags: \[new-tag\]| *tags: \[new-tag\](?:\r\n|\n|\r)/g;
  return longer.replace(added, '') === shorter;
}

test('property: only tag text is added, every rule has it, a second run changes nothing', () => {
  fc.assert(
    fc.property(file, (text) => {
      const result = tag(text, 'new-tag');
      assert.deepEqual(result.findings, []);
      assert.equal(result.tagged, result.rules);
      assert(onlyTagTextAdded(text, result.text), result.text);
      const again = tag(result.text, 'new-tag');
      assert.equal(again.text, result.text);
      assert.equal(again.alreadyTagged, result.rules);
    }),
    rounds(100),
  );
});

test('property: whatever stands in a file, nothing but tag text is added, once', () => {
  fc.assert(
    fc.property(wildFile, (text) => {
      const bytes = Buffer.from(text, 'latin1');
      const result = tagRulesFile(bytes, ['new-tag']);
      const { rules, tagged, untagged } = result;
      assert.equal(rules, tagged + untagged);
      assert.equal(untagged > 0, result.findings.length > 0 && rules > 0);
      if (tagged === 0) assert.equal(result.bytes, bytes);
      assert(onlyTagTextAdded(text, result.bytes.toString('latin1')), result.bytes.toString('latin1'));
      const again = tagRulesFile(result.bytes, ['new-tag']);
      assert.equal(again.bytes, result.bytes);
      assert.equal(again.alreadyTagged, tagged);
    }),
    rounds(300),
  );
});

/** Items as an independent parser reads them, each without the tag; undefined where it does not read the text. */
function itemsWithoutTag(text: string): unknown[] | undefined {
  const options = { schema: 'failsafe', uniqueKeys: false, strict: false, logLevel: 'silent' } as const;
  const documents = [...parseAllDocuments(text.replace(/^\uFEFF/, ''), options)];
  if (documents.some(({ errors }) => errors.length > 0)) return undefined;
  return documents.map((document) => {
    const items: unknown = document.toJS();
    return Array.isArray(items) ? items.map(withoutTag) : items;
  });
}

function withoutTag(item: unknown): unknown {
  if (typeof item !== 'object' || item === null || !('tags' in item) || !Array.isArray(item.tags))
    return item;
  const { tags, ...rest } = item;
  const own = item.tags.filter((one) => one !== 'new-tag');
  return own.length === 0 ? rest : { ...rest, tags: own };
}

test('property: to an independent parser, too, the file is the same but for the tag', () => {
  const both = fc.oneof(file, wildFile);
  let compared = 0;
  fc.assert(
    fc.property(both, (text) => {
      // That parser takes other texts for YAML than Falco's; a tag that is empty or missing is the same here.
      const before = itemsWithoutTag(text);
      if (before === undefined || /\r(?!\n)/.test(text)) return;
      const { bytes } = tagRulesFile(Buffer.from(text), ['new-tag']);
      assert.deepEqual(itemsWithoutTag(bytes.toString()), before);
      compared++;
    }),
    rounds(150),
  );
  assert(compared > 25, `only ${compared} were compared`);
});

test('a list of a hundred thousand entries costs ten rules neither their tags nor memory', () => {
  const entries = Array.from(
    { length: 100_000 },
    (_, at) => `    - "10.${at >> 16}.${(at >> 8) & 255}.${at & 255}"\n`,
  );
  const rules = Array.from({ length: 10 }, (_, at) => rule(`R${at}`)).join('');
  for (const text of [
    `- list: l\n  items:\n${entries.join('')}${rules}`,
    `${rules}- list: l\n  items: [${'a, '.repeat(100_000)}]\n`,
  ]) {
    const before = process.memoryUsage().heapUsed;
    const result = tag(text);
    assert.deepEqual([result.rules, result.tagged, result.findings], [10, 10, []]);
    assert(process.memoryUsage().heapUsed - before < 150 * 2 ** 20);
  }
});

test('a file without rules comes back without a word, however large', () => {
  const bytes = Buffer.from(`- list: l\n  items: [${'a,'.repeat(2 ** 20)}]\n`);
  const result = tagRulesFile(bytes, ['staging']);
  assert.equal(result.bytes, bytes);
  assert.deepEqual([result.rules, result.untagged, result.findings], [0, 0, []]);
});

test('more than memory is meant for, in one item or by anchors: said, and left as it is', () => {
  for (const text of [
    `${rule('R')}- rule: Many tags\n  desc: d\n  condition: c\n  output: o\n  priority: INFO\n  tags: [${'a,'.repeat(mostNodes)}]\n`,
    `${rule('R')}- list: l\n  items: &all [${'a,'.repeat(mostNodes)}]\n`,
  ]) {
    const result = tag(text);
    assert.equal(result.text, text);
    assert.deepEqual(
      result.findings.map(({ code }) => code),
      ['rules_file_too_large_to_tag'],
    );
    assert.equal(result.untagged, 1);
  }
});

test('the proof finds what an edit does beside adding its tag, and near which edit', () => {
  const before = rule('One') + rule('Two');
  const text = '  tags: [own]\n';
  const [first = 0, second = 0] = [before.indexOf(text), before.lastIndexOf(text)];
  const edit = (at: number, added: string, expected: string) => ({
    ...{ at: at + text.length - 2, length: 0, text: added, removed: 0 },
    token: [...tokensUntil(before, at + text.length - 2)].length,
    added: [['flow_entry'], ['plain', expected]] as readonly ExpectedToken[],
  });
  const right = edit(first, ', tag', 'tag');
  const wrong = edit(second, ', other', 'tag');
  const proved = (edits: readonly (typeof right)[]) =>
    firstDifference({ before, after: applyEdits(before, edits), edits });
  assert.equal(proved([right]), undefined);
  assert.equal(proved([right, wrong]), wrong.at);
  assert.notEqual(proved([{ ...right, text: ', tag]\n  enabled: [x' }]), undefined);
  assert.notEqual(proved([{ ...right, token: right.token - 1 }]), undefined);
  assert.notEqual(proved([{ ...right, added: [...right.added, ['flow_entry'], ['plain', 'b']] }]), undefined);
});

function* tokensUntil(text: string, at: number): Generator<Token> {
  const tokens = new Tokens(text);
  for (let token = tokens.next(); token !== undefined && token.at < at; token = tokens.next()) yield token;
}

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
    rounds(400),
  );
});
