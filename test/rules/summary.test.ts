/** The summary of a run claims no more than is true of the rules that Falco loads. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ReasonCode } from '../../src/reasons/reasons.ts';
import { signatureOf } from '../../src/rules/configuration/file-system.ts';
import { emptyReport, type RulesReport } from '../../src/rules/publishing/publication-plan.ts';
import { type TagAndPublish, tagAndPublish } from '../../src/rules/publishing/tag-and-publish.ts';
import {
  linesForPeople,
  logLine,
  longestTerminationMessage,
  terminationMessage,
} from '../../src/rules/publishing/tell-report.ts';
import { rounds } from '../rounds.ts';
import {
  falcoIn,
  ourArguments,
  output,
  plant,
  rule,
  runIn,
  stepAndRename,
  type Tree,
} from './temporary-tree.ts';

/** Its tags are an anchor that the next rule's description refers to: nothing can be added to them. */
const untaggable = rule('Shared').replace('[own]', '&own [own]').concat('- list: reused\n  items: *own\n');
const broken = '- rule: [half\n';
const lists = '- list: shells\n  items: [sh, bash]\n';
const listing = (...names: string[]) =>
  `rules_files: [${names.map((name) => `/etc/falco/${name}`).join(', ')}]\n`;

function optionsOf(...options: string[]): readonly string[] {
  return [...ourArguments, ...options.flatMap((one) => ['-o', one])];
}

interface Row {
  readonly when: string;
  readonly tree: Tree;
  readonly changes?: Partial<TagAndPublish>;
  readonly code: ReasonCode;
  /** Rules that got a tag, had it, stay without. */
  readonly counts: readonly [tagged: number, alreadyTagged: number, untagged: number];
}

const unreadable = (root: string, path: string): TagAndPublish['fileSystem'] => {
  const { fileSystem } = runIn(root);
  return {
    ...fileSystem,
    read: (asked, limit) =>
      asked === path ? { is: 'unreadable', why: 'EACCES' } : fileSystem.read(asked, limit),
  };
};

