/** Real disks that are full or read-only, as far as this machine lets us mount them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Keeper } from '../../src/forwarding/keeper.ts';
import { smallestSpool } from '../../src/forwarding/spool.ts';
import { eventNamed, makePlace, plainHub, send, startForwarder } from './forwarder-process.ts';

/** A folder on a small disk of its own; undefined where mounting is not allowed. */
function smallDisk(t: TestContext, size: string): string | undefined {
  const folder = mkdtempSync(path.join(tmpdir(), 'disk-'));
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]).status === 0) {
    t.after(() => {
      spawnSync('umount', ['--lazy', folder]);
      rmSync(folder, { recursive: true, force: true });
    });
    return folder;
  }
  t.diagnostic('left out: mounting a tmpfs is not allowed here');
  return undefined;
}

/** Writes until nothing fits any more. */
function fillUp(file: string): void {
  for (const size of [256 * 1024, 4096, 64]) {
    try {
      for (;;) writeFileSync(file, 'x'.repeat(size), { flag: 'a' });
    } catch {
      // Full, but for less than this.
    }
  }
}

function keeperIn(t: TestContext, folder: string, limit = smallestSpool) {
  const told: string[] = [];
  const keeper = new Keeper({
    folder: path.join(folder, 'spool'),
    limit,
    isTaken: () => false,
    onSpool: (problem) => told.push(problem ?? 'works'),
    onDamaged: (saved) => told.push(`damaged, ${saved}`),
    onDropped: () => told.push('dropped'),
    onWaiting: () => {},
    patience: 200,
    healEvery: 50,
  });
  t.after(() => keeper.close());
  return { keeper, told };
}

async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (what()) return;
    await sleep(20);
  }
  assert.fail('it never came to that');
}

const event = (at: number) => ({
  text: `{"at": ${at}, "x": "${'x'.repeat(3_000)}"}`,
  priority: 5,
  received: 1,
});

/** Takes out what waits on disk, as the hub gets it. */
function deliverAll(keeper: Keeper): number[] {
  const texts: number[] = [];
  for (let next = keeper.nextOnDisk(0); next !== undefined; next = keeper.nextOnDisk(next.id)) {
    texts.push(JSON.parse(next.text).at);
    keeper.hasDelivered(next.id);
  }
  return texts;
}

test('a disk smaller than the spool may be: the oldest go as if the spool were full, and it never fails', async (t) => {
  const folder = smallDisk(t, '16m');
  if (folder === undefined) return;
  const { keeper, told } = keeperIn(t, folder, 1024 * 1024 * 1024);
  let at = 0;
  for (; at < 8_000; at += 50) {
    const answers = await Promise.all(Array.from({ length: 50 }, (_, more) => keeper.keep(event(at + more))));
    assert.deepEqual([...new Set(answers)], ['safe']);
  }
  assert.deepEqual([...new Set(told)], ['dropped']);
  const left = deliverAll(keeper);
  assert.ok(left.length > 1_000, String(left.length));
  assert.deepEqual(
    left,
    Array.from({ length: left.length }, (_, more) => at - left.length + more),
  );
});

test('a disk that others fill: it heals when they give room, and nothing that was safe is lost', async (t) => {
  const folder = smallDisk(t, '8m');
  if (folder === undefined) return;
  const { keeper, told } = keeperIn(t, folder);
  for (let at = 0; at < 20; at++) assert.equal(await keeper.keep(event(at)), 'safe');
  fillUp(path.join(folder, 'filler'));
  const answers: string[] = [];
  for (let at = 20; told.length === 0 && at < 3_000; at++) answers.push(await keeper.keep(event(at)));
  assert.match(told.join(), /spool: the disk is full$/);
  assert.equal(answers.at(-1), 'unsafe');
  // What is on it can be had all the same.
  assert.equal(keeper.nextOnDisk(0)?.priority, 5);
  await sleep(300);
  assert.equal(told.length, 1);
  rmSync(path.join(folder, 'filler'));
  await until(() => told.at(-1) === 'works');
  assert.equal(told.length, 2);
  assert.equal(await keeper.keep(event(9_999)), 'safe');
  const all = deliverAll(keeper);
  // Those that were held while it failed too: their sender was told that they are not safe, and they are tried.
  assert.deepEqual(all, [...Array.from({ length: 20 + answers.length }, (_, at) => at), 9_999]);
});

test('a disk that becomes read-only: delivered from, and healed when it can be written again', async (t) => {
  const folder = smallDisk(t, '8m');
  if (folder === undefined) return;
  const remount = (how: string) => spawnSync('mount', ['-o', `remount,${how}`, folder]).status === 0;
  const { keeper, told } = keeperIn(t, folder);
  for (let at = 0; at < 20; at++) await keeper.keep(event(at));
  keeper.close();
  if (!remount('ro')) return t.diagnostic('left out: remounting is not allowed here');
  const again = keeperIn(t, folder);
  assert.equal(await again.keeper.keep(event(20)), 'unsafe');
  assert.match(again.told.join(), /spool: /);
  await sleep(300);
  assert.equal(again.told.length, 1);
  assert.ok(remount('rw'));
  await until(() => again.told.at(-1) === 'works');
  assert.deepEqual(
    deliverAll(again.keeper),
    Array.from({ length: 21 }, (_, at) => at),
  );
  assert.equal(again.told.length, 2);
  assert.deepEqual(told, []);
});

/** Seconds of processor time so far (proc(5): the 14th and 15th field, in hundredths). */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

test('a forwarder on a full disk: 200 for what the hub has, no busy waiting, and well again by itself', async (t) => {
  const folder = smallDisk(t, '8m');
  if (folder === undefined) return;
  const hub = await plainHub();
  const place = {
    ...makePlace(`cluster: staging\nhub: { address: "${hub.address}" }\nforwarder: { heartbeat: 'off' }\n`),
    spool: path.join(folder, 'spool'),
  };
  mkdirSync(place.spool);
  fillUp(path.join(folder, 'filler'));
  const forwarder = await startForwarder(place);
  assert.equal(await send(forwarder.port, eventNamed('a')), 200);
  await hub.has(1);
  await forwarder.says(/^the spool cannot be written/);
  const { status, text } = await forwarder.ready();
  assert.equal(status, 503);
  assert.match(text, /^\[-\] spool: .*spool: /m);
  const before = cpuSeconds(forwarder.child.pid ?? 0);
  await sleep(3_000);
  const used = cpuSeconds(forwarder.child.pid ?? 0) - before;
  assert.ok(used < 1.5, `${used} s of processor time in 3 s of waiting`);
  rmSync(path.join(folder, 'filler'));
  await forwarder.says('the spool works again');
  assert.equal(await send(forwarder.port, eventNamed('b')), 200);
  await hub.has(2);
  assert.equal((await forwarder.ready()).status, 200);
  assert.deepEqual([...hub.received.values()], [1, 1]);
  assert.equal(await forwarder.stop(), 0);
  await hub.close();
});
