/** Publishing: in an order in which nothing can go wrong for Falco, and what happens when something does. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { type TestContext, test } from 'node:test';
import { type FileSystem, signatureOf } from '../../src/rules/configuration/file-system.ts';
import { followStep, type Step } from '../../src/rules/publishing/follow-step.ts';
import { type PublishingDisk, publishingDisk, readingTakes } from '../../src/rules/publishing/publish.ts';
import { tagAndPublish } from '../../src/rules/publishing/tag-and-publish.ts';
import { largestFile } from '../../src/rules/publishing/tagged-copies.ts';
import { falcoIn, ourArguments, output, plant, rule, runIn, type Tree } from './temporary-tree.ts';

const first: Tree = {
  'a.yaml': rule('A') + rule('Moved'),
  'b.yaml': rule('B'),
  'd/one.yaml': rule('D1'),
  'd/two.yaml': rule('D2'),
};
/** A changed file, a new one, one that is gone, a rule that went from one entry to another. */
const second: Tree = {
  'b.yaml': rule('B'),
  'a.yaml': rule('A', 'changed'),
  'd/zero.yaml': rule('D0'),
  'd/two.yaml': rule('D2') + rule('Moved'),
};

const names = (root: string) =>
  falcoIn(root)
    .rules.map((one) => one.name)
    .sort();
const everyRuleTagged = (root: string) => falcoIn(root).rules.every((one) => one.tags.includes('staging'));

function published(root: string): string[] {
  return readdirSync(root + output, { recursive: true, encoding: 'utf8' }).sort();
}

test('what is published: folders in the list’s order, one config file, modes that Falco can read', () => {
  const umask = process.umask(0o077);
  const root = plant(first);
  const report = tagAndPublish(runIn(root));
  process.umask(umask);
  assert.deepEqual(report.outcome, { code: 'rules_tagged' });
  assert.deepEqual(
    [report.entries, report.copiedEntries, report.files, report.rules, report.tagged, report.alreadyTagged],
    [3, 3, 4, 5, 5, 0],
  );
  assert.deepEqual(published(root), [
    'federation.yaml',
    'rules',
    ...['rules/00-a', 'rules/00-a/a.yaml', 'rules/01-b', 'rules/01-b/b.yaml'],
    ...['rules/02-d', 'rules/02-d/one.yaml', 'rules/02-d/two.yaml', 'work'],
  ]);
  assert.equal(
    readFileSync(`${root}${output}/federation.yaml`, 'utf8').split('\n').slice(1).join('\n'),
    `rules_files:\n  - "${output}/rules/00-a"\n  - "${output}/rules/01-b"\n  - "${output}/rules/02-d"\n`,
  );
  for (const path of published(root)) {
    const stats = statSync(`${root}${output}/${path}`);
    assert.equal(stats.mode & 0o777, stats.isDirectory() ? 0o755 : 0o644, path);
  }
  assert(everyRuleTagged(root));
});

test('a second run touches nothing: each write would make Falco reload', () => {
  const root = plant(first);
  tagAndPublish(runIn(root));
  const counted = breakingDisk(root, Number.POSITIVE_INFINITY);
  assert.equal(tagAndPublish(runIn(root, { disk: counted.disk })).outcome.code, 'rules_tagged');
  assert.equal(counted.done(), 0);
});

test('a changed source: only its copy is written, what is gone goes later', () => {
  const root = plant(first);
  tagAndPublish(runIn(root));
  const untouched = statSync(`${root}${output}/rules/01-b`).ino;
  plant(second, root);
  tagAndPublish(runIn(root));
  assert.deepEqual(names(root), ['A', 'B', 'D0', 'D2', 'Moved']);
  assert(everyRuleTagged(root));
  assert.equal(statSync(`${root}${output}/rules/01-b`).ino, untouched);
  // Falco may still be reading the former list; what only that one names goes when there was time enough for that.
  assert.deepEqual(readdirSync(`${root}${output}/rules`), ['00-a', '00-a.1', '01-b', '02-d', '02-d.1']);
  assert.deepEqual(readdirSync(`${root}${output}/work`), []);
  tagAndPublish(runIn(root));
  assert.equal(readdirSync(`${root}${output}/rules`).length, 5);
  tagAndPublish(runIn(root, { disk: rested(root) }));
  assert.deepEqual(readdirSync(`${root}${output}/rules`), ['00-a.1', '01-b', '02-d.1']);
  assert.deepEqual(names(root), ['A', 'B', 'D0', 'D2', 'Moved']);
});