const rows: readonly Row[] = [
  {
    ...{ when: 'all tagged', code: 'rules_tagged', counts: [2, 0, 0] },
    tree: { 'a.yaml': rule('A'), 'd/x.yaml': rule('X') },
  },
  {
    ...{ when: 'all tagged before', code: 'rules_tagged', counts: [0, 1, 0] },
    tree: { 'a.yaml': rule('A', 'staging') },
  },
  {
    ...{ when: 'one rule cannot be', code: 'rules_tagged_in_part', counts: [1, 0, 1] },
    tree: { 'a.yaml': rule('A'), 'b.yaml': untaggable },
  },
  {
    ...{ when: 'one cannot be, the other had it', code: 'rules_tagged_in_part', counts: [0, 1, 1] },
    tree: { 'a.yaml': rule('A', 'staging'), 'b.yaml': untaggable },
  },
  {
    ...{ when: 'the only rule cannot be', code: 'rules_none_tagged', counts: [0, 0, 1] },
    tree: { 'a.yaml': untaggable, 'b.yaml': lists },
  },
  {
    ...{ when: 'one file cannot be read as rules', code: 'rules_tagged_in_part', counts: [1, 0, 0] },
    tree: { 'a.yaml': rule('A'), 'b.yaml': broken },
  },
  {
    ...{ when: 'no file can be read as rules', code: 'rules_none_tagged', counts: [0, 0, 0] },
    tree: { 'a.yaml': broken, 'b.yaml': lists },
  },
  {
    ...{ when: 'no rules in any file', code: 'rules_none_defined', counts: [0, 0, 0] },
    tree: { 'a.yaml': lists, 'b.yaml': '# nothing yet\n' },
  },
  { ...{ when: 'nothing there', code: 'rules_none_visible', counts: [0, 0, 0] }, tree: {} },
  {
    ...{ when: 'a relative entry', code: 'rules_tagged_in_part', counts: [1, 0, 0] },
    tree: { 'falco.yaml': 'rules_files: [/etc/falco/a.yaml, more.yaml]\n', 'a.yaml': rule('A') },
  },
  {
    ...{ when: 'an option puts in what stays untagged', code: 'rules_tagged_in_part', counts: [1, 0, 2] },
    tree: { 'falco.yaml': listing('a.yaml', 'b.yaml'), 'a.yaml': rule('A'), 'x.yaml': rule('X') + rule('Y') },
    changes: { falcoArguments: optionsOf('rules_files[1]=/etc/falco/x.yaml') },
  },
  {
    ...{ when: 'an option puts in lists', code: 'rules_tagged', counts: [1, 0, 0] },
    tree: { 'falco.yaml': listing('a.yaml', 'b.yaml'), 'a.yaml': rule('A'), 'x.yaml': lists },
    changes: { falcoArguments: optionsOf('rules_files[1]=/etc/falco/x.yaml') },
  },
  {
    ...{ when: 'only an option’s rules are there', code: 'rules_none_tagged', counts: [0, 0, 1] },
    tree: { 'falco.yaml': listing('a.yaml'), 'x.yaml': rule('X') },
    changes: { falcoArguments: optionsOf('rules_files[]=/etc/falco/x.yaml') },
  },
  {
    ...{ when: 'followed, and Falco does not look', code: 'rules_watch_off', counts: [1, 0, 0] },
    tree: { 'falco.yaml': `watch_config_files: no\n${listing('a.yaml')}`, 'a.yaml': rule('A') },
    changes: { following: true },
  },
  {
    ...{ when: 'before the start, and Falco does not look', code: 'rules_tagged', counts: [1, 0, 0] },
    tree: { 'falco.yaml': `watch_config_files: no\n${listing('a.yaml')}`, 'a.yaml': rule('A') },
  },
  {
    ...{ when: 'in part, and Falco does not look', code: 'rules_tagged_in_part', counts: [1, 0, 1] },
    tree: { 'a.yaml': rule('A'), 'b.yaml': untaggable },
    changes: { following: true, falcoArguments: optionsOf('watch_config_files=false') },
  },
];

for (const { when, tree, changes, code, counts } of rows) {
  test(`${when}: ${code}`, () => {
    const root = plant(tree);
    const report = tagAndPublish(runIn(root, changes));
    assert.equal(report.outcome.code, code);
    assert.deepEqual([report.tagged, report.alreadyTagged, report.untagged], counts);
    const told = JSON.parse(terminationMessage(report, ['staging']));
    assert.deepEqual([told.code, told.tagged, told.untagged], [code, counts[0], counts[2]]);
    const loaded = falcoIn(root, changes?.falcoArguments ?? ourArguments);
    const without = loaded.rules.filter(({ tags }) => !tags.includes('staging'));
    if (loaded.exit === 0) assert.equal(without.length, report.untagged, 'as Falco has loaded them');
  });
}

/** What may stand in a file: its rules are named after it, so that no other file defines them again. */
const pieces = {
  plain: (name: string) => rule(`plain ${name}`),
  had: (name: string) => rule(`had ${name}`, 'staging'),
  untaggable: (name: string) => untaggable.replace('Shared', `shared ${name}`),
  lists: () => lists,
} as const;

const content = fc.uniqueArray(fc.constantFrom('plain', 'had', 'untaggable', 'lists'), { maxLength: 3 });

interface Entry {
  readonly is: 'file' | 'missing' | 'unreadable' | 'ignored' | 'added' | 'put in';
  readonly content: readonly (keyof typeof pieces)[];
}

const entry: fc.Arbitrary<Entry> = fc.record({
  is: fc.constantFrom('file', 'file', 'missing', 'unreadable', 'ignored', 'added', 'put in'),
  content,
});

