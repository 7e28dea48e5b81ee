/**
 * Brings what waits to the hub: oldest first, several at once, for as long as it takes.
 *
 * | the hub        | known by                                           | so                                                |
 * | -------------- | -------------------------------------------------- | ------------------------------------------------- |
 * | there          | the last answers                                   | as many events at once as it takes                |
 * | away           | failures in a row, and then of a heartbeat too     | heartbeats in growing pauses until one arrives    |
 * | lets nobody in | it refuses an event, and then a heartbeat too      | the same: the way is at fault, no event given up  |
 *
 * An event that the hub refuses while it takes a heartbeat is its own fault, and goes for good. One that fails while
 * heartbeats arrive goes again, later each time, and holds nobody up.
 */
import type { HubClient, PostOutcome } from './hub-client.ts';
import type { Keeper } from './keeper.ts';
import type { WaitingEvent } from './spool.ts';

/** What delivery tells as it happens. */
export interface DeliveryEvents {
  /** The hub is away (why), or there again (undefined). */
  readonly onHub: (problem: string | undefined) => void;
  readonly onDelivered: (seconds: number) => void;
  readonly onRetried: () => void;
  /** An event that the hub will not take. */
  readonly onRejected: (status: number) => void;
}

export interface DeliveryOptions extends DeliveryEvents {
  readonly keeper: Pick<
    Keeper,
    'nextHeld' | 'nextOnDisk' | 'waitingEvent' | 'hasDelivered' | 'hasRejected' | 'persist'
  >;
  readonly client: HubClient;
  /** An event that any hub takes which lets us in. */
  readonly heartbeat: () => string;
  /** Milliseconds of the pause after the nth failure; tests make it short. */
  readonly pause?: (failures: number) => number;
  readonly mostAtOnce?: number;
}

const defaultMostAtOnce = 64;

/** Characters of events on their way at once: together with what SQLite and Node need, below the container's limit. */
const mostOnTheWay = 8 * 1024 * 1024;

/** Failures without a success in between after which a heartbeat finds out whether it is the hub. */
const failuresUntilProbe = 3;

/** Milliseconds for which an acceptance shows that the hub lets us in. */
const acceptanceCounts = 60_000;

/** Events that wait for another try while others arrive; with more of them nothing new is begun. */
const mostDelayed = 1_000;

/** From half a second up to half a minute; half of it by chance, as replicas must not come back together. */
export function defaultPause(failures: number): number {
  const longest = Math.min(30_000, 500 * 2 ** Math.min(failures, 16));
  return longest / 2 + (Math.random() * longest) / 2;
}

interface Delayed {
  readonly tries: number;
  /** As performance.now(). */
  readonly due: number;
}

export class Delivery {
  private readonly options: DeliveryOptions;
  private client: HubClient;
  private readonly onTheWay = new Map<number, number>();
  private bytesOnTheWay = 0;
  private readonly delayed = new Map<number, Delayed>();
  private heldCursor = Number.NEGATIVE_INFINITY;
  private diskCursor = 0;
  private atOnce: number;
  /** In a row. */
  private failures = 0;
  private away: string | undefined;
  private pausedUntil = 0;
  private probing = false;
  /** Ends the pause before the next heartbeat. */
  private probeNow: () => void = () => {};
  private lastAccepted = Number.NEGATIVE_INFINITY;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(options: DeliveryOptions) {
    this.options = options;
    this.client = options.client;
    this.atOnce = this.most();
  }

  private most(): number {
    return this.options.mostAtOnce ?? defaultMostAtOnce;
  }

  /** What is wrong with the hub; undefined while events arrive. */
  problem(): string | undefined {
    return this.away;
  }

  isTaken(id: number): boolean {
    return this.onTheWay.has(id) || this.delayed.has(id);
  }

  /** From now on events go by another client: other settings or credentials. It is tried at once. */
  use(client: HubClient): void {
    this.client.close();
    this.client = client;
    this.pausedUntil = 0;
    this.lastAccepted = Number.NEGATIVE_INFINITY;
    this.probeNow();
    this.pump();
  }