test('when nothing can be tagged any more the drop-in goes, and Falco runs its own rules', () => {
  for (const change of [
    { falcoArguments: ['-r', '/etc/falco/a.yaml'] },
    { configFile: '/etc/falco/gone.yaml' },
  ]) {
    const root = plant(first);
    tagAndPublish(runIn(root));
    const report = tagAndPublish(runIn(root, change));
    assert.notEqual(report.outcome.code, 'rules_tagged');
    assert(!existsSync(`${root}${output}/federation.yaml`));
    assert.notDeepEqual(readdirSync(`${root}${output}/rules`), []);
    tagAndPublish(runIn(root, { ...change, disk: rested(root) }));
    assert.deepEqual(published(root), ['rules', 'work']);
  }
});

/** A disk on which nothing has changed for long. */
function rested(root: string): PublishingDisk {
  return { ...publishingDisk(root), restOf: () => readingTakes };
}

test('copies in last go when their source is no longer added; their names, which Falco may be about to watch, do not', () => {
  const root = plant({ ...first, 'x.yaml': rule('X') });
  const falcoArguments = [
    ...ourArguments,
    '-o',
    'rules_files[]=/etc/falco/x.yaml',
    '-o',
    `rules_files[]=${output}/last`,
  ];
  tagAndPublish(runIn(root, { falcoArguments }));
  assert.deepEqual(readdirSync(`${root}${output}/last`), ['00000.yaml']);
  assert.deepEqual(falcoIn(root, falcoArguments).rules.at(-1), { name: 'X', tags: ['own', 'staging'] });
  tagAndPublish(runIn(root));
  assert.equal(readFileSync(`${root}${output}/last/00000.yaml`, 'utf8'), '');
  assert.deepEqual(falcoIn(root, falcoArguments).rules.at(-1), { name: 'X', tags: ['own'] });
});

/** A step of the follower of the image, which leaves the last rename to the launcher. */
function stepOf(root: string, changes: Parameters<typeof runIn>[1] = {}): Step {
  return followStep(runIn(root, changes), (path) => signatureOf(root + path), 'still');
}

const dropIn = `${output}/federation.yaml`;

test('copies in last that are new: the list is published again though it is the same, to be seen being read', () => {
  const root = plant({ ...first, 'x.yaml': rule('X') });
  tagAndPublish(runIn(root));
  const asked = ['-o', 'rules_files[]=/etc/falco/x.yaml', '-o', `rules_files[]=${output}/last`];
  const { left } = stepOf(root, { falcoArguments: [...ourArguments, ...asked] });
  assert.deepEqual(left, { draft: `${output}/work/file`, path: dropIn });
  assert.deepEqual(readFileSync(root + left.draft), readFileSync(root + dropIn));
  assert.deepEqual(readdirSync(`${root}${output}/last`), ['00000.yaml']);
});

test('a list that is left: the one before is in force until it is renamed', () => {
  const root = plant(first);
  tagAndPublish(runIn(root));
  const before = names(root);
  const list = readFileSync(root + dropIn);
  plant(second, root);
  const { left } = stepOf(root);
  assert(left !== undefined);
  assert.deepEqual([names(root), readFileSync(root + dropIn)], [before, list]);
  renameSync(root + left.draft, root + left.path);
  assert.deepEqual(
    names(root),
    falcoIn(root, [])
      .rules.map(({ name }) => name)
      .sort(),
  );
  assert.equal(stepOf(root).left, undefined, 'nothing has changed');
});

// --- failures ---------------------------------------------------------------------------------------------

/** A disk on which the n-th change and all after it fail, as if the process had died there or the disk filled up. */
function breakingDisk(root: string, after: number): { disk: PublishingDisk; done: () => number } {
  const real = publishingDisk(root);
  let changes = 0;
  const step = () => {
    if (changes >= after) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    changes++;
  };
  return {
    done: () => changes,
    disk: {
      ...real,
      makeFolder: (path) => [step(), real.makeFolder(path)],
      writeFile: (path, bytes) => {
        // A write that fails may leave half a file.
        if (changes >= after) real.writeFile(path, bytes.subarray(0, bytes.length / 2));
        step();
        real.writeFile(path, bytes);
      },
      rename: (from, to) => [step(), real.rename(from, to)],
      remove: (path) => [step(), real.remove(path)],
      link: (target, path) => [step(), real.link(target, path)],
    },
  };
}

