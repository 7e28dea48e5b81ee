/**
 * Brings events to the hub's falcosidekick: single posts, as it takes no others (FACTS 3.15), over as many connections as
 * its latency allows, and none while it has enough of them in memory. Each connection asks the falcosidekick at its other
 * end: a Service may lead to several.
 */
import type { LineOutcome } from '../events/batch.ts';
import { Concurrency } from '../events/concurrency.ts';
import { noCredentials } from '../events/credentials.ts';
import { type Exchange, type HttpClient, httpClient } from '../events/http-client.ts';
import { QueueGauge, readMetrics } from './queue-gauge.ts';
import { Turns, type Waiting } from './turns.ts';

/** One event that is to be passed on. */
export interface Passing extends Waiting {
  readonly text: string;
  readonly answer: (outcome: LineOutcome) => void;
}

export interface FalcosidekickEvents {
  /** It accepts no events (why), or takes them again (undefined). */
  readonly onProblem: (problem: string | undefined) => void;
  /** @param seconds from the post to its answer */
  readonly onAnswer: (seconds: number) => void;
}

/** Connections: with more of them it is no faster (FACTS 3.17). */
const mostLanes = 32;
/** Where its metrics cannot be read. */
const lanesInTheDark = 4;

/** Milliseconds between two readings of a full one's gauge, and for which a reading holds. */
const lookAgain = 100;
const readingHolds = 1_000;
/** Milliseconds until metrics that could not be read are asked for again. */
const askAgain = 30_000;
/** Milliseconds of the first pause, and of the longest, after failures. */
const [firstPause, longestPause] = [250, 10_000];

/** Goroutines of a Go server for one connection that is in use. */
const perConnection = 2;

interface Lane {
  readonly client: HttpClient;
  /** Of the falcosidekick at its other end; undefined while that is not known. */
  gauge: QueueGauge | undefined;
}

/** What it answers to an event, by words of its own; others' answers say nothing of the event. */
function outcomeOf(answer: Exchange): LineOutcome {
  if (answer.is === 'failed') return { is: 'later', message: answer.why };
  const { status, text } = answer;
  if (status === 200 && text === '') return { is: 'accepted' };
  if (status === 400 && text.trim() === 'Please send a valid request body')
    return { is: 'refused', reason: 'bad_field', message: 'falcosidekick refuses it' };
  return {
    is: 'later',
    message: `what is at receiver.falcosidekick answers ${status}, and not as falcosidekick does`,
  };
}

export class Falcosidekick {
  private readonly events: FalcosidekickEvents;
  private readonly answerTime: number;
  private address: string | undefined;
  private readonly waiting = new Turns<Passing>();
  private readonly lanes = new Set<Lane>();
  private idle: Lane[] = [];
  private concurrency = new Concurrency(mostLanes);
  /** By the time at which each process was started. */
  private gauges = new Map<string, QueueGauge>();
  private inTheDarkUntil = 0;
  private failures = 0;
  private pausedUntil = 0;
  private problem: string | undefined;
  private heldBackSince: number | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(events: FalcosidekickEvents, answerTime = 15_000) {
    this.events = events;
    this.answerTime = answerTime;
  }

  /** From now on events go there; what is on its way gets its answer. */
  use(address: string | undefined): void {
    if (address === this.address) return;
    this.address = address;
    for (const lane of this.lanes) lane.client.close();
    this.lanes.clear();
    this.idle = [];
    this.gauges.clear();
    this.concurrency = new Concurrency(mostLanes);
    [this.inTheDarkUntil, this.failures, this.pausedUntil] = [0, 0, 0];
    this.pump();
  }

  add(passing: Passing): void {
    this.waiting.add(passing);
    this.pump();
  }

  /** @returns whether it was still waiting: it is not passed on then */
  remove(passing: Passing): boolean {
    return this.waiting.remove(passing);
  }

  /** Why it accepts no events. */
  problemNow(): string | undefined {
    return this.address === undefined ? 'the settings have no receiver.falcosidekick' : this.problem;
  }

  /** Whether its metrics can be read. */
  isInTheDark(): boolean {
    return performance.now() < this.inTheDarkUntil;
  }

  /** Since when nothing is posted, as it has enough in memory, as performance.now(). */
  heldBack(): number | undefined {
    return this.heldBackSince;
  }

  close(): void {
    clearTimeout(this.timer);
    for (const lane of this.lanes) lane.client.abort();
  }

