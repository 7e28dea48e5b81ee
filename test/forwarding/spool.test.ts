/** What is on disk: bounded, in order, whole after whatever happens to its files. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import fc from 'fast-check';
import { openSpool, setAside } from '../../src/forwarding/open-spool.ts';
import { rejectedEvents } from '../../src/forwarding/rejected-events.ts';
import { type Committed, type NewEvent, Spool, smallestSpool } from '../../src/forwarding/spool.ts';
import { rounds } from '../rounds.ts';
import { temporaryFolder } from '../temporary-folder.ts';

const folderOf = (): string => temporaryFolder('spool-');

function event(text: string, priority = 5): NewEvent {
  return { text, priority, received: 1_000, sender: '10.0.0.1' };
}

/** The ids of events that were kept. */
const kept = (ids: Committed['ids']): number[] => ids.filter((id) => typeof id === 'number');

function texts(spool: Spool): string[] {
  const ids = oldest(spool, 1_000_000);
  if (ids.length === 0) return [];
  const lines = Buffer.from(spool.lines(ids)).toString().trimEnd().split('\n');
  return lines.map((line) => line.slice(line.indexOf('"event":') + 8, -1));
}

/** Overwrites some pages behind the middle. */
function makeHole(file: string): void {
  const bytes = readFileSync(file);
  const start = Math.floor((bytes.length * 0.7) / 4096) * 4096;
  writeFileSync(file, bytes.fill(0xff, start, start + 64 * 1024));
}

const none = { keep: [], delivered: [], rejected: [] };

test('what is kept is there after the next opening, oldest first, and goes when it is delivered', () => {
  const folder = folderOf();
  const first = new Spool(folder, smallestSpool);
  const { ids } = first.commit({ ...none, keep: [event('a'), event('b'), event('c')] });
  first.commit({ ...none, delivered: [kept(ids)[1] ?? 0] });
  first.close();
  const second = new Spool(folder, smallestSpool);
  assert.deepEqual(texts(second), ['a', 'c']);
  assert.deepEqual(second.waiting(), { events: 2, bytes: 2 });
  assert.equal(second.oldest(), 1_000);
  second.close();
});

test('an id is never given twice, not even when all events are gone', () => {
  const folder = folderOf();
  const spool = new Spool(folder, smallestSpool);
  const [id = 0] = kept(spool.commit({ ...none, keep: [event('a')] }).ids);
  spool.commit({ ...none, delivered: [id] });
  spool.close();
  const again = new Spool(folder, smallestSpool);
  assert.ok((kept(again.commit({ ...none, keep: [event('b')] }).ids)[0] ?? 0) > id);
  again.close();
});

test('an event is kept once for each key, also after the next opening; keys are forgotten when many others came', () => {
  const folder = folderOf();
  const named = (key: string): NewEvent => ({ ...event(key), key });
  const first = new Spool(folder, smallestSpool);
  assert.deepEqual(
    first
      .commit({ ...none, keep: [named('a/1'), named('a/2'), named('a/1'), event('x'), event('x')] })
      .ids.map((id) => typeof id),
    ['number', 'number', 'string', 'number', 'number'],
  );
  first.close();
  const second = new Spool(folder, smallestSpool);
  assert.deepEqual(second.commit({ ...none, keep: [named('a/2')] }).ids, ['duplicate']);
  const many = (from: number) =>
    Array.from({ length: 1_000 }, (_, at) => named(`${from + at}/${'k'.repeat(180)}`));
  for (let from = 0; from < 3_000; from += 1_000) {
    const { ids } = second.commit({ ...none, keep: many(from) });
    second.commit({ ...none, delivered: kept(ids) });
  }
  assert.equal(second.commit({ ...none, keep: many(2_000) }).ids[0], 'duplicate');
  assert.equal(typeof second.commit({ ...none, keep: [named('a/2')] }).ids[0], 'number');
  second.close();
});

