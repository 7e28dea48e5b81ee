/** The parts of a forwarder put together: what it takes, keeps and delivers, and what it tells of that. */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { nowAndThen } from '../background/now-and-then.ts';
import type { LineOutcome } from '../events/batch.ts';
import { postBatch } from '../events/batch-client.ts';
import { completeEvent, type Marks } from '../events/complete-event.ts';
import { type Credentials, noCredentials } from '../events/credentials.ts';
import { priorityOf } from '../events/event.ts';
import type { EventServerOptions, SentBatch } from '../events/event-server.ts';
import { type HttpClient, httpClient } from '../events/http-client.ts';
import { Refusal } from '../events/refusal.ts';
import { type Report, reportHeader } from '../events/report.ts';
import { effectiveSettings } from '../federation/effective-settings.ts';
import { version } from '../federation/names.ts';
import type { Condition } from '../server/health.ts';
import { defaultForwarderAddress, priorities, type Settings } from '../settings/schema.ts';
import { amountOf } from '../settings/values.ts';
import { Delivery } from './delivery.ts';
import { type ForwarderMetrics, makeForwarderMetrics } from './forwarder-metrics.ts';
import type { NewEvent } from './spool.ts';
import { Store } from './store.ts';

export interface ForwarderOptions {
  /** Folder of the spool. */
  readonly spool: string;
  /** Name of this replica, for reports. */
  readonly replica: string;
  /** For HTTPS_PROXY, HTTP_PROXY and NO_PROXY. */
  readonly env: NodeJS.ProcessEnv;
  readonly logger: Logger;
  /** The settings in force. */
  readonly settings: () => Settings;
  /** Whether their file is good as it is now. */
  readonly settingsValid: () => boolean;
  /** Pods by state, as the webhook sees them; undefined where that is not known. */
  readonly pods: () => Report['pods'];
  /** The store has gone: the process is of no use any more. */
  readonly onLost: () => void;
}

const defaults = { spoolSize: '1Gi', address: defaultForwarderAddress };

/** Milliseconds of the grace period in which the other replica gets what the hub does not take. */
const forHandingOver = 8_000;

/** Failures in a row after which there is nobody to take it. */
const mostFailures = 5;

/** Milliseconds between two lines of the log about events that the hub refuses for the same reason. */
const tellRejectionsEvery = 60_000;

/** What a hub's address is missing looks like: nothing can be posted, and everything waits. */
const noHub: HttpClient = {
  send: async () => ({ is: 'failed', why: 'the settings name no hub for a forwarder: set hub.address' }),
  close: () => {},
  abort: () => {},
};

interface Access {
  readonly address: string | undefined;
  readonly credentials: Credentials;
}

export class Forwarder {
  readonly metrics: ForwarderMetrics;
  private readonly options: ForwarderOptions;
  private readonly store: Store;
  private readonly delivery: Delivery;
  private credentials: Credentials = noCredentials;
  /** What the client was made of. */
  private access: Access | undefined;
  private isStarted = false;

  constructor(options: ForwarderOptions) {
    this.options = options;
    this.metrics = makeForwarderMetrics({
      version,
      settings: () => ({ ...options.settings(), valid: options.settingsValid() }),
      store: () => this.store.status(),
      spoolLimit: () => this.spoolLimit(),
      pausing: () => this.delivery.pausing(),
      hubReachable: () => this.delivery.problem() === undefined,
      clientCertificateNotAfter: () => this.credentials.client?.notAfter,
    });
    this.store = new Store(
      { folder: options.spool, limit: this.spoolLimit() },
      {
        onSpool: (problem) => this.tellSpool(problem),
        onDamaged: (saved) =>
          options.logger.error(
            { saved },
            'the spool was damaged; a new one has what could still be read of it',
          ),
        onDropped: this.metrics.dropped,
        onWaiting: () => {
          if (this.isStarted) this.delivery.pump();
        },
        onLost: (error) => {
          options.logger.fatal({ problem: String(error) }, 'the thread that keeps events has ended');
          options.onLost();
        },
      },
    );
    const isTimeToTell = nowAndThen(tellRejectionsEvery);
    this.delivery = new Delivery({
      store: this.store,
      client: noHub,
      headers: () => ({ [reportHeader]: this.report() }),
      onHub: (problem) => this.tellHub(problem),
      onDelivered: this.metrics.delivered,
      onRetried: this.metrics.retried,
      onRejected: (reasons) => {
        this.metrics.rejected(reasons.length);
        for (const reason of reasons.filter(isTimeToTell))
          options.logger.error(
            { reason },
            'the hub refuses events for good; falco-federation forward --list-rejected prints them',
          );
      },
    });
  }

  /** Begins to deliver: once the credentials have been read, as the hub would let nobody in without them. */
  start(): void {
    this.isStarted = true;
    this.useNewClient();
  }

  /** What the server of events asks of a forwarder. */
  receiving(): Pick<EventServerOptions, 'take' | 'onRefused'> {
    return { take: (batch) => this.take(batch), onRefused: this.metrics.refused };
  }

