/** The parts of a forwarder put together: what it takes, keeps and delivers, and what it tells of that. */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { LineOutcome, ReadLine } from '../events/batch.ts';
import { completeEvent, type Marks } from '../events/complete-event.ts';
import { type Credentials, type CredentialsResult, noCredentials } from '../events/credentials.ts';
import { priorityOf } from '../events/event.ts';
import type { EventServerOptions, SentBatch } from '../events/event-server.ts';
import { Refusal } from '../events/refusal.ts';
import { effectiveSettings } from '../federation/effective-settings.ts';
import { version } from '../federation/names.ts';
import type { Condition } from '../server/health.ts';
import { bytesOf, priorities, type Settings, secondsOf } from '../settings/schema.ts';
import { Delivery } from './delivery.ts';
import { type ForwarderMetrics, makeForwarderMetrics } from './forwarder-metrics.ts';
import { beat, heartbeatEvent } from './heartbeat.ts';
import { type HubClient, hubClient, type PostOutcome } from './hub-client.ts';
import { drained, Keeper } from './keeper.ts';
import { tellRejections } from './tell-rejections.ts';

export interface ForwarderOptions {
  /** Folder of the spool. */
  readonly spool: string;
  /** Name of this replica: the heartbeats' hostname. */
  readonly replica: string;
  /** For the proxies of HTTPS_PROXY, HTTP_PROXY and NO_PROXY. */
  readonly env: NodeJS.ProcessEnv;
  readonly logger: Logger;
  /** The settings in force. */
  readonly settings: () => Settings;
  /** Whether their file is good as it is now. */
  readonly settingsValid: () => boolean;
}

const defaults = { spoolSize: '1Gi', heartbeat: '15m' };

/** Milliseconds until the next heartbeat after one that did not arrive. */
const beatAgainAfter = 60_000;

/** What a hub's address is missing looks like: nothing can be posted, and everything waits. */
const noHub: HubClient = {
  post: async () => ({
    is: 'retry',
    why: 'the settings name no hub for a forwarder: set hub.address',
  }),
  close: () => {},
  abort: () => {},
};

interface Access {
  readonly address: string | undefined;
  readonly checkCertificate: boolean | undefined;
  readonly credentials: Credentials;
}

export class Forwarder {
  readonly metrics: ForwarderMetrics;
  private readonly options: ForwarderOptions;
  private readonly keeper: Keeper;
  private readonly delivery: Delivery;
  private beating: ReturnType<typeof beat> | undefined;
  private credentials: Credentials = noCredentials;
  /** What is wrong with the credentials' files as they are now. */
  private credentialsProblem: string | undefined;
  private client: HubClient = noHub;
  /** What the client was made of. */
  private access: Access | undefined;
  private isStarted = false;
  private beatAgain: NodeJS.Timeout | undefined;
  private stopped = false;
  private lastBeat: { readonly at: Date; readonly outcome: PostOutcome } | undefined;

  constructor(options: ForwarderOptions) {
    this.options = options;
    this.metrics = makeForwarderMetrics({
      version,
      settings: () => ({ ...options.settings(), valid: options.settingsValid() }),
      waiting: () => this.keeper.waiting(),
      oldest: () => this.keeper.oldest(),
      spoolSize: () => this.keeper.size(),
      spoolLimit: () => this.spoolLimit(),
      spoolWorks: () => this.keeper.problem() === undefined,
      delayed: () => this.delivery.delayedEvents().events,
      hubReachable: () => this.delivery.problem() === undefined,
      clientCertificateNotAfter: () => this.credentials.client?.notAfter,
    });
    // Opening may tell of a spool that fails before there is anything to deliver.
    let delivery: Delivery | undefined;
    this.keeper = new Keeper({
      folder: options.spool,
      limit: this.spoolLimit(),
      isTaken: (id) => delivery?.isTaken(id) ?? false,
      onSpool: (problem) => this.tellSpool(problem),
      onDamaged: (saved) =>
        options.logger.error(
          { saved },
          'the spool was damaged; a new one has what could still be read of it',
        ),
      onDropped: this.metrics.dropped,
      onWaiting: () => {
        if (this.isStarted) delivery?.pump();
      },
    });
    const tellRejection = tellRejections(options.logger);
    this.delivery = new Delivery({
      keeper: this.keeper,
      client: noHub,
      heartbeat: () => this.heartbeat(),
      onHub: (problem) => this.tellHub(problem),
      onDelivered: this.metrics.delivered,
      onRetried: this.metrics.retried,
      onRejected: (status) => {
        this.metrics.rejected(status);
        tellRejection(status);
      },
    });
    delivery = this.delivery;
  }

