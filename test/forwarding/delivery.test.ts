/** What reaches the hub, in which order, and when: with a hub of the test's own. */
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import type { Exchange, HttpClient } from '../../src/events/http-client.ts';
import { Delivery, type DeliveryOptions } from '../../src/forwarding/delivery.ts';
import type { Batch, Settled } from '../../src/forwarding/keeper.ts';
import { rounds } from '../rounds.ts';
import { until, untilSo } from '../until.ts';

type Answer = (lines: readonly string[]) => Exchange | Promise<Exchange>;

const answered = (status: number, text = '', headers = {}): Exchange => ({
  ...{ is: 'answered', status, text, headers, isNewConnection: false },
});

/** Takes all lines but these. */
function taking(lines: readonly string[], not: (line: string) => 'refused' | 'later' | undefined): Exchange {
  const named = lines.flatMap((line, at) => {
    const outcome = not(line);
    return outcome === undefined ? [] : [{ line: at, outcome, reason: 'because' }];
  });
  const [refused, later] = (['refused', 'later'] as const).map(
    (one) => named.filter(({ outcome }) => outcome === one).length,
  );
  const accepted = lines.length - named.length;
  return answered(200, JSON.stringify({ accepted, duplicates: 0, refused, later, lines: named }));
}

const takesAll: Answer = (lines) => taking(lines, () => undefined);
const away: Exchange = { is: 'failed', why: 'connection refused' };

/** Events in memory, as a store hands them out; a priority is the first digit of an event's name. */
class Waiting {
  waiting: string[] = [];
  readonly gone = new Map<string, string>();
  private readonly batches = new Map<number, string[]>();
  private last = 0;
  add(...names: string[]): void {
    this.waiting.push(...names);
    this.waiting.sort();
  }
  next = async (most: number, lowest: number): Promise<Batch | undefined> => {
    const names = this.waiting.filter((name) => Number(name[0]) <= lowest).slice(0, most);
    if (names.length === 0) return undefined;
    this.waiting = this.waiting.filter((name) => !names.includes(name));
    this.batches.set(++this.last, names);
    const body = zstdCompressSync(names.map((name) => `${name}\n`).join(''));
    return { number: this.last, events: names.length, body, priority: Number(names[0]?.[0]) };
  };
  settle = (number: number, settled: Settled): void => {
    const names = this.batches.get(number) ?? assert.fail('settled twice');
    this.batches.delete(number);
    const { later, refused } = settled === 'back' ? { later: [...names.keys()], refused: [] } : settled;
    for (const [at, name] of names.entries()) {
      const reason = refused.find(({ line }) => line === at)?.reason;
      if (later.includes(at)) this.add(name);
      else this.gone.set(name, reason ?? 'delivered');
    }
  };
  status = () => ({ events: 0, bytes: 0, oldest: undefined, size: 0, problem: undefined, id: 'x' });
}

const planted: Delivery[] = [];
// One that goes on would keep the file from ending.
afterEach(() => Promise.all(planted.splice(0).map((one) => one.stop(0))));

function plant(answer: Answer, more: Partial<DeliveryOptions> = {}) {
  const waiting = new Waiting();
  const posted: string[][] = [];
  const told: string[] = [];
  let [atOnce, mostAtOnce] = [0, 0];
  const clientOf = (by: Answer): HttpClient => ({
    send: async ({ body = Buffer.alloc(0) }) => {
      const lines = body.length === 0 ? [] : zstdDecompressSync(body).toString().trim().split('\n');
      if (lines.length > 0) posted.push(lines);
      mostAtOnce = Math.max(mostAtOnce, ++atOnce);
      await sleep(2);
      const exchange = await by(lines);
      atOnce--;
      return exchange;
    },
    close: () => {},
    abort: () => {},
  });
  const delivery = new Delivery({
    ...{ store: waiting, client: clientOf(answer), headers: () => ({}), pause: () => 5 },
    onHub: (problem) => told.push(problem ?? 'there'),
    onDelivered: () => {},
    onRetried: () => {},
    onRejected: (reasons) => told.push(...reasons),
    ...more,
  });
  planted.push(delivery);
  const emptied = async (count: number): Promise<void> => {
    await until(`${count} are done with`, () => waiting.gone.size >= count);
    await delivery.stop(performance.now() + 1_000);
  };
  return { waiting, delivery, posted, told, emptied, clientOf, mostAtOnce: () => mostAtOnce };
}

const names = (count: number, priority = 5): string[] =>
  Array.from({ length: count }, (_, at) => `${priority}-${String(at).padStart(5, '0')}`);

test('some hundred events a batch, several at once, each once', async () => {
  const { waiting, delivery, posted, emptied, mostAtOnce } = plant(takesAll);
  waiting.add(...names(10_000));
  delivery.pump();
  await emptied(10_000);
  assert.deepEqual([Math.max(...posted.map(({ length }) => length)), posted.length], [500, 20]);
  assert.ok(mostAtOnce() > 1 && mostAtOnce() <= 9, String(mostAtOnce()));
});

test('what is urgent waits for nobody: not for a backlog, nor for batches that the hub holds', async () => {
  const free = Promise.withResolvers<void>();
  const { waiting, delivery, posted, emptied } = plant(async (lines) => {
    if (lines[0]?.startsWith('5') === true) await free.promise;
    return taking(lines, () => undefined);
  });
  waiting.add(...names(5_000));
  delivery.pump();
  await untilSo(() => posted.length > 0);
  waiting.add('0-urgent');
  delivery.pump();
  await untilSo(() => waiting.gone.get('0-urgent') === 'delivered');
  assert.ok(posted.some((lines) => lines.join() === '0-urgent'));
  free.resolve();
  await emptied(5_001);
});