function assertWhole(root: string, before: readonly string[], now: readonly string[], step: number): void {
  const loaded = names(root);
  assert.equal(falcoIn(root).exit, 0, `step ${step}: Falco starts`);
  const either = [[...before].sort(), [...now].sort()].map(String);
  assert(either.includes(String(loaded)), `step ${step}: the rules of before or of now, not ${loaded}`);
}

test('a first run that ends at any step leaves own rules or tagged ones, all of them', () => {
  for (let step = 0, done = false; !done; step++) {
    const root = plant(first);
    const own = names(root);
    const { disk } = breakingDisk(root, step);
    done = tagAndPublish(runIn(root, { disk })).outcome.code === 'rules_tagged';
    assertWhole(root, own, own, step);
    const tagged = falcoIn(root).rules.filter((one) => one.tags.includes('staging')).length;
    assert([0, own.length].includes(tagged), `step ${step}: all rules are tagged, or none`);
    tagAndPublish(runIn(root));
    assert(everyRuleTagged(root), 'the next run makes it good');
    assert.deepEqual(readdirSync(`${root}${output}/work`), []);
    assert(step < 100);
  }
});

test('a later run that ends at any step keeps every rule tagged and loses none', () => {
  for (let step = 0, done = false; !done; step++) {
    const root = plant(first);
    tagAndPublish(runIn(root));
    const before = names(root);
    plant(second, root);
    const now = falcoIn(root, []).rules.map((one) => one.name);
    const { disk } = breakingDisk(root, step);
    const report = tagAndPublish(runIn(root, { disk }));
    done = report.outcome.code === 'rules_tagged';
    if (!done) assert.equal(report.outcome.code, 'rules_output_unwritable');
    assertWhole(root, before, now, step);
    assert(everyRuleTagged(root), `step ${step}`);
    tagAndPublish(runIn(root));
    assert.deepEqual(names(root), [...now].sort());
    assert(step < 100);
  }
});

test('a step that ends anywhere leaves the list in force as it is, and the next one publishes', () => {
  for (let at = 0, done = false; !done; at++) {
    const root = plant(first);
    tagAndPublish(runIn(root));
    const before = names(root);
    plant(second, root);
    const { report, left } = stepOf(root, { disk: breakingDisk(root, at).disk });
    done = report?.outcome.code === 'rules_tagged';
    assert.deepEqual(
      [left !== undefined, names(root), everyRuleTagged(root)],
      [done, before, true],
      `step ${at}`,
    );
    const next = stepOf(root).left;
    assert(next !== undefined);
    renameSync(root + next.draft, root + next.path);
    assertWhole(
      root,
      [],
      falcoIn(root, []).rules.map((one) => one.name),
      at,
    );
    assert(at < 100);
  }
});

test('a run that ends while copies in last change never leaves a part of them', () => {
  const added = ['x', 'y'].flatMap((name) => ['-o', `rules_files[]=/etc/falco/${name}.yaml`]);
  const falcoArguments = [...ourArguments, ...added, '-o', `rules_files[]=${output}/last`];
  // Both define the rule: a copy of x alone, behind y, would undo y.
  const sources = (tag: string): Tree => ({
    ...first,
    'x.yaml': rule('X', `x-${tag}`),
    'y.yaml': rule('X', `y-${tag}`),
  });
  for (let step = 0, done = false; !done; step++) {
    const root = plant(sources('before'));
    tagAndPublish(runIn(root, { falcoArguments }));
    plant(sources('now'), root);
    done =
      tagAndPublish(runIn(root, { falcoArguments, disk: breakingDisk(root, step).disk })).outcome.code ===
      'rules_tagged';
    const tags = falcoIn(root, falcoArguments)
      .rules.find((one) => one.name === 'X')
      ?.tags.filter((tag) => tag !== 'staging');
    assert(['y-before', 'y-now'].includes(String(tags)), `step ${step}: ${tags}`);
    assert(step < 100);
  }
});

