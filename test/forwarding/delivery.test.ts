/** What reaches the hub, in which order, and when: with a hub of the test's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { Delivery, type DeliveryOptions } from '../../src/forwarding/delivery.ts';
import type { HubClient, PostOutcome } from '../../src/forwarding/hub-client.ts';
import type { WaitingEvent } from '../../src/forwarding/spool.ts';

const delivered: PostOutcome = { is: 'delivered' };
const away: PostOutcome = { is: 'retry', why: 'connection refused' };
const refused: PostOutcome = { is: 'refused', status: 400, why: 'the hub answers 400' };

/** Events in memory, as a keeper hands them out. */
class Waiting {
  readonly events: WaitingEvent[] = [];
  readonly gone = new Map<number, 'delivered' | number>();
  add(...texts: string[]): void {
    for (const text of texts)
      this.events.push({ id: this.events.length + 1, text, priority: 5, received: 0 });
  }
  private readonly isThere = ({ id }: WaitingEvent): boolean => !this.gone.has(id);
  nextHeld = (): undefined => undefined;
  nextOnDisk = (after: number) => this.events.find((event) => event.id > after && this.isThere(event));
  waitingEvent = (id: number) => this.events.find((event) => event.id === id && this.isThere(event));
  hasDelivered = (id: number): void => {
    assert.ok(!this.gone.has(id), 'twice');
    this.gone.set(id, 'delivered');
  };
  hasRejected = (id: number, status: number): void => {
    this.gone.set(id, status);
  };
  persist = (id: number): number => id;
}

function plant(
  answer: (text: string) => PostOutcome | Promise<PostOutcome>,
  more: Partial<DeliveryOptions> = {},
) {
  const waiting = new Waiting();
  const posted: string[] = [];
  const told: string[] = [];
  let atOnce = 0;
  let mostAtOnce = 0;
  const client: HubClient = {
    post: async (text) => {
      posted.push(text);
      mostAtOnce = Math.max(mostAtOnce, ++atOnce);
      await sleep(1);
      const outcome = await answer(text);
      atOnce--;
      return outcome;
    },
    close: () => {},
    abort: () => {},
  };
  const delivery = new Delivery({
    keeper: waiting,
    client,
    heartbeat: () => 'heartbeat',
    onHub: (problem) => told.push(problem ?? 'there'),
    onDelivered: () => {},
    onRetried: () => {},
    onRejected: (status) => told.push(`rejected ${status}`),
    pause: () => 5,
    ...more,
  });
  const emptied = async (): Promise<void> => {
    for (let tries = 0; tries < 500; tries++) {
      if (waiting.gone.size === waiting.events.length) return;
      await sleep(10);
    }
    assert.fail(`still waiting: ${waiting.events.length - waiting.gone.size}`);
  };
  const events = (): string[] => posted.filter((text) => text !== 'heartbeat');
  return { waiting, delivery, client, posted, events, told, emptied, mostAtOnce: () => mostAtOnce };
}

test('oldest first, several at once, each once', async () => {
  const { waiting, delivery, events, emptied, mostAtOnce } = plant(() => delivered, { mostAtOnce: 8 });
  const names = Array.from({ length: 100 }, (_, at) => `e${at}`);
  waiting.add(...names);
  delivery.pump();
  await emptied();
  assert.deepEqual(events(), names);
  assert.equal(mostAtOnce(), 8);
  await delivery.stop(performance.now() + 5_000);
});

test('a hub that is away: everything waits, a heartbeat tries it, and all arrives when it is back', async () => {
  let isAway = true;
  const { waiting, delivery, posted, events, told, emptied } = plant(() => (isAway ? away : delivered), {
    mostAtOnce: 4,
  });
  waiting.add(...Array.from({ length: 50 }, (_, at) => `e${at}`));
  delivery.pump();
  await sleep(100);
  const tried = events().length;
  assert.ok(tried <= 8, `${tried} events were posted to a hub that is away`);
  assert.ok(posted.length > tried + 2, 'heartbeats go on');
  assert.deepEqual(told, ['connection refused']);
  assert.equal(delivery.problem(), 'connection refused');
  isAway = false;
  await emptied();
  assert.deepEqual(told, ['connection refused', 'there']);
  await delivery.stop(performance.now() + 5_000);
});

test('an event that the hub refuses while it takes others goes for good', async () => {
  const { waiting, delivery, told, emptied } = plant((text) => (text === 'bad' ? refused : delivered));
  waiting.add('good', 'bad', 'fine');
  delivery.pump();
  await emptied();
  assert.deepEqual([...waiting.gone.values()].sort(), [400, 'delivered', 'delivered'].sort());
  assert.deepEqual(told, ['rejected 400']);
  await delivery.stop(performance.now() + 5_000);
});

test('a lone event that is refused is tried against a heartbeat before it is given up', async () => {
  const { waiting, delivery, posted, emptied } = plant((text) =>
    text === 'heartbeat' ? delivered : refused,
  );
  waiting.add('bad');
  delivery.pump();
  await emptied();
  assert.deepEqual(posted, ['bad', 'bad', 'heartbeat', 'bad']);
  assert.equal(waiting.gone.get(1), 400);
  await delivery.stop(performance.now() + 5_000);
});