test('a hub that is away: one batch tries it, in pauses; all arrives when it is back', async () => {
  let isAway = true;
  const { waiting, delivery, posted, told, emptied } = plant((lines) => (isAway ? away : takesAll(lines)), {
    pause: () => 20,
  });
  waiting.add(...names(2_000));
  delivery.pump();
  await untilSo(() => posted.length >= 4);
  assert.ok(posted.every((lines) => lines.join() === posted[0]?.join()));
  assert.deepEqual(told, ['connection refused']);
  await untilSo(() => delivery.pausing().events > 0);
  isAway = false;
  await emptied(2_000);
  assert.deepEqual(told, ['connection refused', 'there']);
});

test('a refused line is done with, a line for later comes again, and both hold nobody up', async () => {
  let busy = true;
  const { waiting, delivery, told, emptied } = plant((lines) =>
    taking(lines, (line) =>
      line === '5-00003' ? 'refused' : line === '5-00005' && busy ? 'later' : undefined,
    ),
  );
  waiting.add(...names(10));
  delivery.pump();
  await untilSo(() => waiting.gone.size >= 9 && told.length > 0);
  assert.deepEqual([waiting.gone.size, told[0]], [9, 'because']);
  busy = false;
  await emptied(10);
  assert.equal(waiting.gone.get('5-00003'), 'because');
});

for (const [name, exchange] of [
  ['400', answered(400)],
  ['403', answered(403)],
  ['a sign-in page', answered(200, '<html>')],
  ['a redirect', answered(302, '', { location: 'https://elsewhere.example' })],
  [
    'an answer for other lines',
    answered(200, '{"accepted":1,"duplicates":0,"refused":0,"later":0,"lines":[]}'),
  ],
] as const) {
  test(`${name} is the way's fault: no event is given up`, async () => {
    let isWrong = true;
    const { waiting, delivery, emptied } = plant((lines) => (isWrong ? exchange : takesAll(lines)));
    waiting.add(...names(5));
    delivery.pump();
    await untilSo(() => delivery.problem() !== undefined);
    assert.equal(waiting.gone.size, 0);
    isWrong = false;
    await emptied(5);
    assert.deepEqual([...new Set(waiting.gone.values())], ['delivered']);
  });
}

test('413: half of it, and one event alone is refused', async () => {
  const { waiting, delivery, emptied } = plant((lines) =>
    lines.includes('5-00003') ? answered(413) : takesAll(lines),
  );
  waiting.add(...names(8));
  delivery.pump();
  await emptied(8);
  assert.deepEqual(
    [...waiting.gone].filter(([, what]) => what !== 'delivered').map(([event]) => event),
    ['5-00003'],
  );
});

describe('Retry-After', () => {
  test('is waited for, five minutes at the most, and concerns its own batch', async () => {
    const { waiting, delivery, emptied } = plant((lines) =>
      lines[0] === '5-00000' && waiting.gone.size === 0
        ? answered(503, '', { 'retry-after': '3600' })
        : takesAll(lines),
    );
    waiting.add(...names(1));
    delivery.pump();
    await untilSo(() => delivery.pausing().events > 0);
    const { events, wait } = delivery.pausing();
    assert.ok(events === 1 && wait > 290_000 && wait <= 300_000, String(wait));
    // Any success ends every pause.
    waiting.add('0-urgent');
    delivery.pump();
    await emptied(2);
  });
});

test('another client is tried at once, whatever pause the hub has earned', async () => {
  const { waiting, delivery, clientOf, emptied } = plant(() => away, { pause: () => 60_000 });
  waiting.add(...names(3));
  delivery.pump();
  await untilSo(() => delivery.pausing().events > 0 || delivery.problem() !== undefined);
  delivery.use(clientOf(takesAll));
  await emptied(3);
});

test('reports go by themselves where nothing waits, and tell whether the hub is there', async () => {
  let isAway = false;
  const { delivery, told } = plant((lines) => (isAway ? away : takesAll(lines)), { reportEvery: 10 });
  await sleep(40);
  assert.equal(delivery.problem(), undefined);
  isAway = true;
  await untilSo(() => delivery.problem() === 'connection refused');
  isAway = false;
  await untilSo(() => delivery.problem() === undefined);
  assert.deepEqual(told, ['connection refused', 'there']);
  await delivery.stop(performance.now() + 100);
});

test('stopping gives back what has no answer', async () => {
  const { waiting, delivery } = plant(() => new Promise(() => {}));
  waiting.add(...names(3));
  delivery.pump();
  await untilSo(() => waiting.waiting.length === 0);
  await delivery.stop(performance.now() + 30);
  assert.deepEqual(waiting.waiting, names(3));
});

test('property: whatever the hub does for a while, every event arrives or is refused, none twice', async () => {
  const step = fc.constantFrom<'ok' | 'away' | '503' | 'busy'>('ok', 'away', '503', 'busy');
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 40 }),
      fc.integer({ min: 1, max: 2_000 }),
      async (script, count) => {
        const steps = [...script];
        const { waiting, delivery, emptied } = plant(
          (lines) => {
            const now = steps.shift() ?? 'ok';
            if (now === 'away') return away;
            if (now === '503') return answered(503, '', { 'retry-after': '0' });
            return taking(lines, (line) =>
              line.endsWith('7') ? 'refused' : now === 'busy' && line.endsWith('3') ? 'later' : undefined,
            );
          },
          { pause: () => 1 },
        );
        waiting.add(...names(count));
        delivery.pump();
        await emptied(count);
        for (const [name, what] of waiting.gone) assert.equal(what === 'delivered', !name.endsWith('7'));
      },
    ),
    rounds(10),
  );
});