test('a volume that is full when rules change: Falco runs its own rules, untagged, and its alerts still go to the file', () => {
  const alerts = { file: '/alerts/live', jsonOutput: 'set' as const };
  for (const isQuiteFull of [false, true]) {
    const root = plant(first);
    tagAndPublish(runIn(root, { alerts }));
    plant(second, root);
    const real = publishingDisk(root);
    const full = () => {
      throw Object.assign(new Error('full'), { code: 'ENOSPC' });
    };
    const writeFile: PublishingDisk['writeFile'] = (path, bytes) =>
      isQuiteFull || path.includes('/folder/') ? full() : real.writeFile(path, bytes);
    const { outcome, findings } = tagAndPublish(runIn(root, { alerts, disk: { ...real, writeFile } }));
    assert.deepEqual(
      [outcome.code, findings.map(({ code }) => code)],
      ['rules_output_unwritable', ['rules_withdrawn']],
    );
    assert.deepEqual(falcoIn(root).rules, falcoIn(root, []).rules);
    assert.equal(existsSync(root + dropIn), !isQuiteFull);
    // As soon as there is room.
    tagAndPublish(runIn(root, { alerts }));
    assert(everyRuleTagged(root));
  }
});

test('no output folder, or a file in its place: reported, nothing thrown', () => {
  const root = plant(first);
  rmSync(root + output, { recursive: true });
  assert.match(tagAndPublish(runIn(root)).outcome.detail ?? '', /is not a folder/);
  writeFileSync(root + output, '');
  assert.equal(tagAndPublish(runIn(root)).outcome.code, 'rules_output_unwritable');
});

test('strange things in our own places are cleared away', () => {
  const root = plant(first);
  mkdirSync(`${root}${output}/rules`, { recursive: true });
  writeFileSync(`${root}${output}/rules/00-a`, 'a file');
  mkdirSync(`${root}${output}/federation.yaml`);
  writeFileSync(`${root}${output}/work`, 'a file');
  assert.equal(tagAndPublish(runIn(root)).outcome.code, 'rules_tagged');
  assert(everyRuleTagged(root));
});

/** Mounts a small tmpfs at our output folder; false where that is not allowed. */
function mountSmall(t: TestContext, folder: string, options: string): boolean {
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder]).status === 0;
  if (mounted) t.after(() => spawnSync('umount', [folder]));
  else
    t.diagnostic('left out: mounting a tmpfs is not allowed here; a disk that fails stands in for it above');
  return mounted;
}

test('a disk that is really full', (t) => {
  const root = plant({ ...first, 'b.yaml': `${rule('B')}# ${'x'.repeat(200_000)}\n` });
  if (!mountSmall(t, root + output, 'size=64k')) return;
  const report = tagAndPublish(runIn(root));
  assert.equal(report.outcome.code, 'rules_output_unwritable');
  assert.match(report.outcome.detail ?? '', /ENOSPC/);
  assert.deepEqual(names(root), ['A', 'B', 'D1', 'D2', 'Moved']);
});

test('a target that is really read-only', (t) => {
  const root = plant(first);
  if (!mountSmall(t, root + output, 'ro')) return;
  const report = tagAndPublish(runIn(root));
  assert.match(report.outcome.detail ?? '', /EROFS/);
  assert.deepEqual(published(root), []);
});

// --- sources ----------------------------------------------------------------------------------------------

/** The disk with one path that cannot be read. */
function refusing(root: string, path: string, why: string): FileSystem {
  const real = runIn(root).fileSystem;
  return {
    ...real,
    read: (asked, limit) => (asked === path ? { is: 'unreadable', why } : real.read(asked, limit)),
  };
}

test('a file that cannot be read, or that vanishes: its whole entry stays as it was, the others are tagged', () => {
  for (const why of ['EACCES', 'ENOENT']) {
    const root = plant(first);
    const report = tagAndPublish(runIn(root, { fileSystem: refusing(root, '/etc/falco/d/two.yaml', why) }));
    assert.deepEqual(report.kept, [
      { code: 'rules_entry_unreadable', detail: `/etc/falco/d/two.yaml: ${why}` },
    ]);
    const untagged = falcoIn(root).rules.filter((one) => !one.tags.includes('staging'));
    assert.deepEqual(
      untagged.map((one) => one.name),
      ['D1', 'D2'],
    );
  }
});