  /** Begins whatever can be begun now. */
  pump(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.stopped || this.probing) return;
    const now = performance.now();
    if (now < this.pausedUntil) {
      this.again(this.pausedUntil - now);
      return;
    }
    while (this.onTheWay.size < this.atOnce && this.bytesOnTheWay < mostOnTheWay) {
      const event = this.dueAgain(now) ?? this.fresh();
      if (event === undefined) break;
      void this.send(event);
    }
    const next = Math.min(...[...this.delayed.values()].map(({ due }) => due));
    if (Number.isFinite(next) && this.onTheWay.size < this.atOnce) this.again(Math.max(0, next - now));
  }

  /** Begins nothing more. The promise is done when what is on its way has its answer. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    this.probeNow();
    while (this.onTheWay.size > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    this.client.close();
  }

  private again(milliseconds: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.pump(), milliseconds);
  }

  private dueAgain(now: number): WaitingEvent | undefined {
    for (const [id, { due }] of this.delayed) {
      if (due > now) continue;
      const event = this.options.keeper.waitingEvent(id);
      if (event !== undefined) return event;
      this.delayed.delete(id);
    }
    return undefined;
  }

  private fresh(): WaitingEvent | undefined {
    if (this.delayed.size >= mostDelayed) return undefined;
    const { keeper } = this.options;
    const held = keeper.nextHeld(this.heldCursor);
    if (held !== undefined) {
      this.heldCursor = held.id;
      return held;
    }
    for (;;) {
      const event = keeper.nextOnDisk(this.diskCursor);
      if (event === undefined) return undefined;
      this.diskCursor = event.id;
      if (!this.isTaken(event.id)) return event;
    }
  }

  private async send(event: WaitingEvent): Promise<void> {
    const { id, text } = event;
    const tries = (this.delayed.get(id)?.tries ?? 0) + 1;
    this.delayed.delete(id);
    this.onTheWay.set(id, text.length);
    this.bytesOnTheWay += text.length;
    const start = performance.now();
    const outcome = await this.settled(await this.client.post(text));
    this.onTheWay.delete(id);
    this.bytesOnTheWay -= text.length;
    if (outcome.is === 'delivered') {
      this.hasArrived();
      this.options.onDelivered((performance.now() - start) / 1000);
      this.options.keeper.hasDelivered(id);
    } else if (outcome.is === 'refused') {
      this.options.onRejected(outcome.status);
      this.options.keeper.hasRejected(id, outcome.status);
    } else this.hasFailed(id, tries, outcome);
    this.pump();
  }

  /** A refusal counts only where the hub takes other events: else it refuses us. */
  private async settled(outcome: PostOutcome): Promise<PostOutcome> {
    if (outcome.is !== 'refused' || performance.now() - this.lastAccepted < acceptanceCounts) return outcome;
    const probe = await this.client.post(this.options.heartbeat());
    if (probe.is !== 'delivered') return asFailure(probe);
    this.lastAccepted = performance.now();
    return outcome;
  }

  private hasArrived(): void {
    this.failures = 0;
    this.lastAccepted = performance.now();
    // After an outage not all at once: what has just come back may not stand it.
    this.atOnce = Math.min(this.most(), this.atOnce * 2);
  }

  private hasFailed(id: number, tries: number, failure: Failure): void {
    const { pause = defaultPause, keeper, onRetried } = this.options;
    onRetried();
    const now = performance.now();
    const stays = keeper.persist(id);
    if (stays !== undefined) this.delayed.set(stays, { tries, due: now + pause(tries) });
    if (failure.after !== undefined) this.pausedUntil = Math.max(this.pausedUntil, now + failure.after);
    this.failures++;
    if (this.failures >= failuresUntilProbe) void this.probe();
  }

  /** Begins no event until a heartbeat arrives. */
  private async probe(): Promise<void> {
    if (this.probing) return;
    this.probing = true;
    for (let pauses = 0; !this.stopped; pauses++) {
      const outcome = await this.client.post(this.options.heartbeat());
      if (outcome.is === 'delivered') break;
      const { why, after = 0 } = asFailure(outcome);
      if (this.away === undefined) this.options.onHub(why);
      this.away = why;
      const { pause = defaultPause } = this.options;
      await this.pausing(Math.max(after, pause(pauses)));
    }
    this.probing = false;
    if (this.stopped) return;
    this.pausedUntil = 0;
    this.failures = 0;
    this.lastAccepted = performance.now();
    if (this.away !== undefined) {
      this.away = undefined;
      this.atOnce = 1;
      for (const [id, { tries }] of this.delayed) this.delayed.set(id, { tries, due: 0 });
      this.options.onHub(undefined);
    }
    this.pump();
  }

  private pausing(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.probeNow = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

type Failure = Extract<PostOutcome, { is: 'retry' }>;

/** What to make of an answer to a heartbeat that is no acceptance. */
function asFailure(outcome: Exclude<PostOutcome, { is: 'delivered' }>): Failure {
  if (outcome.is === 'retry') return outcome;
  return {
    is: 'retry',
    why: `${outcome.why} to every event: see the certificate and headers in Secret falco-federation-hub, and hub.address`,
  };
}
