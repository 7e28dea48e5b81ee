/**
 * Keeps events until the hub has them. Those of a moment share one transaction, and each is answered when it is safe:
 *
 * | the spool | an event is                          | and answered                                               |
 * | --------- | ------------------------------------ | ---------------------------------------------------------- |
 * | works     | written                              | `safe` when it is on disk                                  |
 * | fails     | held in memory, if there is room     | `safe` when the hub has it, or the spool works again; else |
 * |           |                                      | `unsafe` after `patience`, and still tried                 |
 * | fails     | not held: too many are               | `unsafe` at once                                           |
 *
 * A spool that fails is tried again from time to time; a damaged one gives way to a new one (spool.ts). While a disk is
 * only full or read-only, what is on it is delivered all the same.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Changes,
  type Committed,
  type Dropped,
  isDamaged,
  isFull,
  isStillReadable,
  largestTransaction,
  mostRejectedAtOnce,
  type NewEvent,
  openSpool,
  type Spool,
  setAside,
  type WaitingEvent,
  whySpoolFailed,
} from './spool.ts';

export type Kept = 'safe' | 'duplicate' | 'unsafe';

/** What the keeper tells as it happens. */
export interface KeeperEvents {
  /** The spool fails (why), or works again (undefined). */
  readonly onSpool: (problem: string | undefined) => void;
  /** A damaged spool has given way to a new one. @param saved events that are in it */
  readonly onDamaged: (saved: number) => void;
  readonly onDropped: (dropped: Dropped) => void;
  /** Something waits. */
  readonly onWaiting: () => void;
}

export interface KeeperOptions extends KeeperEvents {
  readonly folder: string;
  /** Bytes. */
  readonly limit: number;
  /** Whether an event is on its way to the hub, or about to go again. */
  readonly isTaken: (id: number) => boolean;
  /** Milliseconds; tests set them. */
  readonly patience?: number;
  readonly healEvery?: number;
}

/** Bytes of events in memory while the spool fails. */
const mostHeld = 8 * 1024 * 1024;

/** Milliseconds for which an event's sender waits for the hub while the spool fails: falcosidekick gives up later. */
const defaultPatience = 10_000;

/** Milliseconds until a spool that fails is opened again; the longer the more often it has failed lately. */
const defaultHealEvery = 5_000;
const longestHealFactor = 12;

/** Milliseconds for which deliveries are gathered: to have delivered one twice after a crash is no harm. */
const gatherDeliveries = 50;

interface Pending {
  readonly event: NewEvent;
  readonly size: number;
  readonly answer: (kept: Kept) => void;
}

interface Held extends Pending {
  readonly id: number;
  readonly timer: NodeJS.Timeout;
}

export class Keeper {
  private readonly options: KeeperOptions;
  private limit: number;
  private spool: Spool | undefined;
  /** Why the spool fails. */
  private failure: string | undefined;
  private lastError: unknown;
  /** How often it has failed since it last worked for long enough. */
  private failures = 0;
  private pending: Pending[] = [];
  private delivered: number[] = [];
  private readonly rejected: { readonly id: number; readonly status: number }[] = [];
  private scheduled: NodeJS.Immediate | undefined;
  private gathering: NodeJS.Timeout | undefined;
  private healing: NodeJS.Timeout | undefined;
  private settling: NodeJS.Timeout | undefined;
  /** By id, which is negative: those on disk have positive ones. */
  private readonly held = new Map<number, Held>();
  private heldBytes = 0;
  private lastHeld = 0;
  /** The largest id that an event on disk has had. */
  private highestId = 0;
  private closed = false;

  constructor(options: KeeperOptions) {
    this.options = options;
    this.limit = options.limit;
    this.open();
  }

  /** What is wrong with the spool; undefined while it works. */
  problem(): string | undefined {
    return this.failure;
  }

  resize(limit: number): void {
    this.limit = limit;
    this.spool?.resize(limit);
  }

  /** Keeps an event. The promise is that of its answer, and never rejects. */
  keep(event: NewEvent): Promise<Kept> {
    if (this.closed) return Promise.resolve('unsafe');
    return new Promise((answer) => {
      this.pending.push({ event, size: Buffer.byteLength(event.text), answer });
      this.scheduled ??= setImmediate(() => this.flush());
    });
  }

