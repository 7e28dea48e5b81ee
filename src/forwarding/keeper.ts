/**
 * Keeps events on disk until the hub has them, and says which are next. It runs in a thread of its own: a slow disk holds up
 * no connection. A spool that fails is tried again from time to time, and a damaged one gives way to a new one (open-spool.ts);
 * meanwhile nothing is safe, and the sender keeps what it has. While a disk is only full or read-only, what is on it is
 * delivered all the same.
 */
import { constants, zstdCompressSync } from 'node:zlib';
import { lockSpool, openSpool, setAside } from './open-spool.ts';
import {
  largestTransaction,
  mostRejectedAtOnce,
  type NewEvent,
  type Spool,
  type WaitingEvent,
} from './spool.ts';
import { isDamaged, isFull, isStillReadable, whySpoolFailed } from './sqlite-errors.ts';

export interface StoreOptions {
  readonly folder: string;
  /** Bytes. */
  readonly limit: number;
  /** Milliseconds until a spool that fails is opened again; tests make it short. */
  readonly healEvery?: number;
}

/** Events to be sent, as a body of the protocol's. */
export interface Batch {
  readonly number: number;
  readonly events: number;
  /** Lines, compressed by zstd. */
  readonly body: Buffer;
  /** Of its first event: 0 is the highest. */
  readonly priority: number;
}

/** What has become of a batch: all of it is to be sent again, or these lines, and these never. */
export type Settled =
  | 'back'
  | {
      readonly later: readonly number[];
      readonly refused: readonly { readonly line: number; readonly reason: string }[];
    };

export interface Status {
  readonly events: number;
  readonly bytes: number;
  /** When the oldest waiting event was received, milliseconds since 1970. */
  readonly oldest: number | undefined;
  /** Bytes on disk. */
  readonly size: number;
  /** Why the spool fails. */
  readonly problem: string | undefined;
}

/** Of each event, in order; `unsafe`: none is on disk. */
export type KeptAll = 'unsafe' | readonly ('accepted' | 'duplicate')[];

/** From 0, the highest, on. The settings' own list would bring their whole schema into this thread. */
export const priorityCount = 8;

/** What the keeper tells as it happens. */
export interface KeeperEvents {
  readonly onDropped: (dropped: ReadonlyMap<number, number>) => void;
  /** A damaged spool has given way to a new one. @param saved events that are in it */
  readonly onDamaged: (saved: number) => void;
  /** The spool fails, or works again, or less waits. */
  readonly onChange: () => void;
}

const defaultHealEvery = 10_000;

/** Milliseconds for which deliveries are gathered: to have delivered one twice after a crash is no harm. */
const gatherDeliveries = 50;

/** Bytes of a batch, beyond which it gets no more events. */
const largestBatch = 1024 * 1024;

/** For 5 % more on the wire a third of the time, and less memory (docs/performance.md). */
export const compression = {
  params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_windowLog]: 18 },
};

export class Keeper {
  private readonly options: StoreOptions;
  private readonly tell: KeeperEvents;
  private limit: number;
  private spool: Spool | undefined;
  private unlock: (() => void) | undefined;
  private failure: string | undefined;
  private lastError: unknown;
  private delivered: number[] = [];
  private rejected: { readonly id: number; readonly reason: string }[] = [];
  private gathering: NodeJS.Timeout | undefined;
  private healing: NodeJS.Timeout | undefined;
  /** By priority, the id of the last event that was given out. */
  private cursors = eachPriority(() => 0);
  /** Events that were given out and come again, by priority, oldest first. */
  private again: number[][] = eachPriority(() => []);
  /** Events of batches that are on their way, by the batches' numbers. */
  private readonly onTheWay = new Map<number, readonly WaitingEvent[]>();
  private lastBatch = 0;
  private id = '';
  private closed = false;
  private left: Status | undefined;

