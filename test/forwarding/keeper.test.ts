/** Events are answered when they are safe, whatever the disk does, and come out in the order that they should. */
import assert from 'node:assert/strict';
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { Keeper, type KeptAll, priorityCount } from '../../src/forwarding/keeper.ts';
import { type NewEvent, smallestSpool } from '../../src/forwarding/spool.ts';
import { priorities } from '../../src/settings/schema.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { untilSo } from '../until.ts';

const event = (text: string, priority = 5, key?: string): NewEvent => ({
  ...{ text, priority, key, received: 1_000, sender: '10.0.0.1' },
});

function plant(t: TestContext, limit = smallestSpool) {
  const folder = path.join(temporaryFolder('keeper-'), 'spool');
  const told: string[] = [];
  const open = (): Keeper => {
    const keeper: Keeper = new Keeper(
      { folder, limit, healEvery: 50 },
      {
        onDamaged: (saved) => told.push(`damaged, ${saved} saved`),
        onDropped: () => told.push('dropped'),
        onChange: () => {},
      },
    );
    t.after(() => keeper.close());
    return keeper;
  };
  return { folder, told, open };
}

const keep = (keeper: Keeper, ...events: NewEvent[]): KeptAll => keeper.keep(events);

/** The next events, and their keys. */
function linesOf(keeper: Keeper, most = 5_000) {
  const batch = keeper.next(most, 7);
  const lines = batch === undefined ? [] : zstdDecompressSync(batch.body).toString().trim().split('\n');
  return { number: batch?.number ?? 0, lines: lines.map((line) => JSON.parse(line)) };
}
const textsOf = (keeper: Keeper): unknown[] => linesOf(keeper).lines.map((line) => line.event);

test('each event is answered when it is on disk, with what is there already', (t) => {
  const { folder, open } = plant(t);
  const keeper = open();
  const answers = Array.from({ length: 50 }, (_, at) =>
    keep(keeper, event(`${at}`, 5, `k/${at % 40}`), event('1')),
  );
  assert.equal(answers.flat().filter((one) => one === 'duplicate').length, 10);
  assert.equal(keeper.status().events, 90);
  assert.equal(statSync(path.join(folder, 'events.db')).mode & 0o777, 0o600);
  assert.equal(statSync(path.join(folder, 'events.db-wal')).mode & 0o777, 0o600);
  keeper.close();
  const again = open();
  assert.equal(again.status().events, 90);
});

test('highest priority first, oldest first; what comes again is older than what is new; keys stay', async (t) => {
  const keeper = plant(t).open();
  keep(keeper, event('1'), event('2', 2), event('3', 5, 'sender/3'), event('4', 0));
  const first = linesOf(keeper);
  assert.deepEqual(
    first.lines.map((line) => line.event),
    [4, 2, 1, 3],
  );
  assert.equal(first.lines[3].key, 'sender/3');
  const [id] = String(first.lines[0].key).split('/');
  assert.match(String(id), /^[0-9a-f]{16}$/);
  assert.deepEqual(first.lines.map((line) => line.key).slice(0, 3), [`${id}/4`, `${id}/2`, `${id}/1`]);
  assert.deepEqual(textsOf(keeper), []);
  keeper.settle(first.number, { later: [1, 3], refused: [{ line: 2, reason: 'no' }] });
  keep(keeper, event('5'), event('6', 0));
  assert.deepEqual(textsOf(keeper), [6, 2, 3, 5]);
  await untilSo(() => keeper.status().events === 4);
  keeper.settle(first.number, 'back');
  assert.deepEqual(textsOf(keeper), []);
});

test('while the spool cannot be written nothing is safe; it heals by itself, and reads on', async (t) => {
  const { folder, open } = plant(t);
  // A file where the folder should be: nobody can make a database there, not even root.
  writeFileSync(folder, '');
  const keeper = open();
  assert.equal(keep(keeper, event('1')), 'unsafe');
  assert.match(String(keeper.status().problem), /spool: /);
  rmSync(folder);
  await untilSo(() => keeper.status().problem === undefined);
  assert.deepEqual(keep(keeper, event('1')), ['accepted']);
  assert.deepEqual(textsOf(keeper), [1]);
});

test('one process at a time', async (t) => {
  const { open } = plant(t);
  const keeper = open();
  const second = open();
  assert.match(String(second.status().problem), /another forwarder uses this spool/);
  assert.equal(keep(second, event('1')), 'unsafe');
  keeper.close();
  await untilSo(() => second.status().problem === undefined);
});

test('a database that is damaged while it is open gives way to a new one: a page costs what is on it', async (t) => {
  const { folder, told, open } = plant(t, 64 * 1024 * 1024);
  const first = open();
  const body = 'y'.repeat(2_000);
  const all = Array.from({ length: 2_000 }, (_, at) => event(`"${at} ${body}"`));
  while (all.length > 0) keep(first, ...all.splice(0, 500));
  first.close();
  const file = path.join(folder, 'events.db');
  const bytes = readFileSync(file);
  const start = Math.floor((bytes.length * 0.5) / 4096) * 4096;
  writeFileSync(`${file}.new`, bytes.fill(0xff, start, start + 16 * 1024));
  renameSync(`${file}.new`, file);
  const again = open();
  const read = textsOf(again).length;
  await untilSo(() => told.some((one) => one.startsWith('damaged')) && again.status().problem === undefined);
  const saved = Number(/(\d+) saved/.exec(told.join())?.[1]);
  assert.ok(saved > 1_900 && saved < 2_000, `${saved}, ${read}`);
  assert.deepEqual(keep(again, event('"new"')), ['accepted']);
  assert.equal(again.status().events, saved + 1);
});

test('there are as many priorities as in the settings', () => {
  assert.equal(priorityCount, priorities.length);
});
