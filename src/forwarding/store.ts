/** Events on disk, by way of a thread that has them. */
import { Worker } from 'node:worker_threads';
import type { Batch, Keeper, KeptAll, Settled, Status, StoreOptions } from './keeper.ts';
import type { Dropped, NewEvent } from './spool.ts';

/** What is asked of the keeper in the thread: one of its methods. */
export interface Asked {
  readonly number: number;
  readonly method: Method;
  readonly args: readonly unknown[];
}

type Method = 'keep' | 'next' | 'settle' | 'resize' | 'close';

/** What the thread says: an answer, or what has happened; and how things are. */
export interface Said {
  readonly status: Status;
  readonly number?: number;
  readonly result?: unknown;
  readonly dropped?: Dropped;
  /** Events that were saved from a damaged spool. */
  readonly damaged?: number;
}

/** What the store tells as it happens. */
export interface StoreEvents {
  /** The spool fails (why), or works again (undefined). */
  readonly onSpool: (problem: string | undefined) => void;
  readonly onDamaged: (saved: number) => void;
  readonly onDropped: (dropped: Dropped) => void;
  /** Something waits. */
  readonly onWaiting: () => void;
  /** The thread has ended: nothing can be kept any more. */
  readonly onLost: (error: unknown) => void;
}

/** A request, with the answer that it waits for. */
interface Gathered {
  readonly events: readonly NewEvent[];
  readonly answer: (kept: KeptAll) => void;
}

/** Beside the bundle as beside the source. */
const thread = new URL(
  import.meta.url.endsWith('.ts') ? './store-thread.ts' : './store-thread.mjs',
  import.meta.url,
);

/** Mebibytes of the thread's heap: what is in it besides a batch or two is little. */
const heap = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 2 };

export class Store {
  private readonly worker: Worker;
  private readonly events: StoreEvents;
  private readonly asked = new Map<number, (result: unknown) => void>();
  private lastNumber = 0;
  private readonly gathered: Gathered[] = [];
  private keeping = false;
  private now: Status = {
    ...{ events: 0, bytes: 0, oldest: undefined, size: 0 },
    problem: 'the spool is being opened',
  };
  private isKnown = false;
  private closing = false;

  constructor(options: StoreOptions, events: StoreEvents) {
    this.events = events;
    this.worker = new Worker(thread, { workerData: options, resourceLimits: heap });
    this.worker.on('message', (said: Said) => this.hear(said));
    this.worker.on('error', (error) => events.onLost(error));
    this.worker.on('exit', (code) => {
      if (!this.closing) events.onLost(new Error(`it ended with ${code}`));
    });
  }

  status(): Status {
    return this.now;
  }

  /** Keeps events; the promise is done when they are safe, or are not going to be. */
  keep(events: readonly NewEvent[]): Promise<KeptAll> {
    return new Promise((answer) => {
      this.gathered.push({ events, answer });
      if (!this.keeping) void this.keepGathered();
    });
  }

  /** What comes while others are written shares a message and a transaction. */
  private async keepGathered(): Promise<void> {
    this.keeping = true;
    while (this.gathered.length > 0) {
      const requests = this.gathered.splice(0);
      const kept = await this.ask(
        'keep',
        requests.flatMap(({ events }) => events),
      );
      let first = 0;
      for (const { events, answer } of requests) {
        const behind = first + events.length;
        answer(kept === 'unsafe' ? kept : kept.slice(first, behind));
        first = behind;
      }
      this.events.onWaiting();
    }
    this.keeping = false;
  }

  async next(mostEvents: number, lowest: number): Promise<Batch | undefined> {
    const batch = await this.ask('next', mostEvents, lowest);
    // A buffer comes over as plain bytes.
    return batch && { ...batch, body: Buffer.from(batch.body) };
  }

  settle(batch: number, settled: Settled): void {
    void this.ask('settle', batch, settled);
  }

  resize(limit: number): void {
    void this.ask('resize', limit);
  }

  async close(): Promise<void> {
    this.closing = true;
    await this.ask('close');
    await this.worker.terminate();
  }

  private ask<Of extends Method>(
    method: Of,
    ...args: Parameters<Keeper[Of]>
  ): Promise<Awaited<ReturnType<Keeper[Of]>>> {
    return new Promise((resolve) => {
      const asked: Asked = { number: ++this.lastNumber, method, args };
      // Safe: the answer is what the method returns.
      this.asked.set(asked.number, resolve as (result: unknown) => void);
      this.worker.postMessage(asked);
    });
  }

  private hear({ status, number, result, dropped, damaged }: Said): void {
    const { problem } = this.now;
    this.now = status;
    if (this.isKnown ? problem !== status.problem : status.problem !== undefined)
      this.events.onSpool(status.problem);
    if (!this.isKnown || problem !== status.problem) this.events.onWaiting();
    this.isKnown = true;
    if (dropped !== undefined) this.events.onDropped(dropped);
    if (damaged !== undefined) this.events.onDamaged(damaged);
    if (number === undefined) return;
    this.asked.get(number)?.(result);
    this.asked.delete(number);
  }
}