  private pump(): void {
    clearTimeout(this.timer);
    const now = performance.now();
    if (this.waiting.isEmpty() || this.address === undefined) return;
    if (now < this.pausedUntil) {
      this.again(this.pausedUntil - now);
      return;
    }
    while (!this.waiting.isEmpty() && this.hasRoom()) {
      const lane = this.idle.pop() ?? this.newLane(this.address);
      this.concurrency.begin();
      void this.carry(lane);
    }
  }

  private hasRoom(): boolean {
    return this.concurrency.hasRoom() && (!this.isInTheDark() || this.concurrency.active < lanesInTheDark);
  }

  private again(milliseconds: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.pump(), milliseconds);
  }

  private newLane(address: string): Lane {
    const client = httpClient(
      { address, credentials: noCredentials, env: {} },
      { answerTime: this.answerTime, mostConnections: 1 },
    );
    const lane: Lane = { client, gauge: undefined };
    this.lanes.add(lane);
    return lane;
  }

  /** One event over a lane, where the falcosidekick at its end has room for it. */
  private async carry(lane: Lane): Promise<void> {
    const { concurrency } = this;
    const mayPost = await this.mayPost(lane);
    const passing = mayPost ? this.waiting.next() : undefined;
    if (passing === undefined) {
      concurrency.cancel();
      this.release(lane);
      if (!mayPost) this.again(lookAgain);
      return;
    }
    const posted = performance.now();
    lane.gauge?.hasPosted();
    const answer = await lane.client.send({
      method: 'POST',
      body: Buffer.from(passing.text),
      headers: { 'content-type': 'application/json' },
    });
    const now = performance.now();
    // Another falcosidekick may be at the end of a new connection.
    if (answer.is === 'failed' || answer.isNewConnection) lane.gauge = undefined;
    const outcome = outcomeOf(answer);
    concurrency.end(outcome.is === 'later' ? undefined : now - posted, now);
    if (outcome.is === 'later') this.hasFailed(outcome.message, now);
    else this.hasAnswered((now - posted) / 1000);
    passing.answer(outcome);
    this.release(lane);
    this.pump();
  }

  private release(lane: Lane): void {
    if (this.lanes.has(lane)) this.idle.push(lane);
  }

  private hasFailed(why: string, now: number): void {
    const pause = Math.min(longestPause, firstPause * 2 ** Math.min(this.failures++, 16));
    this.pausedUntil = now + pause / 2 + (Math.random() * pause) / 2;
    // One may have met a restart.
    if (this.problem === undefined && this.failures > 2) this.events.onProblem(why);
    if (this.failures > 2) this.problem = why;
  }

  private hasAnswered(seconds: number): void {
    this.failures = 0;
    this.pausedUntil = 0;
    this.events.onAnswer(seconds);
    if (this.problem === undefined) return;
    this.problem = undefined;
    this.events.onProblem(undefined);
  }

  /** Whether an event may be posted over this lane, by the gauge at its end. */
  private async mayPost(lane: Lane): Promise<boolean> {
    const now = performance.now();
    if (this.isInTheDark()) return true;
    if (lane.gauge !== undefined) {
      const age = now - lane.gauge.askedAt;
      if (age < readingHolds && lane.gauge.room() > 0) return true;
      if (age < lookAgain) return false;
      lane.gauge.askedAt = now;
    }
    const gauge = await this.readGauge(lane, now);
    if (gauge === undefined) return true;
    const hasRoom = gauge.room() > 0;
    this.heldBackSince = hasRoom ? undefined : (this.heldBackSince ?? now);
    return hasRoom;
  }

  private async readGauge(lane: Lane, now: number): Promise<QueueGauge | undefined> {
    const answer = await lane.client.send({ method: 'GET', path: '/metrics' });
    const read = answer.is === 'answered' && answer.status === 200 ? readMetrics(answer.text) : undefined;
    // One that is away is no reason to go on in the dark when it comes back.
    if (read === undefined && answer.is === 'answered') this.inTheDarkUntil = now + askAgain;
    if (read === undefined) return undefined;
    const gauge = this.gauges.get(read.started) ?? new QueueGauge();
    if (!this.gauges.has(read.started) && this.gauges.size >= 16) this.gauges.clear();
    this.gauges.set(read.started, gauge);
    gauge.read(read.goroutines, perConnection * this.lanes.size, now);
    gauge.askedAt = now;
    lane.gauge = gauge;
    return gauge;
  }
}
