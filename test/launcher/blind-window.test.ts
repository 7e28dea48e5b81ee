/**
 * `alongside`: the launcher and the real program publish while Falco is blind (FACTS 1.7). Falco is the fake one, which
 * is blind for as long as the test wants it.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fakeFalco } from '../rules/fake-falco-program.ts';
import { realFalco } from '../rules/falco-under-test.ts';
import { rule } from '../rules/temporary-tree.ts';
import { until } from '../until.ts';
import { cannotCompile, openFolder } from './compiled.ts';
import { type Decided, start, stopped } from './running.ts';

const main = new URL('../../src/main.ts', import.meta.url).pathname;

/** A Falco that has read its own rules and is blind, and what starts the follower beside it. */
async function scene(t: TestContext, decided: Omit<Decided, 'NODE'>) {
  const folder = openFolder();
  const at = (name: string): string => join(folder, name);
  // They are there after the first publication. That they are made is an event too, and on a slow machine a reload.
  for (const name of ['out', 'out/work', 'out/rules']) mkdirSync(at(name));
  writeFileSync(at('falco_rules.yaml'), rule('One'));
  writeFileSync(at('falco.yaml'), `rules_files:\n  - ${at('falco_rules.yaml')}\n`);
  const dropIns = `config_files[]=${JSON.stringify({ path: at('out'), strategy: 'override' })}`;
  const args = ['-c', at('falco.yaml'), '-o', dropIns];
  const falco = realFalco(fakeFalco(), { root: '', args, env: { FAKE_FALCO_BLIND: folder } });
  const started = falco.start();
  t.after(() => falco.stop());
  await until('Falco is blind', () => existsSync(at('blind')));
  const publish = async () => {
    const follower = start(t, { NODE: process.execPath, PROGRAM: main, ...decided }, [
      ...['tag-rules', '--tag', 'staging', '--output', at('out'), '--config', at('falco.yaml'), '--follow'],
      ...['--termination-message', at('message'), '--', ...args],
    ]);
    await until('it is published', () => follower.said.err.includes('waiting for Falco to read it'));
    return follower;
  };
  /** From now on it sees again soon, after each reload too. */
  const see = async () => {
    const sight = setInterval(() => rmSync(at('blind'), { force: true }), 50);
    t.after(() => clearInterval(sight));
    await started;
  };
  const tags = () => falco.rules().flatMap((one) => one.tags);
  return { falco, publish, see, tags };
}

describe('Falco is blind while the first tagged rules are published', { skip: cannotCompile }, () => {
  test('it is tagged all the same, by one reload', async (t) => {
    const { falco, publish, see, tags } = await scene(t, { FIRST_PAUSE: '500' });
    const { child, said } = await publish();
    await until('it is published again, too early', () => said.err.includes('published again'));
    assert.deepEqual(tags(), ['own']);
    await see();
    await until('Falco has read it', () => said.err.includes('Falco read it'));
    await falco.settle();
    assert.deepEqual([tags(), falco.reloads()], [['own', 'staging'], 1]);
    assert.equal(await stopped(child), 0);
  });

  test('without that it stays untagged for ever', async (t) => {
    const { falco, publish, see, tags } = await scene(t, { FIRST_PAUSE: '500', MOST_TIMES: '0' });
    const { child, said } = await publish();
    await see();
    await until('nobody does anything any more', () => said.err.includes('giving up'));
    await wait(1_000);
    await falco.settle();
    assert.deepEqual([tags(), falco.reloads()], [['own'], 0]);
    assert.equal(await stopped(child), 0);
  });

  test('one that sees reads it at once, and is left alone', async (t) => {
    const { falco, publish, see, tags } = await scene(t, { FIRST_PAUSE: '20000' });
    await see();
    const { child, said } = await publish();
    await until('Falco has read it', () => said.err.includes('Falco read it'));
    await falco.settle();
    assert.deepEqual([tags(), falco.reloads()], [['own', 'staging'], 1]);
    assert.equal(await stopped(child), 0);
    assert.doesNotMatch(said.err, /published again/);
  });
});
