/** The model of Falco's hot reload, sentence by sentence of FACTS 1.7 and 1.12. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { test } from 'node:test';
import { FalcoNode, file, layouts, namesOf } from './falco-node.ts';
import { output } from './temporary-tree.ts';

const a = '/etc/falco/a.yaml';
const inFolder = '/etc/falco/rules.d/x.yaml';

/** A started Falco without any tagger. */
function started(layout: keyof typeof layouts = 'chartWithConfigMap'): FalcoNode {
  const node = new FalcoNode(layouts[layout]);
  node.overwrite(a, file('One'));
  node.falco.start();
  return node;
}

/** Lets Falco reload, if it was called, and gives what it runs and how often it has reloaded. */
function after(node: FalcoNode): readonly [string, number] {
  node.falco.reload();
  const { running, reloads } = node.falco;
  return [running === undefined ? 'exited' : namesOf(running).join(' '), reloads];
}

test('a loaded file is watched: written in place, replaced, deleted', () => {
  const node = started();
  node.overwrite(a, file('One', 'Two'));
  assert.deepEqual(after(node), ['One Two', 1]);
  node.replace(a, file('Three'));
  assert.deepEqual(after(node), ['Three', 2]);
  node.overwrite(inFolder, file('In a folder'));
  assert.deepEqual(after(node), ['In a folder Three', 3]);
  node.overwrite(inFolder, file('Changed'));
  assert.deepEqual(after(node), ['Changed Three', 4]);
});

test('a listed file that is deleted: restart without its rules; coming back is not noticed', () => {
  const node = started();
  node.remove(a);
  assert.deepEqual(after(node), ['', 1]);
  node.overwrite(a, file('One'));
  assert.deepEqual(after(node), ['', 1]);
});

test('broken content: the running rules stay', () => {
  const node = started();
  node.overwrite(a, '- rule: [');
  assert.deepEqual(after(node), ['One', 0]);
  assert.equal(node.falco.failures, 1);
  node.overwrite(a, file('Mended'));
  assert.deepEqual(after(node), ['Mended', 1]);
});

test('a listed file replaced by rename with broken content loses its watch; in a listed folder it does not', () => {
  const node = started();
  node.replace(a, '- rule: [');
  assert.deepEqual(after(node), ['One', 0]);
  node.overwrite(a, file('Mended'));
  assert.deepEqual(after(node), ['One', 0]);

  const other = started();
  other.replace(inFolder, '- rule: [');
  assert.deepEqual(after(other), ['One', 0]);
  other.replace(inFolder, file('Mended'));
  assert.deepEqual(after(other), ['Mended One', 1]);
});

test('an entry that is missing at the start is not watched', () => {
  const node = started('chart');
  node.overwrite('/etc/falco/local.yaml', file('Local'));
  node.overwrite(inFolder, file('In a folder'));
  assert.deepEqual(after(node), ['One', 0]);
});

test('the drop-in folder: renaming into it and deleting are noticed, sub-folders are no configuration', () => {
  const node = started();
  assert.equal(node.follow('start').report?.outcome.code, 'rules_tagged');
  assert.deepEqual(after(node), ['One', 1], 'one restart for all of it');
  assert.ok(node.falco.running?.rules[0]?.tags.includes('staging'));
  node.falco.notice({ path: `${output}/federation.yaml`, is: 'written' });
  assert.deepEqual(after(node), ['One', 1], 'what is written in place is not noticed');
  rmSync(`${node.root}${output}/federation.yaml`);
  node.falco.notice({ path: `${output}/federation.yaml`, is: 'gone' });
  assert.deepEqual(after(node), ['One', 2]);
  assert.deepEqual(node.falco.running?.rules[0]?.tags, ['own']);
});

test('a drop-in folder that is missing at the start is not watched', () => {
  const node = new FalcoNode(layouts.chart);
  rmSync(node.root + output, { recursive: true });
  node.overwrite(a, file('One'));
  node.falco.start();
  mkdirSync(node.root + output);
  node.follow('start');
  assert.deepEqual(after(node), ['One', 0]);
});

test('a ConfigMap’s swap is noticed', () => {
  const node = started();
  node.swap('/etc/falco/rules.d', { 'x.yaml': file('Mapped') });
  assert.deepEqual(after(node), ['Mapped One', 1]);
  node.swap('/etc/falco/rules.d', { 'x.yaml': file('Swapped') });
  assert.deepEqual(after(node), ['One Swapped', 2]);
});

