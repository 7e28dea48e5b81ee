/** Events on disk, by way of a thread that has them. */
import { Worker } from 'node:worker_threads';
import type { Dropped, NewEvent } from './spool.ts';
import type { Batch, KeptAll, Reply, Request, Settled, Status, StoreOptions } from './store-messages.ts';

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
  private readonly asked = new Map<number, (reply: Reply) => void>();
  private lastNumber = 0;
  private now: Status = {
    ...{ events: 0, bytes: 0, oldest: undefined, size: 0, id: '' },
    problem: 'the spool is being opened',
  };
  private isKnown = false;
  private closing = false;

  constructor(options: StoreOptions, events: StoreEvents) {
    this.events = events;
    this.worker = new Worker(thread, { workerData: options, resourceLimits: heap });
    this.worker.on('message', (reply: Reply) => this.hear(reply));
    this.worker.on('error', (error) => events.onLost(error));
    this.worker.on('exit', (code) => {
      if (!this.closing) events.onLost(new Error(`it ended with ${code}`));
    });
  }

  status(): Status {
    return this.now;
  }

  async keep(events: readonly NewEvent[]): Promise<KeptAll> {
    const reply = await this.ask((number) => ({ is: 'keep', number, events }));
    if (reply.is !== 'kept') return 'unsafe';
    this.events.onWaiting();
    return reply.kept;
  }

  async next(mostEvents: number, lowest: number): Promise<Batch | undefined> {
    const reply = await this.ask((number) => ({ is: 'next', number, mostEvents, lowest }));
    if (reply.is !== 'next' || reply.batch === undefined || reply.body === undefined) return undefined;
    return { ...reply.batch, body: Buffer.from(reply.body.buffer) };
  }

  settle(batch: number, settled: Settled): void {
    this.say({ is: 'settle', batch, settled });
  }

  resize(limit: number): void {
    this.say({ is: 'resize', limit });
  }

  async close(): Promise<void> {
    this.closing = true;
    await this.ask((number) => ({ is: 'close', number }));
    await this.worker.terminate();
  }

  private say(request: Request): void {
    this.worker.postMessage(request);
  }

  private ask(request: (number: number) => Request): Promise<Reply> {
    return new Promise((resolve) => {
      const number = ++this.lastNumber;
      this.asked.set(number, resolve);
      this.say(request(number));
    });
  }

  private hear(reply: Reply): void {
    const { problem } = this.now;
    this.now = reply.status;
    if (this.isKnown ? problem !== reply.status.problem : reply.status.problem !== undefined)
      this.events.onSpool(reply.status.problem);
    if (!this.isKnown || problem !== reply.status.problem) this.events.onWaiting();
    this.isKnown = true;
    if (reply.is === 'dropped') this.events.onDropped(reply.dropped);
    if (reply.is === 'damaged') this.events.onDamaged(reply.saved);
    if (!('number' in reply)) return;
    this.asked.get(reply.number)?.(reply);
    this.asked.delete(reply.number);
  }
}