/** The tree, arguments and file system that the entries stand for; a file of its own for each. */
function planted(entries: readonly Entry[]) {
  const named = entries.map((one, index) => ({
    ...one,
    path: `${index}.${one.is === 'ignored' ? 'txt' : 'yaml'}`,
  }));
  const present = named.filter(({ is }) => is !== 'missing');
  const listed = named.filter(({ is }) => is !== 'added');
  const root = plant({
    'falco.yaml': listing(
      'always.yaml',
      ...listed.map((one) => (one.is === 'put in' ? 'replaced.yaml' : one.path)),
    ),
    'always.yaml': lists,
    ...Object.fromEntries(
      present.map((one) => [
        one.path,
        one.content.map((piece) => pieces[piece](one.path)).join('') || '# none\n',
      ]),
    ),
  });
  const options = named.flatMap(({ is, path }) => {
    if (is === 'added') return [`rules_files[]=/etc/falco/${path}`];
    const index = listed.findIndex((one) => one.path === path) + 1;
    return is === 'put in' ? [`rules_files[${index}]=/etc/falco/${path}`] : [];
  });
  const last = entries.some(({ is }) => is === 'added') ? [`rules_files[]=${output}/last`] : [];
  const { fileSystem } = runIn(root);
  const hidden = named.filter(({ is }) => is === 'unreadable').map(({ path }) => `/etc/falco/${path}`);
  const read: typeof fileSystem.read = (path, limit) =>
    hidden.includes(path) ? { is: 'unreadable', why: 'EACCES' } : fileSystem.read(path, limit);
  return { root, falcoArguments: optionsOf(...options, ...last), fileSystem: { ...fileSystem, read } };
}

test('whatever is there, the outcome holds for the rules that Falco then has', () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 4 }), (entries) => {
      const { root, ...changes } = planted(entries);
      const report = tagAndPublish(runIn(root, changes));
      const { exit, rules } = falcoIn(root, changes.falcoArguments);
      assert.equal(exit, 0);
      const without = rules.filter(({ tags }) => !tags.includes('staging'));
      const seen = report.kept.every(({ code }) => code !== 'rules_entry_unreadable');
      if (seen) {
        const counts = [report.tagged + report.alreadyTagged, report.untagged];
        assert.deepEqual(counts, [rules.length - without.length, without.length]);
      }
      const holds: Partial<Record<ReasonCode, boolean>> = {
        rules_tagged: rules.length > 0 && without.length === 0,
        rules_tagged_in_part: report.tagged + report.alreadyTagged > 0 && (!seen || without.length > 0),
        rules_none_tagged: report.tagged + report.alreadyTagged === 0 && (!seen || without.length > 0),
        rules_none_defined: seen && rules.length === 0,
      };
      assert.equal(holds[report.outcome.code], true, report.outcome.code);
    }),
    rounds(30),
  );
});

test('one entry that cannot be read makes the line a warning, and the code another', () => {
  const root = plant({ 'a.yaml': rule('A'), 'b.yaml': rule('B') });
  const report = tagAndPublish(runIn(root, { fileSystem: unreadable(root, '/etc/falco/b.yaml') }));
  const line = JSON.parse(logLine(report, ['staging'], 0));
  assert.deepEqual([line.level, line.code, line.tagged], [40, 'rules_tagged_in_part', 1]);
});