test('what the hub refuses is kept apart, the newest thousand of it', () => {
  const folder = folderOf();
  const spool = new Spool(folder, smallestSpool);
  for (let round = 0; round < 11; round++) {
    const { ids } = spool.commit({
      ...none,
      keep: Array.from({ length: 100 }, (_, at) => event(`"${round * 100 + at}"`)),
    });
    spool.commit({ ...none, rejected: kept(ids).map((id) => ({ id, reason: 'no' })) });
  }
  assert.deepEqual(spool.waiting(), { events: 0, bytes: 0 });
  const rejected = rejectedEvents(folder);
  spool.close();
  assert.equal(rejected.length, 1_000);
  assert.deepEqual(
    [rejected[0]?.text, rejected.at(-1)?.text, rejected[0]?.reason],
    ['"100"', '"1099"', 'no'],
  );
});

test('full of what the hub has refused: that goes before anything that waits', () => {
  const folder = folderOf();
  const spool = new Spool(folder, smallestSpool);
  const large = 'x'.repeat(900_000);
  for (let at = 0; at < 40; at++) {
    const { ids } = spool.commit({ ...none, keep: [event(`${at} ${large}`)] });
    if (at < 37) spool.commit({ ...none, rejected: kept(ids).map((id) => ({ id, reason: 'no' })) });
  }
  assert.deepEqual(
    texts(spool).map((text) => text.split(' ', 1)[0]),
    ['37', '38', '39'],
  );
  assert.ok(spool.size() <= smallestSpool, `${spool.size()}`);
  assert.ok(rejectedEvents(folder).length > 0);
  spool.close();
});

test('full: the oldest of the lowest priority goes first, a new one too where it is the lowest', () => {
  const spool = new Spool(folderOf(), smallestSpool);
  const large = 'x'.repeat(500_000);
  const kept: string[] = [];
  const lost = new Map<number, number>();
  const keep = (name: string, priority: number): void => {
    const { dropped } = spool.commit({ ...none, keep: [event(`${name} ${large}`, priority)] });
    for (const [one, count] of dropped) lost.set(one, (lost.get(one) ?? 0) + count);
    kept.push(name);
  };
  for (let at = 0; at < 6; at++) keep(`debug${at}`, 7);
  for (let at = 0; at < 60; at++) keep(`critical${at}`, 2);
  keep('notice', 5);
  const left = texts(spool).map((text) => text.split(' ', 1)[0] ?? '');
  spool.close();
  assert.ok(left.length > 3);
  assert.ok(
    left.every((name) => name.startsWith('critical')),
    left.join(),
  );
  assert.equal(left.at(-1), 'critical59', 'the newest stays, the oldest goes');
  assert.deepEqual([lost.get(7), lost.get(5), lost.get(2)], [6, 1, 60 - left.length]);
});

function oldest(spool: Spool, count: number): number[] {
  const ids: number[] = [];
  for (let priority = 0; priority < 8; priority++)
    ids.push(...spool.next(priority, 0, count).map(({ id }) => id));
  return ids.slice(0, count);
}

/** As the keeper does it: one in a transaction. */
function rejectOldest(spool: Spool, count: number): void {
  const ids = oldest(spool, count);
  while (ids.length > 0)
    spool.commit({ ...none, rejected: ids.splice(0, 1).map((id) => ({ id, reason: 'no' })) });
}

/** Parts that fit into a transaction each. */
function inParts(events: readonly NewEvent[]): NewEvent[][] {
  const parts: NewEvent[][] = [[]];
  let bytes = 0;
  for (const one of events) {
    bytes += one.text.length;
    if (bytes > 1_000_000) {
      parts.push([]);
      bytes = one.text.length;
    }
    parts.at(-1)?.push(one);
  }
  return parts;
}