  /** The hub has this event. */
  hasDelivered(id: number): void {
    if (this.answerHeld(id, 'safe')) return;
    this.delivered.push(id);
    this.gather();
  }

  /** The hub will never take this event. */
  hasRejected(id: number, status: number): void {
    // Without a spool there is nowhere to keep it apart.
    if (this.answerHeld(id, 'safe')) return;
    this.rejected.push({ id, status });
    this.gather();
  }

  /**
   * Puts an event that is only in memory on disk, if the spool works again.
   *
   * @returns its id from now on; undefined where the spool was full and it went, or has it already
   */
  persist(id: number): number | undefined {
    const held = this.held.get(id);
    if (held === undefined || this.failure !== undefined) return id;
    const committed = this.commit({ keep: [held.event], delivered: [], rejected: [] });
    // Failed just now: it stays in memory.
    if (committed === undefined) return id;
    this.answerHeld(id, 'safe');
    const [onDisk] = committed.ids;
    return typeof onDisk === 'number' ? onDisk : undefined;
  }

  private gather(): void {
    if (!this.closed) this.gathering ??= setTimeout(() => this.flush(), gatherDeliveries);
  }

  /** The first event in memory behind that of an id, and the first on disk. */
  nextHeld(after: number): WaitingEvent | undefined {
    for (const [id, { event }] of this.held) if (id > after) return { ...event, id };
    return undefined;
  }

  nextOnDisk(after: number): WaitingEvent | undefined {
    return this.guarded((spool) => spool.next(after));
  }

  /** An event by its id; undefined where it does not wait any more. */
  waitingEvent(id: number): WaitingEvent | 'unreadable' | undefined {
    const held = this.held.get(id);
    if (held !== undefined) return { ...held.event, id };
    const found = id < 0 ? undefined : this.nextOnDisk(id - 1);
    if (found?.id === id) return found;
    return id > 0 && this.spool === undefined ? 'unreadable' : undefined;
  }

  waiting(): { readonly events: number; readonly bytes: number } {
    const { events, bytes } = this.spool?.waiting() ?? { events: 0, bytes: 0 };
    return { events: events + this.held.size, bytes: bytes + this.heldBytes };
  }

  /** When the oldest waiting event was received, milliseconds since 1970. */
  oldest(): number | undefined {
    const [first] = this.held.values();
    const times = [first?.event.received, this.guarded((spool) => spool.oldest())];
    const known = times.filter((time) => time !== undefined);
    return known.length === 0 ? undefined : Math.min(...known);
  }

  /** Bytes on disk. */
  size(): number {
    return this.spool?.size() ?? 0;
  }