  /** Begins to deliver: once the credentials have been read, as the hub would let nobody in without them. */
  start(): void {
    this.isStarted = true;
    this.useNewClient();
    this.beating = beat(
      () => this.heartbeatPeriod(),
      () => void this.sendHeartbeat(),
    );
  }

  /** What the server of events asks of a forwarder. */
  receiving(): Pick<EventServerOptions, 'take' | 'onRefused'> {
    return { take: (batch) => this.take(batch), onRefused: this.metrics.refused };
  }

  /** @throws Refusal where one of the lines is not safe: all of them may come again, none is kept twice that has a key */
  private async take({ lines }: SentBatch): Promise<ReadonlyMap<number, LineOutcome>> {
    const outcomes = await Promise.all(lines.map((line) => this.takeLine(line)));
    if (outcomes.includes('unsafe'))
      throw new Refusal(503, 'unsafe', 'not all events are safe: neither the disk nor the hub has them yet');
    return new Map(
      lines.flatMap(({ line }, at) => {
        const outcome = outcomes[at];
        return outcome === undefined || outcome === 'unsafe' ? [] : [[line, outcome]];
      }),
    );
  }

  private async takeLine(read: ReadLine): Promise<LineOutcome | 'unsafe'> {
    if ('reason' in read) return { ...read, is: 'refused' };
    const { key, text, fields } = read;
    const priority = priorities.indexOf(priorityOf(fields.priority) ?? 'debug');
    this.metrics.received();
    if (priority > priorities.indexOf(this.hub()?.minimumPriority ?? 'debug')) {
      this.metrics.notWanted();
      return { is: 'accepted' };
    }
    const completed = completeEvent(text, fields, this.marks());
    const kept = await this.keeper.keep({ key, text: completed, priority, received: Date.now() });
    if (kept === 'unsafe') return kept;
    return { is: kept === 'safe' ? 'accepted' : kept };
  }

  /** Ready is who can keep events; whether the hub takes them is only told, as another replica could not help. */
  checks(): Readonly<Record<'spool' | 'hub' | 'heartbeat' | 'credentials', Condition>> {
    const { events, bytes } = this.keeper.waiting();
    const spool = this.keeper.problem();
    return {
      spool: { ready: spool === undefined, detail: spool ?? `ok, ${events} events wait (${bytes} bytes)` },
      hub: { ready: true, detail: this.hubDetail() },
      heartbeat: { ready: true, detail: this.aboutHeartbeat() },
      credentials: {
        ready: true,
        detail:
          this.credentialsProblem === undefined
            ? 'ok'
            : `refused, the last good ones stay: ${this.credentialsProblem}`,
      },
    };
  }

  private hubDetail(): string {
    const problem = this.delivery.problem();
    if (problem !== undefined)
      return `takes no events since ${this.delivery.problemSince()?.toISOString()}: ${problem}`;
    const { events, why } = this.delivery.delayedEvents();
    return events === 0 ? 'ok' : `ok, but ${events} events have failed and go again: ${why}`;
  }

  private aboutHeartbeat(): string {
    if (this.heartbeatPeriod() === undefined) return 'off';
    if (this.lastBeat === undefined) return 'none yet';
    const { at, outcome } = this.lastBeat;
    return outcome.is === 'delivered'
      ? `ok, taken at ${at.toISOString()}`
      : `not taken at ${at.toISOString()}: ${outcome.why}`;
  }

  /** Other settings are in force. */
  settingsChanged(): void {
    this.keeper.resize(this.spoolLimit());
    if (!this.isStarted) return;
    this.useNewClient();
    this.beating?.changed();
  }

