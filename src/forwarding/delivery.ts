/**
 * Brings what waits to the hub: oldest first, several at once, for as long as it takes.
 *
 * | the hub        | known by                                           | so                                                |
 * | -------------- | -------------------------------------------------- | ------------------------------------------------- |
 * | there          | the last answers                                   | as many events at once as it takes                |
 * | away           | failures in a row, and then of a heartbeat too     | heartbeats in growing pauses until one arrives    |
 * | lets nobody in | it refuses an event, and then a heartbeat too      | the same: the way is at fault, no event given up  |
 *
 * An event goes for good where the hub refuses it, then takes another one or a heartbeat, and then refuses it again: a
 * hub that refuses everything for a while, as an ingress without its backend does, costs no event. One that fails while
 * others arrive goes again, later each time, and holds nobody up.
 */
import { pauseAfter } from '../background/pause-after.ts';
import { type Attempts, DelayedEvents } from './delayed-events.ts';
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
const mostOnTheWay = 4 * 1024 * 1024;

/** Failures without a success in between after which a heartbeat finds out whether it is the hub. */
const failuresUntilProbe = 3;

/** Events that wait for another try while others arrive; with more of them nothing new is begun. */
const mostDelayed = 10_000;

/** Milliseconds until an event is looked for again that cannot be read from disk now. */
const readAgain = 1_000;

/** Milliseconds for which answers are still waited for when all else is over. */
const lastAnswers = 1_000;

const neverTried: Attempts = { tries: 0 };