test('all rules files missing: it exits; an empty folder: it runs without rules', () => {
  const none = new FalcoNode(layouts.chart);
  none.falco.start();
  assert.deepEqual(after(none), ['exited', 0]);
  const empty = new FalcoNode(layouts.operator);
  empty.falco.start();
  assert.deepEqual(after(empty), ['', 0]);
});

test('a link that leads nowhere is nothing', () => {
  const node = started();
  symlinkSync('nowhere', `${node.root}/etc/falco/rules.d/b.yaml`);
  node.falco.notice({ path: '/etc/falco/rules.d/b.yaml', is: 'made' });
  assert.deepEqual(after(node), ['One', 1]);
});

test('the blind window: what is published in it is not noticed, at the start and in a reload', () => {
  const node = new FalcoNode(layouts.chart, { seesReading: false });
  node.overwrite(a, file('One'));
  node.falco.start(() => node.follow('start'));
  assert.deepEqual(after(node), ['One', 0]);
  assert.deepEqual(node.falco.running?.rules[0]?.tags, ['own'], 'and stays untagged');

  const other = started();
  other.follow('start');
  other.falco.reload(() => {
    other.overwrite(a, file('One', 'Two'));
    other.follow('changed');
  });
  assert.deepEqual(after(other), ['One', 1]);
});

test('what it was to watch is gone when it comes to that: it exits', () => {
  const node = new FalcoNode(layouts.chart);
  node.overwrite(a, file('One'));
  node.falco.start(() => node.remove(a));
  assert.deepEqual([after(node), node.falco.vanished], [['exited', 0], a]);
});

test('published in the blind window, the same again is noticed, and costs one reload', () => {
  const node = new FalcoNode(layouts.chart);
  node.overwrite(a, file('One'));
  node.falco.start(() => {
    node.follow('start');
    // Too early.
    node.publishAgain();
  });
  assert.deepEqual(after(node), ['One', 0]);
  for (let times = 0; times < 3; times += 1) {
    node.publishAgain();
    assert.deepEqual(after(node), ['One', 1]);
  }
  assert.equal(node.renewals, 2);
  assert.ok(node.falco.running?.rules[0]?.tags.includes('staging'));
});

test('what Falco has read, at its start or in a reload, is not published again', () => {
  const node = started();
  node.follow('start');
  assert.deepEqual(after(node), ['One', 1]);
  node.publishAgain();
  assert.deepEqual([after(node), node.renewals], [['One', 1], 0]);

  const early = new FalcoNode(layouts.chart);
  early.overwrite(a, file('One'));
  early.follow('start');
  early.falco.start();
  early.publishAgain();
  assert.deepEqual([after(early), early.renewals], [['One', 0], 0]);
});

test('a follower that was killed while Falco had not read: the next one publishes again', () => {
  const node = new FalcoNode(layouts.chart);
  node.overwrite(a, file('One'));
  node.falco.start(() => node.follow('start'));
  node.follow('start');
  assert.deepEqual(after(node), ['One', 1]);
  node.publishAgain();
  const { publications } = node;
  node.follow('start');
  assert.equal(node.publications, publications, 'now that it is read, the next start changes nothing');
});

test('what Falco may be loading from stays until it has read the list that does without it', () => {
  const node = new FalcoNode(layouts.chart);
  node.overwrite(a, file('One'));
  node.follow('start');
  node.falco.start(() => {
    for (const name of ['Two', 'Three', 'Four']) {
      node.overwrite(a, file('One', name));
      node.follow('changed');
    }
  });
  assert.deepEqual(after(node), ['One', 0]);
  node.publishAgain();
  assert.deepEqual(after(node), ['Four One', 1]);
  node.overwrite(a, file('One'));
  node.follow('changed');
  node.overwrite(a, file('Five'));
  node.follow('changed');
  assert.equal(
    readdirSync(`${node.root}${output}/rules`).length,
    3,
    'no more than what is read, and what is to be',
  );
});

test('a list that is withdrawn while Falco loads from it: its folders stay', () => {
  const node = started('chartWithConfigMap');
  node.follow('start');
  assert.deepEqual(after(node), ['One', 1]);
  node.remove(a);
  node.falco.start(() => {
    node.follow('still');
    node.follow('still');
  });
  assert.equal(node.falco.vanished, undefined);
  assert.deepEqual(readdirSync(`${node.root}${output}`), ['rules', 'work'], 'withdrawn');
});