  constructor(options: StoreOptions, tell: KeeperEvents) {
    this.options = options;
    this.tell = tell;
    this.limit = options.limit;
    this.open();
  }

  resize(limit: number): void {
    this.limit = limit;
    this.spool?.resize(limit);
  }

  /** Keeps events, in transactions that are not too large. */
  keep(events: readonly NewEvent[]): KeptAll {
    const kept: ('accepted' | 'duplicate')[] = [];
    for (const part of partsOf(events)) {
      const ids = this.failure === undefined ? this.commitWith(part) : undefined;
      if (ids === undefined) return 'unsafe';
      for (const id of ids) kept.push(id === 'duplicate' ? id : 'accepted');
    }
    return kept;
  }

  /**
   * The next events: highest priority first, oldest first within it.
   *
   * @param lowest priorities behind it are left out
   */
  next(mostEvents: number, lowest: number): Batch | undefined {
    const events: WaitingEvent[] = [];
    let bytes = 0;
    for (let priority = 0; priority <= lowest && priority < priorityCount; priority++) {
      while (events.length < mostEvents && bytes < largestBatch) {
        const more = this.some(priority, Math.min(64, mostEvents - events.length));
        if (more.length === 0) break;
        events.push(...more);
        bytes += more.reduce((sum, { size }) => sum + size, 0);
      }
    }
    const [first] = events;
    if (first === undefined) return undefined;
    const number = ++this.lastBatch;
    this.onTheWay.set(number, events);
    const lines = this.guarded((spool) => spool.lines(events.map(({ id }) => id)));
    if (lines !== undefined)
      return {
        number,
        events: events.length,
        priority: first.priority,
        body: zstdCompressSync(lines, compression),
      };
    this.settle(number, 'back');
    return undefined;
  }

  settle(number: number, settled: Settled): void {
    const events = this.onTheWay.get(number);
    this.onTheWay.delete(number);
    if (events === undefined) return;
    const { later, refused } = settled === 'back' ? { later: events.keys(), refused: [] } : settled;
    const stays = new Set(later);
    const reasons = new Map(refused.map(({ line, reason }) => [line, reason]));
    for (const [line, { id, priority }] of events.entries()) {
      const reason = reasons.get(line);
      if (stays.has(line)) this.again[priority]?.push(id);
      else if (reason !== undefined) this.rejected.push({ id, reason });
      else this.delivered.push(id);
    }
    for (const ids of stays.size > 0 ? this.again : []) ids.sort((a, b) => a - b);
    if (!this.closed) this.gathering ??= setTimeout(() => this.flush(), gatherDeliveries);
  }

  status(): Status {
    if (this.left !== undefined) return this.left;
    const { events = 0, bytes = 0 } = this.spool?.waiting() ?? {};
    return {
      ...{ events, bytes, problem: this.failure },
      oldest: this.guarded((spool) => spool.oldest()),
      size: this.spool?.size() ?? 0,
    };
  }

  /** Writes what is to be written and closes the spool. The status stays as it is then. */
  close(): void {
    this.flush();
    if (this.failure !== undefined) this.heal();
    this.left = this.status();
    this.closed = true;
    for (const timer of [this.gathering, this.healing]) clearTimeout(timer);
    this.spool?.close();
    this.spool = undefined;
    this.unlock?.();
    this.unlock = undefined;
  }

  /** A few events of a priority: those that come again first, as they are older. */
  private some(priority: number, most: number): WaitingEvent[] {
    const again = this.again[priority] ?? [];
    const events: WaitingEvent[] = [];
    while (again.length > 0 && events.length < most) {
      const id = again[0] ?? 0;
      const event = this.guarded((spool) => spool.byId(id));
      // While it cannot be read it is not gone.
      if (this.spool === undefined) return events;
      again.shift();
      if (event !== undefined) events.push(event);
    }
    if (events.length > 0) return events;
    const fresh = this.guarded((spool) => spool.next(priority, this.cursors[priority] ?? 0, most)) ?? [];
    const last = fresh.at(-1);
    if (last !== undefined) this.cursors[priority] = last.id;
    return fresh;
  }