test('that Falco does not look is told beside whatever else there is, and before its start without alarm', () => {
  const tree = {
    'falco.yaml': `watch_config_files: off\n${listing('a.yaml', 'b.yaml')}`,
    'a.yaml': rule('A'),
  };
  const summary = (following: boolean, more: Tree = {}) => {
    const report = tagAndPublish(runIn(plant({ ...tree, ...more }), { following }));
    const { level, code, findings } = JSON.parse(logLine(report, [], 0));
    return {
      level,
      code,
      findings: findings.map((one: { code: string }) => one.code),
      lines: linesForPeople(report),
    };
  };
  const before = summary(false);
  assert.deepEqual([before.level, before.code, before.lines], [30, 'rules_tagged', []]);
  assert.deepEqual(before.findings, ['rules_watch_off_before_start']);
  const following = summary(true);
  assert.deepEqual([following.level, following.code, following.findings], [40, 'rules_watch_off', []]);
  const inPart = summary(true, { 'b.yaml': untaggable });
  assert.deepEqual([inPart.level, inPart.code], [40, 'rules_tagged_in_part']);
  assert.deepEqual(inPart.findings, ['rules_tags_shared', 'rules_watch_off']);
});

test('what could not be written tags nothing, and is not counted as if it did', () => {
  const root = plant({ 'a.yaml': rule('A'), 'b.yaml': broken });
  rmSync(root + output, { recursive: true });
  const report = tagAndPublish(runIn(root));
  assert.equal(report.outcome.code, 'rules_output_unwritable');
  assert.deepEqual(report, emptyReport(report.outcome));
});

test('a path that cannot be looked at on the way to publishing is named', () => {
  const root = plant({ 'a.yaml': rule('A') });
  const { disk } = runIn(root);
  const kind = (path: string) => {
    if (path === `${output}/rules`) throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
    return disk.kind(path);
  };
  const { outcome } = tagAndPublish(runIn(root, { disk: { ...disk, kind } }));
  assert.deepEqual(outcome, { code: 'rules_output_unwritable', detail: `list ${output}/rules: EIO` });
});

test('a follower that keeps what was published says so, and only then', () => {
  const root = plant({ 'falco.yaml': listing('a.yaml'), 'a.yaml': rule('A') });
  const step = () =>
    stepAndRename(runIn(root, { following: true }), (path) => signatureOf(root + path), 'still').report;
  assert.equal(step()?.outcome.code, 'rules_tagged');
  rmSync(`${root}/etc/falco/a.yaml`);
  const kept = step();
  assert.equal(kept?.outcome.code, 'rules_none_visible');
  assert.deepEqual(kept?.findings, [{ code: 'rules_previous_kept', detail: `${output}/federation.yaml` }]);
  assert.deepEqual(falcoIn(root).rules, [{ name: 'A', tags: ['own', 'staging'] }]);
  plant({ 'falco.yaml': 'rules_files: [\n' }, root);
  assert.deepEqual(step()?.findings, kept?.findings);
  rmSync(`${root}${output}/federation.yaml`);
  assert.deepEqual(step()?.findings, []);
});

test('a follower tags what options add although no listed file is there', () => {
  const falcoArguments = optionsOf('rules_files[]=/etc/falco/x.yaml', `rules_files[]=${output}/last`);
  const root = plant({ 'falco.yaml': listing('a.yaml'), 'x.yaml': rule('X') });
  const { report } = stepAndRename(
    runIn(root, { falcoArguments }),
    (path) => signatureOf(root + path),
    'start',
  );
  assert.equal(report?.outcome.code, 'rules_tagged');
  assert.deepEqual(falcoIn(root, falcoArguments).rules, [{ name: 'X', tags: ['own', 'staging'] }]);
});

function reportOf(codes: readonly ReasonCode[]): RulesReport {
  const kept = codes.map((code, index) => ({ code, detail: `/etc/falco/rules.d/${index}.yaml` }));
  return { ...emptyReport({ code: 'rules_tagged_in_part' }), kept };
}

test('a termination message that gets too long keeps what is grave', () => {
  const skipped = Array.from({ length: 200 }, () => 'rules_entry_missing' as const);
  const text = terminationMessage(reportOf([...skipped, 'rules_entry_unreadable']), ['staging']);
  assert(Buffer.byteLength(text) <= longestTerminationMessage);
  const { findings, left_out } = JSON.parse(text);
  assert.equal(findings[0].code, 'rules_entry_unreadable');
  assert(findings.length > 5);
  assert.equal(findings.length + left_out, 201);
});

