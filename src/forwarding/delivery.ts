/**
 * Brings what waits to the hub, batch by batch: highest priority first, as many at once as its latency allows, for as long
 * as it takes.
 *
 * | the hub                     | so                                                                                    |
 * | --------------------------- | ------------------------------------------------------------------------------------- |
 * | answers for each line       | what it has or refuses is done with, what it wants later comes again                  |
 * | answers anything else, none | the batch goes again, in growing pauses, or when `Retry-After` says; any success ends |
 * |                             | every pause                                                                           |
 * | 413                         | half of it; one event alone is refused                                                |
 */
import { pauseAfter } from '../background/pause-after.ts';
import { type BatchOutcome, postBatch } from '../events/batch-client.ts';
import { Concurrency } from '../events/concurrency.ts';
import type { HttpClient } from '../events/http-client.ts';
import type { Batch } from './keeper.ts';
import type { Store } from './store.ts';

/** What delivery tells as it happens. */
export interface DeliveryEvents {
  /** The hub takes nothing (why), or takes events again (undefined). */
  readonly onHub: (problem: string | undefined) => void;
  /** @param seconds from the post to its answer */
  readonly onDelivered: (events: number, seconds: number) => void;
  readonly onRetried: (events: number) => void;
  /** Events that the hub will not take. */
  readonly onRejected: (reasons: readonly string[]) => void;
}

export interface DeliveryOptions extends DeliveryEvents {
  readonly store: Pick<Store, 'next' | 'settle' | 'status'>;
  readonly client: HttpClient;
  /** Headers of each batch: the report. */
  readonly headers: () => Readonly<Record<string, string>>;
  /** Milliseconds of the pause after so many failures; tests make it short. */
  readonly pause?: (failures: number) => number;
  readonly reportEvery?: number;
}

const mostAtOnce = 8;
const mostEvents = 500;

/** A reserve for what is more important than all that is on its way: critical and above. */
const urgent = 2;

/** Milliseconds between two reports. */
const defaultReportEvery = 30_000;

/** Failures in a row from which on the hub is away: one may have met a restart. */
const failuresUntilAway = 2;

/** A batch that failed and goes again. */
interface Held {
  readonly batch: Batch;
  /** As performance.now(). */
  readonly due: number;
}

export class Delivery {
  private readonly options: DeliveryOptions;
  private client: HttpClient;
  private concurrency = new Concurrency(mostAtOnce);
  private readonly onTheWay = new Set<Batch>();
  private held: Held[] = [];
  private size = mostEvents;
  private asking = false;
  private askAgain = false;
  private failures = 0;
  private problems: { events?: string; report?: string } = {};
  private since: Date | undefined;
  private lastSaid = Number.NEGATIVE_INFINITY;
  private readonly reporting: NodeJS.Timeout;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(options: DeliveryOptions) {
    this.options = options;
    this.client = options.client;
    const every = options.reportEvery ?? defaultReportEvery;
    this.reporting = setInterval(() => void this.report(every), every).unref();
  }

  /** What is wrong with the hub; undefined while events arrive. */
  problem(): string | undefined {
    return this.problems.events ?? this.problems.report;
  }

  /** Since when that is so. */
  problemSince(): Date | undefined {
    return this.since;
  }

  /** Events that have failed and go again, and in how many milliseconds the first of them does. */
  pausing(): { readonly events: number; readonly wait: number } {
    const dues = this.held.map(({ due }) => due);
    return {
      events: this.held.reduce((sum, { batch }) => sum + batch.events, 0),
      wait: dues.length === 0 ? 0 : Math.max(0, Math.min(...dues) - performance.now()),
    };
  }

  /** From now on events go by another client: other settings or credentials. It is tried at once. */
  use(client: HttpClient): void {
    this.client.close();
    this.client = client;
    this.concurrency = new Concurrency(mostAtOnce);
    this.failures = 0;
    this.hurry();
    this.pump();
    void this.report(0);
  }

  /** Begins whatever can be begun now. */
  pump(): void {
    clearTimeout(this.timer);
    if (this.stopped) return;
    const now = performance.now();
    for (const one of this.held.filter(({ due }) => due <= now)) {
      if (!this.concurrency.hasRoom()) break;
      this.held = this.held.filter((other) => other !== one);
      void this.send(one.batch);
    }
    const next = Math.min(...this.held.map(({ due }) => due));
    if (next !== Number.POSITIVE_INFINITY)
      this.timer = setTimeout(() => this.pump(), Math.max(1, next - now));
    void this.begin();
  }

