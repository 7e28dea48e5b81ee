/** Events are answered when they are safe, whatever the disk does. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Keeper, type KeeperOptions } from '../../src/forwarding/keeper.ts';
import { type NewEvent, smallestSpool } from '../../src/forwarding/spool.ts';

const event = (text: string): NewEvent => ({ text, priority: 5, received: 1_000 });

function plant(more: Partial<KeeperOptions> = {}) {
  const folder = path.join(mkdtempSync(path.join(tmpdir(), 'keeper-')), 'spool');
  const told: string[] = [];
  const options: KeeperOptions = {
    folder,
    limit: smallestSpool,
    isTaken: () => false,
    onSpool: (problem) => told.push(problem === undefined ? 'works' : 'fails'),
    onDamaged: (saved) => told.push(`damaged, ${saved} saved`),
    onDropped: () => told.push('dropped'),
    onWaiting: () => {},
    patience: 300,
    healEvery: 50,
    ...more,
  };
  return { folder, told, options };
}

async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (what()) return;
    await sleep(20);
  }
  assert.fail('it never came to that');
}

/** Events in the order in which delivery would get them. */
function waitingTexts(keeper: Keeper): string[] {
  const texts: string[] = [];
  for (let one = keeper.nextHeld(Number.NEGATIVE_INFINITY); one; one = keeper.nextHeld(one.id))
    texts.push(one.text);
  for (let one = keeper.nextOnDisk(0); one; one = keeper.nextOnDisk(one.id)) texts.push(one.text);
  return texts;
}

test('events of a moment share a transaction, and each is safe when it is answered', async () => {
  const { folder, options } = plant();
  const keeper = new Keeper(options);
  const names = Array.from({ length: 500 }, (_, at) => `e${at}`);
  const answers = await Promise.all(names.map((name) => keeper.keep(event(name))));
  assert.deepEqual([...new Set(answers)], ['safe']);
  // Another reader sees them at once: the process may end here.
  const other = new Keeper({ ...options, folder });
  assert.deepEqual(waitingTexts(other), names);
  other.close();
  keeper.close();
  assert.equal(await keeper.keep(event('late')), 'unsafe');
});

describe('the spool cannot be written', () => {
  /** A file where the folder should be: nobody can make a database there, not even root. */
  const obstruct = (folder: string): void => writeFileSync(folder, '');

  test('an event is safe when the hub has it', async () => {
    const { folder, told, options } = plant();
    obstruct(folder);
    const keeper = new Keeper(options);
    assert.match(String(keeper.problem()), /spool: /);
    const answer = keeper.keep(event('a'));
    await until(() => keeper.waiting().events === 1);
    keeper.hasDelivered(keeper.nextHeld(Number.NEGATIVE_INFINITY)?.id ?? 0);
    assert.equal(await answer, 'safe');
    assert.deepEqual(told, ['fails']);
    assert.deepEqual(keeper.waiting(), { events: 0, bytes: 0 });
    keeper.close();
  });

  test('the sender is told when nobody has it in time, and it is still tried', async () => {
    const { folder, options } = plant();
    obstruct(folder);
    const keeper = new Keeper(options);
    assert.equal(await keeper.keep(event('a')), 'unsafe');
    assert.deepEqual(waitingTexts(keeper), ['a']);
    keeper.close();
  });

  test('no more is held than fits, and what does not is refused at once', async () => {
    const { folder, options } = plant({ patience: 60_000 });
    obstruct(folder);
    const keeper = new Keeper(options);
    const large = 'x'.repeat(1024 * 1024);
    const answers = Array.from({ length: 12 }, () => keeper.keep(event(large)));
    assert.deepEqual(await Promise.all(answers.slice(8)), ['unsafe', 'unsafe', 'unsafe', 'unsafe']);
    assert.equal(keeper.waiting().events, 8);
    keeper.close();
    assert.deepEqual([...new Set(await Promise.all(answers))], ['unsafe']);
  });

  test('it heals by itself: what was held is on disk then, in order, and told once', async () => {
    const { folder, told, options } = plant({ patience: 60_000 });
    obstruct(folder);
    const keeper = new Keeper(options);
    const answers = ['a', 'b', 'c'].map((name) => keeper.keep(event(name)));
    await until(() => keeper.waiting().events === 3);
    await sleep(200);
    rmSync(folder);
    assert.deepEqual(await Promise.all(answers), ['safe', 'safe', 'safe']);
    assert.deepEqual(told, ['fails', 'works']);
    assert.equal(keeper.problem(), undefined);
    assert.equal(keeper.nextHeld(Number.NEGATIVE_INFINITY), undefined);
    assert.deepEqual(waitingTexts(keeper), ['a', 'b', 'c']);
    keeper.close();
  });

  test('what is on its way when it heals is put on disk when it comes back, and not twice', async () => {
    const taken = new Set<number>();
    const { folder, options } = plant({ patience: 60_000, isTaken: (id) => taken.has(id) });
    obstruct(folder);
    const keeper = new Keeper(options);
    const answers = ['a', 'b'].map((name) => keeper.keep(event(name)));
    await until(() => keeper.waiting().events === 2);
    const first = keeper.nextHeld(Number.NEGATIVE_INFINITY)?.id ?? 0;
    taken.add(first);
    rmSync(folder);
    await until(() => keeper.problem() === undefined);
    assert.equal(keeper.persist(first) === first, false);
    assert.deepEqual(await Promise.all(answers), ['safe', 'safe']);
    assert.deepEqual(waitingTexts(keeper), ['b', 'a']);
    keeper.close();
  });
});

test('a database that is damaged while it is open gives way to a new one with what can be read', async () => {
  const { folder, told, options } = plant({ limit: 64 * 1024 * 1024 });
  const keeper = new Keeper(options);
  const body = 'y'.repeat(2_000);
  await Promise.all(Array.from({ length: 2_000 }, (_, at) => keeper.keep(event(`${at} ${body}`))));
  keeper.close();
  const file = path.join(folder, 'events.db');
  const bytes = readFileSync(file);
  const start = Math.floor((bytes.length * 0.5) / 4096) * 4096;
  writeFileSync(`${file}.new`, bytes.fill(0xff, start, start + 256 * 1024));
  renameSync(`${file}.new`, file);
  const again = new Keeper(options);
  // Reading on comes to the hole, sooner or later.
  waitingTexts(again);
  await until(() => told.some((one) => one.startsWith('damaged')));
  await until(() => again.problem() === undefined);
  assert.match(told.join(), /^fails,damaged, \d{3,4} saved,works$/);
  assert.equal(await again.keep(event('new')), 'safe');
  assert.equal(waitingTexts(again).at(-1), 'new');
  again.close();
});