export class Delivery {
  private readonly options: DeliveryOptions;
  private client: HubClient;
  private readonly onTheWay = new Set<number>();
  private charactersOnTheWay = 0;
  private readonly delayed = new DelayedEvents();
  private heldCursor = Number.NEGATIVE_INFINITY;
  private diskCursor = 0;
  private atOnce: number;
  /** In a row. */
  private failures = 0;
  private away: { readonly why: string; readonly since: Date } | undefined;
  private lastFailure = '';
  private pausedUntil = 0;
  private probing = false;
  /** Ends the pause before the next heartbeat. */
  private probeNow: () => void = () => {};
  /** When the latest of what the hub took was posted. */
  private acceptedPost = Number.NEGATIVE_INFINITY;
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
    return this.away?.why;
  }

  /** Since when that is so. */
  problemSince(): Date | undefined {
    return this.away?.since;
  }

  /** How many events have failed and go again, and why the last of them did. */
  delayedEvents(): { readonly events: number; readonly why: string } {
    return { events: this.delayed.size, why: this.lastFailure };
  }

  isTaken(id: number): boolean {
    return this.onTheWay.has(id) || this.delayed.has(id);
  }

  /** From now on events go by another client: other settings or credentials. It is tried at once. */
  use(client: HubClient): void {
    this.client.close();
    this.client = client;
    this.pausedUntil = 0;
    this.failures = 0;
    this.acceptedPost = Number.NEGATIVE_INFINITY;
    this.delayed.hurry();
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
    while (this.hasRoom() && (this.sendDelayed(now) || this.sendFresh()));
    const next = this.delayed.nextDue();
    if (next !== undefined && this.hasRoom()) this.again(Math.max(0, next - now));
  }

  /**
   * Begins nothing more. The promise is done when what is on its way has its answer, or a moment after the time is up.
   *
   * @param until as performance.now()
   */
  async stop(until: number): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    this.probeNow();
    const end = until + lastAnswers;
    while (this.onTheWay.size > 0 && performance.now() < end)
      await new Promise((resolve) => setTimeout(resolve, 20));
    this.client.abort();
  }

  private hasRoom(): boolean {
    return this.onTheWay.size < this.atOnce && this.charactersOnTheWay < mostOnTheWay;
  }

  private again(milliseconds: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.pump(), milliseconds);
  }

  /** @returns whether there was an event that is due again */
  private sendDelayed(now: number): boolean {
    for (;;) {
      const next = this.delayed.takeDue(now);
      if (next === undefined) return false;
      const event = this.options.keeper.waitingEvent(next.id);
      if (event === 'unreadable') this.delayed.add({ ...next, due: now + readAgain });
      // Else it is gone: the spool was full, or damaged.
      else if (event !== undefined) {
        void this.send(event, next.attempts);
        return true;
      }
    }
  }

  private sendFresh(): boolean {
    const event = this.fresh();
    if (event !== undefined) void this.send(event, neverTried);
    return event !== undefined;
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

  private async send({ id, text }: WaitingEvent, before: Attempts): Promise<void> {
    const { client } = this;
    this.onTheWay.add(id);
    this.charactersOnTheWay += text.length;
    const posted = performance.now();
    const outcome = await client.post(text);
    this.onTheWay.delete(id);
    this.charactersOnTheWay -= text.length;
    if (outcome.is === 'delivered') this.hasArrived(id, posted);
    // What another address or other credentials came to says nothing of those of today.
    else if (client !== this.client) this.goesAgain(id, before, 0);
    else if (outcome.is === 'refused' && this.isItsOwnFault(before)) {
      this.options.onRejected(outcome.status);
      this.options.keeper.hasRejected(id, outcome.status);
    } else this.hasFailed(id, before, outcome);
    this.pump();
  }

  /** Whether the hub has taken something that was posted after it had refused this event for the first time. */
  private isItsOwnFault({ refusedAt = Number.POSITIVE_INFINITY }: Attempts): boolean {
    return this.acceptedPost > refusedAt;
  }

  private hasArrived(id: number, posted: number): void {
    this.failures = 0;
    this.acceptedPost = Math.max(this.acceptedPost, posted);
    // After an outage not all at once: what has just come back may not stand it.
    this.atOnce = Math.min(this.most(), this.atOnce * 2);
    this.options.onDelivered((performance.now() - posted) / 1000);
    this.options.keeper.hasDelivered(id);
  }

  private hasFailed(id: number, before: Attempts, outcome: Exclude<PostOutcome, { is: 'delivered' }>): void {
    const { pause = pauseAfter, onRetried } = this.options;
    onRetried();
    this.lastFailure = outcome.why;
    const now = performance.now();
    const isRefused = outcome.is === 'refused';
    const refusedAt = before.refusedAt ?? (isRefused ? now : undefined);
    const tries = before.tries + 1;
    this.goesAgain(id, { tries, ...(refusedAt === undefined ? {} : { refusedAt }) }, now + pause(tries));
    if (outcome.is === 'retry' && outcome.after !== undefined)
      this.pausedUntil = Math.max(this.pausedUntil, now + outcome.after);
    this.failures++;
    const isUnclear = isRefused && before.refusedAt !== undefined;
    if (isUnclear || this.failures >= failuresUntilProbe) void this.probe();
  }

  private goesAgain(id: number, attempts: Attempts, due: number): void {
    const stays = this.options.keeper.persist(id);
    if (stays !== undefined) this.delayed.add({ id: stays, attempts, due });
  }

  /** Begins no event until a heartbeat arrives. */
  private async probe(): Promise<void> {
    if (this.probing) return;
    this.probing = true;
    await this.untilHeartbeatArrives();
    this.probing = false;
    if (this.stopped) return;
    this.pausedUntil = 0;
    this.failures = 0;
    if (this.away !== undefined) {
      this.away = undefined;
      this.atOnce = 1;
      this.delayed.hurry();
      this.options.onHub(undefined);
    }
    this.pump();
  }

  private async untilHeartbeatArrives(): Promise<void> {
    const { pause = pauseAfter, heartbeat, onHub } = this.options;
    for (let pauses = 0; !this.stopped; pauses++) {
      const { client } = this;
      const posted = performance.now();
      const outcome = await client.post(heartbeat());
      if (client === this.client) {
        if (outcome.is === 'delivered') {
          this.acceptedPost = Math.max(this.acceptedPost, posted);
          return;
        }
        const { why, after = 0 } = asFailure(outcome);
        if (this.away === undefined) onHub(why);
        this.away = { why, since: this.away?.since ?? new Date() };
        if (!this.stopped) await this.pausing(Math.max(after, pause(pauses)));
      }
      // Another client has earned no pause yet.
      if (client !== this.client) pauses = -1;
    }
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