  /**
   * Begins nothing more. The promise is done when what is on its way has its answer, or the time is up; all that the hub
   * does not have is in the store then.
   *
   * @param until as performance.now()
   */
  async stop(until: number): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    clearInterval(this.reporting);
    while (this.onTheWay.size > 0 && performance.now() < until)
      await new Promise((resolve) => setTimeout(resolve, 20));
    this.client.abort();
    for (const batch of this.onTheWay) this.options.store.settle(batch.number, 'back');
    for (const { batch } of this.held) this.options.store.settle(batch.number, 'back');
    this.onTheWay.clear();
    this.held = [];
  }

  private hurry(): void {
    this.held = this.held.map((one) => ({ ...one, due: 0 }));
  }

  /** Which priorities may be begun; undefined: none. */
  private lowest(): number | undefined {
    const { active, limit } = this.concurrency;
    const taken = active + this.held.length;
    if (taken < limit) return Number.POSITIVE_INFINITY;
    const others = [...this.onTheWay, ...this.held.map(({ batch }) => batch)];
    return taken === limit && others.every(({ priority }) => priority > urgent) ? urgent : undefined;
  }

  /** Asks the store for batches, one after the other. */
  private async begin(): Promise<void> {
    this.askAgain = true;
    if (this.asking) return;
    this.asking = true;
    while (this.askAgain && !this.stopped) {
      this.askAgain = false;
      const lowest = this.lowest();
      if (lowest === undefined) break;
      const batch = await this.options.store.next(this.size, Math.min(lowest, 7));
      if (batch === undefined) continue;
      if (this.stopped) this.options.store.settle(batch.number, 'back');
      else {
        this.askAgain = true;
        void this.send(batch);
      }
    }
    this.asking = false;
  }

  private async send(batch: Batch): Promise<void> {
    const { client, concurrency } = this;
    this.onTheWay.add(batch);
    concurrency.begin();
    const posted = performance.now();
    const outcome = await postBatch(client, { ...batch, headers: this.options.headers() });
    const now = performance.now();
    // What stopping has put back is not ours any more.
    if (!this.onTheWay.delete(batch)) return;
    if (outcome.is === 'taken' && outcome.done > 0)
      this.hasArrived(batch, outcome, now - posted, concurrency);
    else if (client !== this.client) {
      // What another address or other credentials came to says nothing of those of today.
      concurrency.cancel();
      this.options.store.settle(batch.number, 'back');
    } else this.hasFailed(batch, outcome, now, concurrency);
    this.pump();
  }

  private hasArrived(
    batch: Batch,
    outcome: BatchOutcome & { is: 'taken' },
    took: number,
    concurrency: Concurrency,
  ): void {
    const { later, refused, done } = outcome;
    const now = performance.now();
    this.failures = 0;
    this.lastSaid = now;
    // Who wants some later is busy: less at once, and no more than it can do in a moment.
    concurrency.end(later.length > 0 ? undefined : took, now, batch.events);
    this.size = later.length > 0 ? Math.max(10, done * 2) : Math.min(mostEvents, this.size * 2);
    this.options.store.settle(batch.number, { later, refused });
    if (later.length > 0) this.options.onRetried(later.length);
    if (refused.length > 0) this.options.onRejected(refused.map(({ reason }) => reason));
    this.options.onDelivered(done - refused.length, took / 1000);
    this.hurry();
    this.tell({});
  }

  private hasFailed(batch: Batch, outcome: BatchOutcome, now: number, concurrency: Concurrency): void {
    concurrency.end(undefined, now);
    if (outcome.is === 'too large') {
      this.size = Math.max(1, Math.floor(batch.events / 2));
      const reason = `${outcome.why}: it is too large`;
      const isOne = batch.events === 1;
      this.options.store.settle(batch.number, isOne ? { later: [], refused: [{ line: 0, reason }] } : 'back');
      if (isOne) this.options.onRejected([reason]);
      return;
    }
    const { pause = pauseAfter } = this.options;
    const after = outcome.is === 'failed' ? (outcome.after ?? 0) : 0;
    const due = now + Math.max(after, pause(this.failures++));
    this.held.push({ batch, due });
    this.options.onRetried(batch.events);
    const why =
      outcome.is === 'failed' ? outcome.why : 'the hub takes nothing: its falcosidekick is away or full';
    if (this.failures >= failuresUntilAway) this.tell({ ...this.problems, events: why });
  }

  /** Says how we are, where no batch has done so of late. */
  private async report(every: number): Promise<void> {
    if (this.stopped || performance.now() - this.lastSaid < every) return;
    const { client } = this;
    const outcome = await postBatch(client, { body: undefined, events: 0, headers: this.options.headers() });
    if (client !== this.client || this.stopped) return;
    const { report: _, ...others } = this.problems;
    if (outcome.is === 'taken') this.tell(others);
    else this.tell({ ...others, report: outcome.why });
  }

  private tell(problems: { events?: string; report?: string }): void {
    const before = this.problem();
    this.problems = problems;
    const now = this.problem();
    if ((before === undefined) === (now === undefined)) return;
    this.since = now === undefined ? undefined : new Date();
    this.options.onHub(now);
  }
}