  private guarded<Result>(ask: (spool: Spool) => Result): Result | undefined {
    if (this.spool === undefined) return undefined;
    try {
      return ask(this.spool);
    } catch (error) {
      this.fail(error);
      return undefined;
    }
  }

  /** Writes what has become of events. */
  private flush(): void {
    clearTimeout(this.gathering);
    this.gathering = undefined;
    if (this.closed || this.failure !== undefined || this.delivered.length + this.rejected.length === 0)
      return;
    do {
      if (this.commitWith([]) === undefined) return;
    } while (this.rejected.length > 0);
    this.tell.onChange();
  }

  /** Writes new events and what has become of others. */
  private commitWith(keep: readonly NewEvent[]): readonly (number | 'duplicate')[] | undefined {
    const { delivered } = this;
    const rejected = this.rejected.slice(0, mostRejectedAtOnce);
    if (keep.length + delivered.length + rejected.length === 0) return [];
    const committed = this.guarded((spool) => spool.commit({ keep, delivered, rejected }));
    if (committed === undefined) return undefined;
    this.delivered = [];
    this.rejected.splice(0, rejected.length);
    if (committed.dropped.size > 0) this.tell.onDropped(committed.dropped);
    return committed.ids;
  }

  private open(): void {
    try {
      this.unlock ??= lockSpool(this.options.folder);
      const { spool, saved } = openSpool(this.options.folder, this.limit);
      this.spool = spool;
      if (spool.id() !== this.id) {
        // Ids of a former one mean nothing in it.
        this.id = spool.id();
        this.cursors = eachPriority(() => 0);
        this.again = eachPriority(() => []);
        this.onTheWay.clear();
        [this.delivered, this.rejected] = [[], []];
      }
      if (saved !== undefined) this.tell.onDamaged(saved);
    } catch (error) {
      this.fail(error);
    }
  }

  private fail(error: unknown): void {
    const { folder, healEvery = defaultHealEvery } = this.options;
    this.lastError = error;
    if (!isStillReadable(error)) this.closeFailed(error);
    const isNew = this.failure === undefined;
    this.failure = whySpoolFailed(error, folder);
    if (isNew) this.tell.onChange();
    if (!this.closed) this.healing ??= setTimeout(() => this.heal(), healEvery);
  }

  private closeFailed(error: unknown): void {
    const { spool } = this;
    this.spool = undefined;
    try {
      spool?.close();
      if (isDamaged(error)) setAside(this.options.folder);
    } catch {
      // Healing tries again, and says what is wrong then.
    }
  }

  /** Tries the spool again. */
  private heal(): void {
    this.healing = undefined;
    if (this.closed) return;
    // With a full disk the open one is the better one: it has a log already.
    if (this.spool !== undefined && !isFull(this.lastError)) this.closeFailed(this.lastError);
    if (this.spool === undefined) this.open();
    if (this.guarded((spool) => spool.proveWritable() === undefined) !== true) return;
    // What the hub has goes first: it makes room.
    if (this.commitWith([]) === undefined) return;
    clearTimeout(this.healing);
    this.healing = undefined;
    this.failure = undefined;
    this.tell.onChange();
  }
}

function eachPriority<Value>(make: () => Value): Value[] {
  return Array.from({ length: priorityCount }, make);
}

/** Parts that fit into one transaction each; one at least, which may be empty. */
function partsOf(events: readonly NewEvent[]): NewEvent[][] {
  const parts: NewEvent[][] = [[]];
  let bytes = 0;
  for (const event of events) {
    const size = Buffer.byteLength(event.text);
    if (bytes > 0 && bytes + size > largestTransaction) {
      parts.push([]);
      bytes = 0;
    }
    bytes += size;
    parts.at(-1)?.push(event);
  }
  return parts;
}