test('a hub that has just taken events and then refuses all of them costs none: an ingress that lost its backend', async () => {
  let lost = false;
  const { waiting, delivery, emptied } = plant(() => (lost ? refused : delivered), { mostAtOnce: 4 });
  waiting.add(...Array.from({ length: 20 }, (_, at) => `e${at}`));
  delivery.pump();
  await emptied();
  lost = true;
  waiting.add(...Array.from({ length: 20 }, (_, at) => `f${at}`));
  delivery.pump();
  await sleep(150);
  assert.equal(waiting.gone.size, 20);
  lost = false;
  await emptied();
  assert.deepEqual([...new Set(waiting.gone.values())], ['delivered']);
  await delivery.stop(performance.now() + 5_000);
});

test('a refusal of former credentials is no refusal of the event', async () => {
  let answer: (outcome: PostOutcome) => void = () => {};
  const { waiting, delivery, client, emptied } = plant(
    () =>
      new Promise((resolve) => {
        answer = resolve;
      }),
  );
  waiting.add('a');
  delivery.pump();
  await sleep(20);
  const posted: string[] = [];
  delivery.use({
    ...client,
    post: async (text) => {
      posted.push(text);
      return delivered;
    },
  });
  answer(refused);
  await emptied();
  assert.deepEqual([waiting.gone.get(1), posted], ['delivered', ['a']]);
  await delivery.stop(performance.now() + 5_000);
});

test('an event that fails while the disk cannot be read is not forgotten', async () => {
  let reads = true;
  let fails = true;
  const { waiting, delivery, emptied } = plant((text) => (text === 'a' && fails ? away : delivered));
  const { waitingEvent } = waiting;
  Object.assign(waiting, { waitingEvent: (id: number) => (reads ? waitingEvent(id) : 'unreadable') });
  waiting.add('a', 'b');
  delivery.pump();
  await sleep(50);
  reads = false;
  fails = false;
  await sleep(50);
  reads = true;
  await emptied();
  assert.deepEqual(delivery.delayedEvents().events, 0);
  await delivery.stop(performance.now() + 5_000);
});

test('a hub that refuses heartbeats too does not know us: nothing is given up', async () => {
  let isLocked = true;
  const { waiting, delivery, told, emptied } = plant(() => (isLocked ? refused : delivered));
  waiting.add('a', 'b', 'c', 'd');
  delivery.pump();
  await sleep(100);
  assert.equal(waiting.gone.size, 0);
  assert.match(told.join(), /^the hub answers 400 to every event: see the certificate and headers/);
  isLocked = false;
  await emptied();
  assert.deepEqual([...new Set(waiting.gone.values())], ['delivered']);
  await delivery.stop(performance.now() + 5_000);
});

test('an event that breaks its connections holds nobody up', async () => {
  let breaks = true;
  const { waiting, delivery, told, emptied } = plant((text) => (text === 'bad' && breaks ? away : delivered));
  waiting.add('bad', ...Array.from({ length: 30 }, (_, at) => `e${at}`));
  delivery.pump();
  await sleep(300);
  assert.equal(waiting.gone.size, 30);
  assert.deepEqual(told, [], 'the hub is there');
  breaks = false;
  await emptied();
  await delivery.stop(performance.now() + 5_000);
});

test('Retry-After is waited for', async () => {
  let first = true;
  const { waiting, delivery, events, emptied } = plant(() => {
    const outcome: PostOutcome = first ? { is: 'retry', why: '429', after: 200 } : delivered;
    first = false;
    return outcome;
  });
  waiting.add('a');
  delivery.pump();
  await sleep(120);
  assert.deepEqual(events(), ['a']);
  await emptied();
  assert.deepEqual(events(), ['a', 'a']);
  await delivery.stop(performance.now() + 5_000);
});

test('another client is tried at once, whatever pause the hub has earned', async () => {
  const { waiting, delivery, client, emptied } = plant(() => away, {
    pause: (failures) => failures * 60_000,
  });
  waiting.add('a', 'b', 'c');
  delivery.pump();
  await sleep(50);
  assert.notEqual(delivery.problem(), undefined);
  delivery.use({ ...client, post: async () => delivered });
  await emptied();
  await delivery.stop(performance.now() + 5_000);
});

test('property: whatever the hub does for a while, every event arrives or is refused, none twice', async () => {
  const outcome = fc.constantFrom<PostOutcome>(delivered, away, { is: 'retry', why: '503', after: 3 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(outcome, { maxLength: 60 }),
      fc.uniqueArray(fc.integer({ min: 0, max: 39 }), { maxLength: 5 }),
      fc.integer({ min: 1, max: 8 }),
      async (script, bad, mostAtOnce) => {
        const outcomes = [...script];
        const isBad = (text: string): boolean => bad.includes(Number(text.slice(1)));
        const { waiting, delivery, emptied } = plant(
          (text) => outcomes.shift() ?? (text !== 'heartbeat' && isBad(text) ? refused : delivered),
          { mostAtOnce },
        );
        waiting.add(...Array.from({ length: 40 }, (_, at) => `e${at}`));
        delivery.pump();
        await emptied();
        await delivery.stop(performance.now() + 5_000);
        for (const [id, what] of waiting.gone)
          if (what !== 'delivered') assert.ok(isBad(`e${id - 1}`), 'only bad ones are refused');
      },
    ),
    { numRuns: 15 },
  );
});
