/** Real disks that are full or read-only, as far as this machine lets us mount them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { zstdDecompressSync } from 'node:zlib';
import { Keeper, type KeptAll } from '../../src/forwarding/keeper.ts';
import { type NewEvent, smallestSpool } from '../../src/forwarding/spool.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { untilSo } from '../until.ts';
import { eventNamed, makePlace, plainHub, send, startForwarder } from './forwarder-process.ts';

/** A folder on a small disk of its own; undefined where mounting is not allowed. */
function smallDisk(t: TestContext, size: string): string | undefined {
  const folder = temporaryFolder('disk-');
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]).status === 0) {
    t.after(() => {
      spawnSync('umount', ['--lazy', folder]);
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
  const keeper = new Keeper(
    { folder: path.join(folder, 'spool'), limit, healEvery: 50 },
    {
      // Opening may tell before there is a keeper to ask.
      onChange: () =>
        queueMicrotask(() => {
          const problem = keeper.status().problem ?? 'works';
          if (problem !== (told.at(-1) ?? 'works')) told.push(problem);
        }),
      onDamaged: (saved) => told.push(`damaged, ${saved}`),
      onDropped: () => told.push('dropped'),
    },
  );
  t.after(() => keeper.close());
  const keep = (...events: NewEvent[]): KeptAll => keeper.keep(events);
  return { keeper, told, keep };
}

const event = (at: number): NewEvent => ({
  text: `{"at": ${at}, "x": "${'x'.repeat(3_000)}"}`,
  ...{ priority: 5, received: 1, sender: '10.0.0.1' },
});

/** Takes out what waits on disk, as the hub gets it. */
function deliverAll(keeper: Keeper): number[] {
  const all: number[] = [];
  for (let batch = keeper.next(500, 7); batch !== undefined; batch = keeper.next(500, 7)) {
    for (const line of zstdDecompressSync(batch.body).toString().trim().split('\n'))
      all.push(JSON.parse(line).event.at);
    keeper.settle(batch.number, { later: [], refused: [] });
  }
  return all;
}

test('a disk smaller than the spool may be: the oldest go as if the spool were full, and it never fails', async (t) => {
  const folder = smallDisk(t, '16m');
  if (folder === undefined) return;
  const { keeper, told, keep } = keeperIn(t, folder, 1024 * 1024 * 1024);
  let at = 0;
  for (; at < 8_000; at += 50) {
    const kept = keep(...Array.from({ length: 50 }, (_, more) => event(at + more)));
    assert.deepEqual([...new Set(kept)], ['accepted']);
  }
  assert.deepEqual([...new Set(told)], ['dropped']);
  const left = deliverAll(keeper);
  assert.ok(left.length > 1_000, String(left.length));
  assert.deepEqual(
    left,
    Array.from({ length: left.length }, (_, more) => at - left.length + more),
  );
});

test('a disk that others fill: what is on it is delivered, and it heals when they give room', async (t) => {
  const folder = smallDisk(t, '8m');
  if (folder === undefined) return;
  const { keeper, told, keep } = keeperIn(t, folder);
  let safe = 0;
  for (; safe < 20; safe++) assert.deepEqual(keep(event(safe)), ['accepted']);
  fillUp(path.join(folder, 'filler'));
  while (safe < 3_000 && keep(event(safe)) !== 'unsafe') safe++;
  await untilSo(() => told.length > 0);
  assert.match(told.join(), /spool: the disk is full$/);
  assert.equal(keep(event(9_998)), 'unsafe');
  assert.deepEqual(
    deliverAll(keeper),
    Array.from({ length: safe }, (_, at) => at),
  );
  await sleep(300);
  assert.equal(told.length, 1);
  rmSync(path.join(folder, 'filler'));
  await untilSo(() => told.at(-1) === 'works');
  assert.deepEqual(keep(event(9_999)), ['accepted']);
  assert.deepEqual(deliverAll(keeper), [9_999]);
});

test('a disk that becomes read-only: delivered from, and healed when it can be written again', async (t) => {
  const folder = smallDisk(t, '8m');
  if (folder === undefined) return;
  const remount = (how: string) => spawnSync('mount', ['-o', `remount,${how}`, folder]).status === 0;
  const { keeper, keep } = keeperIn(t, folder);
  for (let at = 0; at < 20; at++) keep(event(at));
  keeper.close();
  if (!remount('ro')) return t.diagnostic('left out: remounting is not allowed here');
  const again = keeperIn(t, folder);
  assert.equal(again.keep(event(20)), 'unsafe');
  await sleep(200);
  assert.ok(remount('rw'));
  await untilSo(() => again.keeper.status().problem === undefined);
  assert.equal(deliverAll(again.keeper).length, 20);
});

/** Seconds of processor time so far (proc(5): the 14th and 15th field, in hundredths). */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

test('a forwarder on a full disk: 503, not ready, no busy waiting, and well again by itself', async (t) => {
  const folder = smallDisk(t, '8m');
  if (folder === undefined) return;
  const hub = await plainHub();
  const place = {
    ...makePlace(`cluster: staging\nhub: { address: "${hub.address}" }\n`),
    spool: path.join(folder, 'spool'),
  };
  mkdirSync(place.spool);
  fillUp(path.join(folder, 'filler'));
  const forwarder = await startForwarder(place);
  assert.equal(await send(forwarder.port, eventNamed('a')), 503);
  await forwarder.says(/^the spool cannot be written/);
  const { status, text } = await forwarder.ready();
  assert.equal(status, 503);
  assert.match(text, /^\[-\] spool: .*spool: /m);
  const before = cpuSeconds(forwarder.child.pid ?? 0);
  await sleep(1_500);
  const used = cpuSeconds(forwarder.child.pid ?? 0) - before;
  assert.ok(used < 1, `${used} s of processor time in 1.5 s of waiting`);
  rmSync(path.join(folder, 'filler'));
  await forwarder.says('the spool works again');
  assert.equal(await send(forwarder.port, eventNamed('b')), 200);
  await hub.has(1);
  assert.equal((await forwarder.ready()).status, 200);
  assert.equal(await forwarder.stop(), 0);
  await hub.close();
});