  /** The credentials' files have been read, or read again. */
  credentialsRead(result: CredentialsResult): void {
    const { logger } = this.options;
    if (!result.ok) {
      this.credentialsProblem = result.why;
      logger.error({ problem: result.why }, 'credentials refused; the last good ones stay');
      return;
    }
    this.credentialsProblem = undefined;
    this.credentials = result.credentials;
    const { ca, client, headers } = result.credentials;
    logger.info(
      {
        authority: ca !== undefined,
        clientCertificate: client !== undefined,
        notAfter: client?.notAfter,
        headers: Object.keys(headers),
      },
      'credentials read',
    );
    if (this.isStarted) this.useNewClient();
  }

  /**
   * Delivers what waits as far as the time reaches, and closes the spool.
   *
   * @param until as performance.now()
   * @returns how many events still wait
   */
  async stop(until: number): Promise<number> {
    this.beating?.stop();
    this.stopped = true;
    clearTimeout(this.beatAgain);
    if (this.isStarted) await drained(this.keeper, until);
    await this.delivery.stop(until);
    const { events } = this.keeper.waiting();
    this.keeper.close();
    return events;
  }

  private marks(): Marks {
    return effectiveSettings(this.options.settings(), undefined, undefined).effective;
  }

  private hub() {
    const { hub } = this.options.settings();
    return hub;
  }

  private spoolLimit(): number {
    return bytesOf((this.options.settings().forwarder ?? defaults).spoolSize);
  }

  private heartbeatPeriod(): number | undefined {
    const { heartbeat } = this.options.settings().forwarder ?? defaults;
    return heartbeat === 'off' || this.hub() === undefined ? undefined : secondsOf(heartbeat) * 1000;
  }

  private heartbeat(): string {
    return heartbeatEvent({
      marks: this.marks(),
      hostname: this.options.replica,
      version,
      waiting: this.keeper.waiting(),
      now: new Date(),
    });
  }

  /** Not kept: one that is late says nothing. The next one comes, and after a failure soon. */
  private async sendHeartbeat(): Promise<void> {
    clearTimeout(this.beatAgain);
    const { client } = this;
    const outcome = await client.post(this.heartbeat());
    this.metrics.heartbeat(outcome.is === 'delivered');
    // Another way to the hub has begun one of its own.
    if (client !== this.client) return;
    this.lastBeat = { at: new Date(), outcome };
    if (outcome.is === 'delivered' || this.stopped) return;
    this.beatAgain = setTimeout(() => void this.sendHeartbeat(), beatAgainAfter);
  }

  /** Other settings that say the same of the hub leave its connections alone. */
  private useNewClient(): void {
    const { address, checkCertificate } = this.hub() ?? {};
    const access = { address, checkCertificate, credentials: this.credentials };
    if (isDeepStrictEqual(access, this.access)) return;
    this.access = access;
    this.client = this.clientFor(access);
    this.delivery.use(this.client);
    // A heartbeat that did not arrive the former way need not wait for its next turn.
    const waits = this.lastBeat !== undefined && this.lastBeat.outcome.is !== 'delivered';
    if (waits && this.heartbeatPeriod() !== undefined) void this.sendHeartbeat();
  }

  private clientFor({ address, checkCertificate = true, credentials }: Access): HubClient {
    if (address === undefined) return noHub;
    return hubClient({ address, checkCertificate, credentials, env: this.options.env });
  }

  private tellSpool(problem: string | undefined): void {
    const { logger } = this.options;
    if (problem === undefined) logger.info('the spool works again');
    else {
      logger.error(
        { problem },
        'the spool cannot be written: events are held in memory until the hub has them, and those that do not fit get 503; give it room, and the right to write',
      );
    }
  }

  private tellHub(problem: string | undefined): void {
    const { logger } = this.options;
    if (problem !== undefined) {
      logger.warn({ problem }, 'the hub takes no events; they wait');
      return;
    }
    // A heartbeat has found it out.
    this.lastBeat = { at: new Date(), outcome: { is: 'delivered' } };
    logger.info('the hub takes events');
  }
}