test('property: its files never take more than the limit, whatever comes and goes', () => {
  const step = fc.record({
    sizes: fc.array(fc.oneof(fc.integer({ min: 1, max: 3_000 }), fc.integer({ min: 1, max: 400_000 })), {
      minLength: 1,
      maxLength: 40,
    }),
    priority: fc.integer({ min: 0, max: 7 }),
    deliver: fc.integer({ min: 0, max: 30 }),
    reject: fc.integer({ min: 0, max: 20 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      const folder = folderOf();
      const spool = new Spool(folder, smallestSpool);
      for (const { sizes, priority, deliver, reject } of steps) {
        rejectOldest(spool, reject);
        const delivered = oldest(spool, deliver);
        const parts = inParts(sizes.map((size) => event('y'.repeat(size), priority)));
        for (const keep of parts) spool.commit({ ...none, keep });
        spool.commit({ ...none, delivered });
        const size = readdirSync(folder).reduce(
          (sum, name) => sum + statSync(path.join(folder, name)).size,
          0,
        );
        assert.equal(spool.size(), size);
        assert.ok(size <= smallestSpool, `${size} > ${smallestSpool}`);
      }
      const counted = { events: 0, bytes: 0 };
      for (const text of texts(spool)) {
        counted.events++;
        counted.bytes += text.length;
      }
      assert.deepEqual(spool.waiting(), counted);
      spool.close();
    }),
    rounds(5),
  );
});

test('a spool of a newer version is left alone, with the remedy', () => {
  const folder = folderOf();
  new Spool(folder, smallestSpool).close();
  const database = new DatabaseSync(path.join(folder, 'events.db'));
  database.exec('PRAGMA user_version = 99');
  database.close();
  assert.throws(
    () => openSpool(folder, smallestSpool),
    /newer version \(99; this program knows 1\): .*--spool/,
  );
});

test('a file that is no database gives way to a new spool', () => {
  const folder = folderOf();
  writeFileSync(path.join(folder, 'events.db'), 'no database'.repeat(1_000));
  const { spool, saved } = openSpool(folder, smallestSpool);
  assert.equal(saved, 0);
  spool.commit({ ...none, keep: [event('a')] });
  assert.deepEqual(texts(spool), ['a']);
  spool.close();
  assert.deepEqual(readdirSync(folder), ['events.db']);
});

test('full: a sender that has far more than its share loses its own first, not even its Emergencies push out the others', () => {
  const spool = new Spool(folderOf(), smallestSpool);
  const large = 'x'.repeat(100_000);
  const from = (sender: string, name: string, priority: number): NewEvent => ({
    ...event(`${name} ${large}`, priority),
    sender,
  });
  for (let at = 0; at < 10; at++) spool.commit({ ...none, keep: [from('10.0.0.1', `other${at}`, 4)] });
  for (let at = 0; at < 200; at++) spool.commit({ ...none, keep: [from('10.0.0.2', `flood${at}`, 0)] });
  const left = texts(spool).map((text) => text.split(' ', 1)[0] ?? '');
  spool.close();
  assert.equal(left.filter((name) => name.startsWith('other')).length, 10);
  assert.equal(left.filter((name) => name.startsWith('flood')).at(-1), 'flood199');
});

function damagedSpool(damage: (file: string) => void) {
  const folder = folderOf();
  const limit = 64 * 1024 * 1024;
  const first = new Spool(folder, limit);
  const all = Array.from({ length: 5_000 }, (_, at) => `${at} ${'z'.repeat(1_000)}`);
  for (let at = 0; at < all.length; at += 500)
    first.commit({ ...none, keep: all.slice(at, at + 500).map((text) => event(text)) });
  first.close();
  damage(path.join(folder, 'events.db'));
  setAside(folder);
  const { saved = 0, spool } = openSpool(folder, limit);
  const left = texts(spool);
  spool.close();
  assert.deepEqual(readdirSync(folder), ['events.db']);
  assert.equal(left.length, saved);
  const known = new Set(all);
  assert.ok(left.every((text) => known.has(text)));
  return left;
}

test('of a database with a hole the new spool has all but what lay there', () => {
  const left = damagedSpool(makeHole);
  assert.ok(left.length >= 4_900 && left.length < 5_000, String(left.length));
});

test('of a database that was cut off the new spool has what its pages still have', () => {
  const left = damagedSpool((file) => truncateSync(file, Math.floor(statSync(file).size / 2 / 4096) * 4096));
  assert.ok(left.length > 2_000 && left.length < 3_000, String(left.length));
});
