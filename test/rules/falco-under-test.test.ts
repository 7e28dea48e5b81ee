/** What real scenarios are run with, tried on a program that behaves as Falco does where it matters. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fakeFalco } from './fake-falco-program.ts';
import { file } from './falco-node.ts';
import { realFalco } from './falco-under-test.ts';
import { temporaryFolder } from './temporary-tree.ts';

function scene(t: TestContext, program = fakeFalco(), env: Readonly<Record<string, string>> = {}) {
  const folder = temporaryFolder();
  const at = (name: string): string => join(folder, name);
  mkdirSync(at('rules.d'));
  writeFileSync(at('falco.yaml'), `rules_files:\n  - ${at('rules.d')}\n`);
  const falco = realFalco(program, { root: '', args: ['-c', at('falco.yaml')], env });
  t.after(() => falco.stop());
  return { at, falco };
}

test('a reload is one, though rules files are named in its dry run too', async (t) => {
  const { at, falco } = scene(t);
  writeFileSync(at('rules.d/a.yaml'), file('One'));
  await falco.start();
  assert.deepEqual([falco.reloads(), falco.rules().map(({ name }) => name)], [0, ['One']]);
  writeFileSync(at('rules.d/b.yaml'), file('Two'));
  await falco.settle();
  assert.deepEqual([falco.reloads(), falco.rules().map(({ name }) => name)], [1, ['One', 'Two']]);
  // The dry run fails, so there is no reload, and what runs is what ran.
  writeFileSync(at('rules.d/b.yaml'), '- rule: [');
  await falco.settle();
  assert.deepEqual([falco.reloads(), falco.rules().map(({ name }) => name)], [1, ['One', 'Two']]);
});

test('a folder without rules: none, and no failure', async (t) => {
  const { at, falco } = scene(t);
  await falco.start();
  assert.deepEqual(falco.rules(), []);
  writeFileSync(at('rules.d/a.yaml'), '');
  await falco.settle();
  assert.deepEqual([falco.reloads(), falco.rules()], [1, []]);
});

test('what runs is told, not what is there: changed in the blind window', async (t) => {
  const blind = temporaryFolder();
  const { at, falco } = scene(t, undefined, { FAKE_FALCO_BLIND: blind });
  writeFileSync(at('rules.d/a.yaml'), file('One'));
  const started = falco.start();
  while (!existsSync(join(blind, 'blind'))) await wait(20);
  writeFileSync(at('rules.d/a.yaml'), file('Two'));
  rmSync(join(blind, 'blind'));
  await started;
  assert.deepEqual([falco.reloads(), falco.rules().map(({ name }) => name)], [0, ['One']]);
});

test('that it has exited is said at once, with what it said', async (t) => {
  const without = scene(t, fakeFalco('stdout_output.enabled=true'));
  await assert.rejects(without.falco.start(), /Falco has exited \(1\):[\s\S]*No output configured/);

  const { at, falco } = scene(t);
  writeFileSync(at('rules.d/a.yaml'), file('One'));
  await falco.start();
  rmSync(at('rules.d'), { recursive: true });
  await falco.settle();
  await falco.stop();
  await assert.rejects(falco.settle(), /Falco has exited/);
  assert.throws(() => falco.rules(), /Falco has exited/);
});