test('with tags and details as long as they come, the counts are still there', () => {
  const long = '\u{1F980}'.repeat(4000);
  const tags = Array.from({ length: 50 }, () => long);
  const report = {
    ...reportOf(['rules_entry_unreadable']),
    outcome: { code: 'rules_tagging_failed' as const, detail: long },
  };
  const text = terminationMessage({ ...report, tagged: 123_456, untagged: 7 }, tags);
  assert(Buffer.byteLength(text) <= longestTerminationMessage);
  const told = JSON.parse(text);
  assert.deepEqual(
    [told.code, told.tagged, told.untagged, told.left_out],
    ['rules_tagging_failed', 123_456, 7, 1],
  );
});

test("a tag by which Falco's own configuration selects rules is not added", () => {
  const both = ['staging', 'more'];
  const selecting: readonly (readonly [main: string, args: readonly string[], left: string])[] = [
    ['rules: [{disable: {rule: "*"}}, {enable: {tag: staging}}]\n', [], 'staging'],
    ['', ['-o', 'rules[].disable.tag=staging'], 'staging'],
    ['', ['-o', 'rules[]={"enable": {"tag": "more"}}'], 'more'],
    ['', ['-T', 'staging', '-t', 'more'], 'staging, more'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is Falco that expands it.
    ['rules: [{enable: {tag: "${TAG}"}}]\n', [], 'staging, more'],
    ['rules: [{enable: {tag: own}}, {disable: {rule: staging}}]\n', [], ''],
  ];
  for (const [main, args, left] of selecting) {
    const root = plant({ 'falco.yaml': listing('a.yaml') + main, 'a.yaml': rule('A') });
    const falcoArguments = [...ourArguments, ...args];
    const { outcome, findings } = tagAndPublish(
      runIn(root, { falcoArguments, tags: both, lookup: () => undefined }),
    );
    const told = [outcome, ...findings].find(({ code }) => code === 'rules_tag_selected');
    assert.equal(told?.detail ?? '', left);
    const added = both.filter((tag) => !left.split(', ').includes(tag));
    assert.deepEqual(falcoIn(root).rules, [{ name: 'A', tags: ['own', ...added].sort() }]);
  }
});

test('a variable whose value names itself, or others that do: an end, and the entry stays', () => {
  const values: Record<string, string> = { A: `$${'{A}'}`, B: `$${'{C}'}$${'{C}'}`, C: `$${'{B}'}$${'{B}'}` };
  for (const name of ['A', 'B']) {
    const root = plant({
      'falco.yaml': `rules_files: [/etc/falco/a.yaml, "\${${name}}/x"]\n`,
      'a.yaml': rule('A'),
    });
    const { outcome, kept } = tagAndPublish(runIn(root, { lookup: (one) => values[one] }));
    assert.equal(outcome.code, 'rules_tagged_in_part');
    assert.deepEqual(
      kept.map(({ code }) => code),
      ['rules_entry_variable_unknown'],
    );
  }
});

test('more than a hundred copies of what an option adds keep their order', () => {
  const names = Array.from({ length: 103 }, (_, at) => `x${String(at).padStart(3, '0')}.yaml`);
  const files = Object.fromEntries(names.map((name, at) => [`x/${name}`, rule('X', `t${at}`)]));
  const root = plant({ 'falco.yaml': listing('a.yaml'), 'a.yaml': rule('A'), ...files });
  const falcoArguments = optionsOf('rules_files[]=/etc/falco/x', `rules_files[]=${output}/last`);
  tagAndPublish(runIn(root, { falcoArguments }));
  const { rules } = falcoIn(root, falcoArguments);
  assert.deepEqual(rules.find(({ name }) => name === 'X')?.tags, ['staging', 't102']);
});