  /** @throws Refusal where they are not safe: all of them may come again, none is kept twice that has a key */
  private async take({ lines, request }: SentBatch): Promise<ReadonlyMap<number, LineOutcome>> {
    const outcomes = new Map<number, LineOutcome>();
    const keep: NewEvent[] = [];
    const linesKept: number[] = [];
    const [marks, lowest, received] = [this.marks(), this.lowestPriority(), Date.now()];
    const sender = request.socket.remoteAddress ?? '';
    for (const read of lines) {
      if ('reason' in read) {
        outcomes.set(read.line, { ...read, is: 'refused' });
        continue;
      }
      const { key, line, text, fields } = read;
      const priority = priorities.indexOf(priorityOf(fields.priority) ?? 'debug');
      this.metrics.received();
      outcomes.set(line, { is: 'accepted' });
      if (priority > lowest) {
        this.metrics.notWanted();
        continue;
      }
      keep.push({ ...{ key, priority, received, sender }, text: completeEvent(text, fields, marks) });
      linesKept.push(line);
    }
    if (keep.length === 0) return outcomes;
    const kept = await this.store.keep(keep);
    if (kept === 'unsafe') throw new Refusal(503, 'unsafe', 'the events are not safe: they are not on disk');
    for (const [at, is] of kept.entries()) outcomes.set(linesKept[at] ?? 0, { is });
    return outcomes;
  }

  /** Ready is who can keep events; whether the hub takes them is only told, as another replica could not help. */
  checks(): Readonly<Record<'spool' | 'hub', Condition>> {
    const { events, bytes, problem } = this.store.status();
    return {
      spool: {
        ready: problem === undefined,
        detail: problem ?? `ok, ${events} events wait (${bytes} bytes)`,
      },
      hub: { ready: true, detail: this.hubDetail() },
    };
  }

  private hubDetail(): string {
    const problem = this.delivery.problem();
    const { events, wait } = this.delivery.pausing();
    const pausing = events === 0 ? '' : `; ${events} events go again in ${Math.ceil(wait / 1000)} s`;
    if (problem === undefined) return `ok${pausing}`;
    return `has accepted no events since ${this.delivery.problemSince()?.toISOString()}: ${problem}${pausing}`;
  }

  /** Other settings are in force. */
  settingsChanged(): void {
    this.store.resize(this.spoolLimit());
    if (this.isStarted) this.useNewClient();
  }

  /** The hub is shown these from now on. */
  useCredentials(credentials: Credentials): undefined {
    this.credentials = credentials;
    if (this.isStarted) this.useNewClient();
  }

  /**
   * Delivers what waits as far as the time reaches, gives the rest to the other replica, and closes the spool.
   *
   * @param until as performance.now()
   * @returns how many events still wait, and how many the other replica has
   */
  async stop(until: number): Promise<{ readonly waiting: number; readonly handedOver: number }> {
    const waits = (): boolean => this.store.status().events > 0;
    const now = () => performance.now();
    while (
      this.isStarted &&
      waits() &&
      this.delivery.problem() === undefined &&
      now() < until - forHandingOver
    )
      await new Promise((resolve) => setTimeout(resolve, 50));
    await this.delivery.stop(Math.max(now(), until - forHandingOver));
    const handedOver = waits() && now() < until ? await this.handOver(until) : 0;
    await this.store.close();
    return { waiting: this.store.status().events, handedOver };
  }

  /** On the way out, as the disk may go with the pod. @returns how many events the other replica has taken */
  private async handOver(until: number): Promise<number> {
    const { address } = this.options.settings().forwarder ?? defaults;
    const { env } = this.options;
    const peer = httpClient(
      { address, env, credentials: noCredentials },
      { answerTime: Math.max(1_000, until - performance.now()), mostConnections: 1 },
    );
    let taken = 0;
    for (let failures = 0; failures < mostFailures && performance.now() < until; ) {
      const batch = await this.store.next(500, 7);
      if (batch === undefined) break;
      const outcome = await postBatch(peer, batch);
      if (outcome.is === 'taken') {
        failures = 0;
        taken += outcome.done - outcome.refused.length;
        this.store.settle(batch.number, outcome);
      } else {
        failures++;
        this.store.settle(batch.number, 'back');
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
    peer.abort();
    return taken;
  }

  private report(): string {
    const { events, bytes, oldest } = this.store.status();
    const report: Report = {
      ...{ version, replica: this.options.replica },
      waiting: { events, bytes, ...(oldest === undefined ? {} : { oldest: new Date(oldest).toISOString() }) },
      pods: this.options.pods(),
    };
    return JSON.stringify(report);
  }

  private marks(): Marks {
    return effectiveSettings(this.options.settings(), undefined, undefined).effective;
  }

  private lowestPriority(): number {
    return priorities.indexOf(this.options.settings().hub?.minimumPriority ?? 'debug');
  }

  private spoolLimit(): number {
    return amountOf((this.options.settings().forwarder ?? defaults).spoolSize);
  }

  /** Other settings that say the same of the hub leave its connections alone. */
  private useNewClient(): void {
    const { address } = this.options.settings().hub ?? {};
    const access = { address, credentials: this.credentials };
    if (isDeepStrictEqual(access, this.access)) return;
    this.access = access;
    const { headers } = this.credentials;
    if (
      address?.startsWith('http:') === true &&
      Object.keys(headers).some((name) => /^authorization$/i.test(name))
    )
      this.options.logger.warn(
        'hub.address is http://: the Authorization header goes over the network unencrypted',
      );
    this.delivery.use(this.clientFor(access));
  }

  private clientFor({ address, credentials }: Access): HttpClient {
    if (address === undefined) return noHub;
    return httpClient({ address, credentials, env: this.options.env });
  }

  private tellSpool(problem: string | undefined): void {
    const { logger } = this.options;
    if (problem === undefined) logger.info('the spool works again');
    else {
      logger.error(
        { problem },
        'the spool cannot be written: events get 503 and stay with their senders; give it room, and the right to write',
      );
    }
  }

  private tellHub(problem: string | undefined): void {
    const { logger } = this.options;
    if (problem === undefined) logger.info('the hub takes events');
    else logger.warn({ problem }, 'the hub accepts no events; they wait');
  }
}
