/** Following, step by step: rules that come, change and go while Falco runs. The launcher's tests have the waiting. */
import assert from 'node:assert/strict';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { signatureOf } from '../../src/rules/configuration/file-system.ts';
import { doubtFor, type Woken } from '../../src/rules/publishing/follow-step.ts';
import { output, plant, rule, runIn, stepAndRename, type Tree } from './temporary-tree.ts';

function scene(tree: Tree) {
  const root = plant({ 'falco.yaml': 'rules_files: [/etc/falco/a.yaml, /etc/falco/rules.d]\n', ...tree });
  const at = (name: string): string => join(root, 'etc/falco', name);
  mkdirSync(at('rules.d'), { recursive: true });
  const step = (woken: Woken) =>
    stepAndRename(runIn(root, { following: true }), (path) => signatureOf(root + path), woken);
  /** All tagged copies that the drop-in lists, as one text. */
  const published = (): string => {
    const dropIn = `${root}${output}/federation.yaml`;
    const text = existsSync(dropIn) ? readFileSync(dropIn, 'utf8') : '';
    return [...text.matchAll(/"(.*federation\/rules\/.*)"/g)]
      .map(([, path = '']) => root + path)
      .flatMap((one) => readdirSync(one).map((name) => readFileSync(join(one, name), 'utf8')))
      .join('');
  };
  return { at, step, published };
}

test('rules that change, come and go are tagged each time, and nothing is lost', () => {
  const { at, step, published } = scene({ 'a.yaml': rule('One') });
  assert.equal(step('start').report?.tagged, 1);
  writeFileSync(at('a.yaml'), rule('One') + rule('Two'));
  assert.equal(step('changed').report?.tagged, 2);
  assert.match(published(), /rule: Two[\s\S]*tags: \[own, staging\]/);
  writeFileSync(at('rules.d/more.yaml'), rule('Three'));
  assert.equal(step('changed').report?.tagged, 3);
  assert.match(published(), /rule: Three/);
  rmSync(at('rules.d/more.yaml'));
  assert.equal(step('changed').within, doubtFor);
  assert.equal(step('still').report?.tagged, 2);
  assert.doesNotMatch(published(), /rule: Three/);
});

test('a source that is away, cut off or broken for a moment costs Falco no rule', () => {
  const { at, step, published } = scene({ 'a.yaml': rule('One'), 'rules.d/more.yaml': rule('Two') });
  step('start');
  const before = published();
  const disturbances = [
    () => rmSync(at('a.yaml')),
    () => rmSync(at('rules.d'), { recursive: true }),
    () => rmSync(at('rules.d/more.yaml')),
    () => truncateSync(at('rules.d/more.yaml')),
    () => writeFileSync(at('a.yaml'), '- rule: [half'),
    () => writeFileSync(at('falco.yaml'), ''),
  ];
  cpSync(at('.'), at('../kept'), { recursive: true });
  for (const disturb of disturbances) {
    disturb();
    const doubted = step('changed');
    assert.deepEqual([doubted.report, doubted.within, published()], [undefined, doubtFor, before]);
    cpSync(at('../kept'), at('.'), { recursive: true });
    assert.equal(step('changed').report?.outcome.code, 'rules_tagged');
    assert.equal(published(), before, String(disturb));
  }
});

test('a source that is gone for good is gone; a broken one is passed on, as Falco keeps what it runs', () => {
  const { at, step, published } = scene({ 'a.yaml': rule('One'), 'rules.d/more.yaml': rule('Two') });
  step('start');
  writeFileSync(at('rules.d/more.yaml'), '- rule: [half');
  assert.equal(step('still').report?.tagged, 1);
  assert.match(published(), /rule: One[\s\S]*staging[\s\S]*\[half/);
  rmSync(at('rules.d/more.yaml'));
  rmSync(at('a.yaml'));
  assert.equal(step('still').report?.outcome.code, 'rules_none_visible');
  assert.equal(published(), '', 'Falco reads its own list, which has an empty folder in it');
});

test('with nothing left that Falco could start with, what was published stays', () => {
  const { at, step, published } = scene({ 'a.yaml': rule('One') });
  rmSync(at('rules.d'), { recursive: true });
  step('start');
  rmSync(at('a.yaml'));
  assert.equal(step('still').report?.outcome.code, 'rules_none_visible');
  assert.match(published(), /rule: One/);
});

test('rules that come only after the start are tagged when they come', () => {
  const { at, step, published } = scene({});
  assert.equal(step('start').report?.outcome.code, 'rules_none_visible');
  assert.equal(published(), '');
  writeFileSync(at('rules.d/50-late.yaml'), rule('Late'));
  assert.equal(step('changed').report?.outcome.code, 'rules_tagged');
  assert.match(published(), /rule: Late[\s\S]*staging/);
});