test('nothing can be read at all: an error, not just nothing seen', () => {
  const root = plant({ 'falco.yaml': 'rules_files: [/etc/falco/a.yaml]\n', 'a.yaml': rule('A') });
  const report = tagAndPublish(runIn(root, { fileSystem: refusing(root, '/etc/falco/a.yaml', 'EACCES') }));
  assert.equal(report.outcome.code, 'rules_none_tagged');
  assert(!existsSync(`${root}${output}/federation.yaml`));
});

test('a name that is not UTF-8 keeps its folder as it was', () => {
  const root = plant(first);
  writeFileSync(
    Buffer.concat([Buffer.from(`${root}/etc/falco/d/`), Buffer.from([0xff]), Buffer.from('.yaml')]),
    rule('X'),
  );
  const report = tagAndPublish(runIn(root));
  assert.deepEqual(
    report.kept.map((one) => one.code),
    ['rules_entry_name_not_utf8'],
  );
});

test('a file that is not UTF-8 is tagged, and every other byte stays', () => {
  const root = plant(first);
  const bytes = Buffer.concat([Buffer.from(rule('B')), Buffer.from([0x23, 0xff, 0x0a])]);
  writeFileSync(`${root}/etc/falco/b.yaml`, bytes);
  const report = tagAndPublish(runIn(root));
  const copy = readFileSync(`${root}${output}/rules/01-b/b.yaml`, 'latin1');
  assert.equal(copy.replace(', staging', ''), bytes.toString('latin1'));
  assert.deepEqual(report.findings, []);
  assert.equal(report.copiedAsTheyWere, 0);
});

test('a variable that is not known here: the entry stays as it is written', () => {
  const root = plant({
    ...first,
    'falco.yaml': 'rules_files: ["$' + '{FOLDER}/b.yaml", /etc/falco/a.yaml]\n',
  });
  const report = tagAndPublish(runIn(root, { lookup: () => undefined }));
  assert.deepEqual(report.kept, [
    { code: 'rules_entry_variable_unknown', detail: '$' + '{FOLDER}/b.yaml: FOLDER' },
  ]);
  assert.match(readFileSync(`${root}${output}/federation.yaml`, 'utf8'), /^ {2}- "\$\{FOLDER\}\/b.yaml"$/m);
});

test('files too large to copy stay, and so does what goes over the total; others are tagged, however large', () => {
  const filler = (size: number) => `# ${'x'.repeat(size)}\n`;
  const list = ['parsed', 'copied', 'huge', 'full', 'over', 'small', 'dense'].map(
    (name) => `/etc/falco/${name}.yaml`,
  );
  const root = plant({
    'falco.yaml': `rules_files: [${list.join(', ')}]\n`,
    'parsed.yaml': rule('Parsed') + filler(2 ** 19 - 1000),
    'copied.yaml': rule('Copied') + filler(largestFile - 1000),
    'huge.yaml': rule('Huge') + filler(largestFile),
    'full.yaml': rule('Full') + filler(largestFile - 2 ** 21),
    'over.yaml': rule('Over') + filler(2 ** 21),
    'small.yaml': rule('Small'),
    'dense.yaml': `${rule('Dense')}- list: l\n  items: [${'a,'.repeat(30_000)}]\n`,
  });
  const report = tagAndPublish(runIn(root));
  assert.deepEqual(report.kept, [
    { code: 'rules_entry_too_large', detail: '/etc/falco/huge.yaml' },
    { code: 'rules_entry_too_large', detail: '/etc/falco/over.yaml' },
  ]);
  const tagged = falcoIn(root).rules.filter((one) => one.tags.includes('staging'));
  assert.deepEqual(
    tagged.map((one) => one.name),
    ['Parsed', 'Copied', 'Full', 'Small', 'Dense'],
  );
});

test('a folder that may not be entered', (t) => {
  if (process.getuid?.() === 0) {
    t.diagnostic('root may enter any folder: see the command’s test, which runs as another user');
    return;
  }
  const root = plant(first);
  chmodSync(`${root}/etc/falco/d`, 0);
  const report = tagAndPublish(runIn(root));
  chmodSync(`${root}/etc/falco/d`, 0o755);
  assert.deepEqual(
    report.kept.map((one) => one.code),
    ['rules_entry_unreadable'],
  );
});