  /** Writes what is to be written and closes the spool. Whoever still waits for an answer gets `unsafe`. */
  close(): void {
    this.flush();
    if (this.failure !== undefined) this.heal();
    this.closed = true;
    for (const timer of [this.gathering, this.healing, this.settling]) clearTimeout(timer);
    for (const id of [...this.held.keys()]) this.answerHeld(id, 'unsafe');
    this.spool?.close();
    this.spool = undefined;
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

  private flush(): void {
    clearImmediate(this.scheduled);
    clearTimeout(this.gathering);
    this.scheduled = undefined;
    this.gathering = undefined;
    if (this.closed) return;
    do this.flushOnce();
    while (this.pending.length > 0 || (this.rejected.length > 0 && this.failure === undefined));
  }

  /** One transaction's worth. */
  private flushOnce(): void {
    const pending = this.pending.splice(0, transactionOf(this.pending));
    if (pending.length + this.delivered.length + this.rejected.length === 0) return;
    // While it fails, only healing tries it.
    const committed =
      this.failure === undefined ? this.commitWith(pending.map(({ event }) => event)) : undefined;
    for (const [at, one] of pending.entries()) {
      if (committed) one.answer(committed.ids[at] === 'duplicate' ? 'duplicate' : 'safe');
      else this.hold(one);
    }
    if (pending.length > 0) this.options.onWaiting();
  }

  /** Writes new events and what has become of others. */
  private commitWith(keep: readonly NewEvent[]): Committed | undefined {
    const { delivered } = this;
    const rejected = this.rejected.slice(0, mostRejectedAtOnce);
    const committed = this.commit({ keep, delivered, rejected });
    if (committed === undefined) return undefined;
    this.delivered = [];
    this.rejected.splice(0, rejected.length);
    return committed;
  }

  private commit(changes: Changes): Committed | undefined {
    const committed = this.guarded((spool) => spool.commit(changes));
    if (committed === undefined) return undefined;
    if (committed.dropped.size > 0) this.options.onDropped(committed.dropped);
    this.highestId = committed.ids.reduce(
      (highest: number, id) => (typeof id === 'number' ? Math.max(highest, id) : highest),
      this.highestId,
    );
    return committed;
  }

  private hold(pending: Pending): void {
    if (this.heldBytes + pending.size > mostHeld) {
      pending.answer('unsafe');
      return;
    }
    const id = -Number.MAX_SAFE_INTEGER + ++this.lastHeld;
    const timer = setTimeout(() => pending.answer('unsafe'), this.options.patience ?? defaultPatience);
    this.held.set(id, { ...pending, id, timer });
    this.heldBytes += pending.size;
  }

  private answerHeld(id: number, kept: Kept): boolean {
    const held = this.held.get(id);
    if (held === undefined) return false;
    clearTimeout(held.timer);
    this.held.delete(id);
    this.heldBytes -= held.size;
    held.answer(kept);
    return true;
  }

  private open(): void {
    try {
      const { spool, saved } = openSpool(this.options.folder, this.limit, this.highestId);
      this.spool = spool;
      if (saved !== undefined) this.options.onDamaged(saved);
    } catch (error) {
      this.fail(error);
    }
  }

  private fail(error: unknown): void {
    const { folder, onSpool, healEvery = defaultHealEvery } = this.options;
    this.lastError = error;
    if (!isStillReadable(error)) this.closeFailed(error);
    const isNew = this.failure === undefined;
    this.failure = whySpoolFailed(error, folder);
    if (isNew) onSpool(this.failure);
    clearTimeout(this.settling);
    if (this.closed || this.healing !== undefined) return;
    const factor = Math.min(longestHealFactor, 2 ** this.failures++);
    this.healing = setTimeout(() => this.heal(), healEvery * factor);
  }

  private writeWhatIsLeft(): boolean {
    if (this.guarded((spool) => spool.proveWritable() === undefined) !== true) return false;
    // What the hub has goes first: it makes room.
    if (!this.commitWith([])) return false;
    const held = [...this.held.values()].filter(({ id }) => !this.options.isTaken(id));
    while (held.length > 0) {
      const part = held.splice(0, transactionOf(held));
      if (!this.commitWith(part.map(({ event }) => event))) return false;
      for (const { id } of part) this.answerHeld(id, 'safe');
    }
    return true;
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

  /** Tries the spool again, and writes what is in memory only; what is on its way to the hub comes later (`persist`). */
  private heal(): void {
    this.healing = undefined;
    if (this.closed) return;
    // With a full disk the open one is the better one: it has a log already.
    if (this.spool !== undefined && !isFull(this.lastError)) this.closeFailed(this.lastError);
    if (this.spool === undefined) this.open();
    if (!this.writeWhatIsLeft()) return;
    clearTimeout(this.healing);
    this.healing = undefined;
    this.failure = undefined;
    const healEvery = this.options.healEvery ?? defaultHealEvery;
    this.settling = setTimeout(() => (this.failures = 0), healEvery * longestHealFactor).unref();
    this.options.onSpool(undefined);
    this.options.onWaiting();
  }
}

/** The longest beginning of a list that fits into one transaction; at least one. */
function transactionOf<Sized extends { readonly size: number }>(list: readonly Sized[]): number {
  let bytes = 0;
  const end = list.findIndex(({ size }, at) => {
    bytes += size;
    return at > 0 && bytes > largestTransaction;
  });
  return end === -1 ? list.length : end;
}

/** Waits until nothing waits any more, or the time is up. @param until as performance.now() */
export async function drained(keeper: Pick<Keeper, 'waiting'>, until: number): Promise<boolean> {
  while (keeper.waiting().events > 0) {
    if (performance.now() >= until) return false;
    await sleep(100);
  }
  return true;
}
