/** A publication is done when Falco has read it; here the test reads in Falco's place, or does not. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { signatureOf } from '../../src/rules/configuration/file-system.ts';
import { until } from '../until.ts';
import { cannotCompile } from './compiled.ts';
import { type Decided, recordingNode, start, stopped } from './running.ts';

const list = 'rules_files:\n  - "/rules/00-one"\n';
const waiting = 'waiting for Falco to read it';

/**
 * A follower that has published, with short pauses. A test that asks what is so between two of them takes a pause that
 * is longer than any machine keeps it waiting, or looks at what was said.
 */
async function published(t: TestContext, firstPause = 500, decided: Partial<Decided> = {}) {
  const node = recordingNode();
  const source = join(node.folder, 'source');
  writeFileSync(source, '');
  node.leave(list, [source, signatureOf(source)]);
  const times = { FIRST_PAUSE: String(firstPause), MOST_TIMES: '3' };
  const { child, said } = start(t, { NODE: node.node, ...times, ...decided });
  await until('it is published', () => said.err.includes(waiting));
  const says = (text: string, from = 0) =>
    until(`it says ${text}`, () => said.err.slice(from).includes(text));
  /** When it was put there; the number of a file may come again. */
  const put = () => statSync(node.dropIn, { bigint: true }).ctimeNs;
  const isMarked = () => existsSync(join(node.folder, 'work/unread'));
  /** Has Node run again, which finds the list as it is then. */
  const wake = async () => {
    const before = node.calls().length;
    writeFileSync(source, 'changed');
    await until('Node runs', () => node.calls().length > before);
  };
  return { ...node, child, said, says, put, isMarked, source, wake };
}

describe('the launcher, when it has published', { skip: cannotCompile }, () => {
  test('read at once: it says so and touches nothing any more', async (t) => {
    const { dropIn, child, said, says, put, isMarked } = await published(t, 2_000);
    const first = put();
    assert.ok(isMarked());
    assert.equal(readFileSync(dropIn, 'utf8'), list);
    await says('Falco read it after');
    await wait(2_500);
    assert.deepEqual([put(), isMarked()], [first, false]);
    assert.equal(await stopped(child), 0);
    assert.equal(said.err.trim().split('\n').length, 2, said.err);
  });

  test('unread: the same is renamed over it, with growing pauses, and not for ever', async (t) => {
    const { dropIn, child, said, says, put, isMarked } = await published(t, 250);
    const first = put();
    for (const [times, next] of [
      ['1 of 3', ', next in 0 s'],
      ['2 of 3', ', next in 1 s'],
      ['3 of 3', ''],
    ]) {
      await says(`published again (${times})${next}\n`);
    }
    assert.ok(put() > first);
    assert.equal(statSync(dropIn).mode & 0o777, 0o644);
    await says('does not watch its files (watch_config_files)');
    assert.ok(isMarked());
    const last = put();
    assert.equal(readFileSync(dropIn, 'utf8'), list);
    await says('Falco read it after');
    assert.deepEqual([put(), isMarked()], [last, false]);
    assert.equal(await stopped(child), 0);
    assert.equal(said.err.trim().split('\n').length, 6, said.err);
  });

  test('read later: from then on nothing is renamed', async (t) => {
    const { dropIn, child, said, says, put } = await published(t);
    await says('1 of 3');
    assert.equal(readFileSync(dropIn, 'utf8'), list);
    await says('Falco read it after');
    const then = put();
    await wait(1_200);
    assert.equal(put(), then);
    assert.equal(await stopped(child), 0);
    assert.match(said.err, /Falco read it after \d+ s\n$/);
  });

  test('taken away or replaced by somebody else: that one stays', async (t) => {
    for (const text of [undefined, 'other']) {
      const { folder, dropIn, child, says, isMarked } = await published(t);
      rmSync(dropIn);
      if (text !== undefined) {
        writeFileSync(join(folder, 'other'), text);
        renameSync(join(folder, 'other'), dropIn);
      }
      await says('was replaced or removed; no longer waiting');
      assert.deepEqual([existsSync(dropIn), isMarked()], [text !== undefined, true]);
      assert.equal(await stopped(child), 0);
    }
  });

  test('published anew meanwhile: the new one is waited for; that Node reads it is not Falco’s doing', async (t) => {
    const { dropIn, leave, watch, child, said, says, source, wake } = await published(t);
    leave(`${list}  - "/rules/01-two"\n`, [source, 'before']);
    await wake();
    await until('it waits anew', () => said.err.split(waiting).length === 3);
    const from = said.err.lastIndexOf(waiting);
    // Woken again at once, as `before` is no signature, and with nothing to publish.
    watch(0, [source, signatureOf(source)]);
    await says('1 of 3', from);
    assert.doesNotMatch(said.err, /read it after/);
    // Not seen while Node runs.
    await until('it is seen that the test reads', () => {
      assert.equal(readFileSync(dropIn, 'utf8'), `${list}  - "/rules/01-two"\n`);
      return said.err.includes('Falco read it');
    });
    assert.equal(await stopped(child), 0);
  });

  test('what cannot be written is said, and it goes on', async (t) => {
    const { folder, dropIn, child, said, says, put } = await published(t, 500, { MOST_TIMES: '8' });
    rmSync(join(folder, 'work'), { recursive: true });
    const first = put();
    await says('cannot make');
    assert.equal(put(), first);
    mkdirSync(join(folder, 'work'));
    await says('published again', said.err.lastIndexOf('cannot make'));
    assert.notEqual(put(), first);
    assert.equal(readFileSync(dropIn, 'utf8'), list);
    await says('Falco read it after');
    assert.equal(await stopped(child), 0);
  });

  test('a drop-in that cannot be put in force is tried again later', async (t) => {
    const node = recordingNode();
    mkdirSync(join(node.dropIn, 'in the way'), { recursive: true });
    node.leave(list);
    const { child, said } = start(t, { NODE: node.node });
    await until('it says so', () => said.err.includes('tag-rules failed; retrying in'));
    assert.match(said.err, /cannot rename the new list to .*federation\.yaml: /);
    assert.equal(await stopped(child), 0);
  });

  test('asked to stop while it waits, it stops; the mark tells the next one', async (t) => {
    const { child, said, isMarked } = await published(t);
    assert.equal(await stopped(child), 0);
    assert.equal(isMarked(), true);
    assert.doesNotMatch(said.err, /read it after/);
  });

  test('without inotify: published twice more at the most, as nobody can tell', async (t) => {
    const { child, said, says, put, isMarked } = await published(t, 500, { NO_INOTIFY: '1' });
    const first = put();
    await says('may not have read it for ');
    await says('; published again (1 of 2), next in 1 s');
    await says('(2 of 2)\n');
    await says('not published again;');
    assert.ok(put() > first);
    assert.equal(isMarked(), false);
    assert.equal(await stopped(child), 0);
    assert.equal(said.err.match(/cannot tell whether Falco reads/g)?.length, 1, said.err);
  });
});
