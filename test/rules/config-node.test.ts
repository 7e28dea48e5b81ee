/** What is read of Falco's config files: the keys that matter, as Falco reads them, whatever stands in others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ConfigContent,
  type ConfigNode,
  readConfigContent,
} from '../../src/rules/configuration/config-node.ts';

function read(text: string | Buffer): ConfigContent {
  return readConfigContent(Buffer.from(text), (name) => (name === 'RULES' ? '/r' : ''));
}

function plain(node: ConfigNode): unknown {
  if (node.kind === 'scalar') return node.text;
  if (node.kind === 'sequence') return node.items.map(plain);
  if (node.kind === 'mapping')
    return Object.fromEntries([...node.entries].map(([key, one]) => [key, plain(one)]));
  return null;
}

function pairs(text: string | Buffer): unknown {
  const content = read(text);
  assert.equal(content.is, 'pairs', content.is === 'broken' ? content.why : '');
  return content.is === 'pairs' ? content.pairs.map(([key, node]) => [key, plain(node)]) : [];
}

const listed = [['rules_files', ['/etc/falco/a.yaml']]];

const lenient: Readonly<Record<string, string | Buffer>> = {
  'a quoted text that goes on at the first column':
    'x:\n  program: "jq \'{text: .output}\' |\ncurl -d @- https://chat.example"\nrules_files: [/etc/falco/a.yaml]\n',
  'quotes over lines within a list': 'plugins: ["a\n\n  b",#c\n\'d\n\']\nrules_files:\n- /etc/falco/a.yaml\n',
  'a block scalar with what looks like keys':
    'x: |\n  rules_files: [/no]\n\nrules_files: [/etc/falco/a.yaml]\n',
  'bytes that are not UTF-8': Buffer.concat([
    Buffer.from('# r'),
    Buffer.from([0xe8]),
    Buffer.from('gles\nx: "'),
    Buffer.from([0xe9, 0xff]),
    Buffer.from('"\nrules_files: [/etc/falco/a.yaml]\n'),
  ]),
  'UTF-16': Buffer.from('\uFEFFrules_files: [/etc/falco/a.yaml]\n', 'utf16le'),
  'a first document only': 'rules_files: [/etc/falco/a.yaml]\n---\nrules_files: [/no]\n',
  'later documents that are broken': 'rules_files: [/etc/falco/a.yaml]\n---\na: b\nc: ]\n',
  'CRLF and a byte order mark': '\uFEFFx: y\r\nrules_files:\r\n  - /etc/falco/a.yaml\r\n',
  'more values of another key than would be kept': `x: [${'a,'.repeat(200_000)}]\nrules_files: [/etc/falco/a.yaml]\n`,
};
for (const [name, text] of Object.entries(lenient)) {
  test(`read: ${name}`, () => assert.deepEqual(pairs(text), listed));
}

test('a list is read 16 levels deep', () => {
  const nested = (levels: number) => `${'['.repeat(levels)}x${']'.repeat(levels)}`;
  const within = (levels: number) => JSON.stringify(pairs(`rules_files: ${nested(levels)}\n`));
  assert.match(within(16), /"x"/);
  assert.match(within(17), /null/);
});

test('paths keep their characters, variables are replaced, keys come in order with doubles', () => {
  assert.deepEqual(
    pairs('rules_files: [/etc/falco/größe.yaml, "$' + '{RULES}/b.yaml"]\nx: y\nrules_files: ~\n'),
    [
      ['rules_files', ['/etc/falco/größe.yaml', '/r/b.yaml']],
      ['rules_files', null],
    ],
  );
  assert.deepEqual(
    pairs('a: &x [/a.yaml]\nrules_files: *x\nconfig_files: [{path: /b, strategy: append}]\n'),
    [
      ['rules_files', ['/a.yaml']],
      ['config_files', [{ path: '/b', strategy: 'append' }]],
    ],
  );
});

test('no mapping: a list and a text are told apart, and an empty list has no keys', () => {
  const read = (text: string) => readConfigContent(Buffer.from(text), () => undefined);
  assert.deepEqual(read('- rules_files: [x]\n'), { is: 'sequence' });
  assert.deepEqual(read('hello\n'), { is: 'text' });
  for (const text of ['[]\n', '', '~\n', '# nothing\n'])
    assert.deepEqual(read(text), { is: 'pairs', pairs: [] });
});

const broken: Readonly<Record<string, readonly [text: string | Buffer, why: RegExp]>> = {
  'a path that is not UTF-8': [
    Buffer.concat([
      Buffer.from('x: y\nrules_files: [/etc/r'),
      Buffer.from([0xe8]),
      Buffer.from('gles.yaml]\n'),
    ]),
    /^line 2: a path that is not UTF-8$/,
  ],
  'what Falco refuses': ['x: y\nrules_files: [a\nz: w\n', /^line 3: /],
  'aliases that multiply each other': [
    `rules_files: &a [${Array.from({ length: 50 }, () => '*a').join(', ')}]\n`,
    /too long$/,
  ],
  'a list of files without end': [`rules_files: [${'a,'.repeat(200_000)}]\n`, /too long$/],
};
for (const [name, [text, why]] of Object.entries(broken)) {
  test(`broken: ${name}`, () => {
    const content = read(text);
    assert.equal(content.is, 'broken');
    assert.match(content.is === 'broken' ? content.why : '', why);
  });
}

test('a program whose name is not UTF-8 hides no path', () => {
  const text = Buffer.from(
    'program_output: {enabled: true, program: na\u00efve}\nrules_files: [/a]\n',
    'latin1',
  );
  const content = read(text);
  assert.deepEqual(content.is === 'pairs' && content.pairs.map(([key]) => key), [
    'program_output',
    'rules_files',
  ]);
});

test('nothing and null have no keys', () => {
  for (const text of ['', '# only a comment\n', '~\n', '---\n']) assert.deepEqual(pairs(text), []);
});
