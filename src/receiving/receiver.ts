/**
 * The hub's door: an event is from the cluster whose certificate brought it. Nothing is kept: a line is answered when
 * falcosidekick has the event, so that spokes' disks are the store.
 */
import type { IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import { TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import { nowAndThen } from '../background/now-and-then.ts';
import type { LineOutcome, ReadLine, SentEvent } from '../events/batch.ts';
import { stampEvent } from '../events/complete-event.ts';
import { type Credentials, noCredentials } from '../events/credentials.ts';
import { priorityOf } from '../events/event.ts';
import { type EventServerOptions, eventServer, type SentBatch } from '../events/event-server.ts';
import { Refusal } from '../events/refusal.ts';
import { readReport, reportHeader } from '../events/report.ts';
import { version } from '../federation/names.ts';
import type { Condition } from '../server/health.ts';
import type { PlainServer } from '../server/plain-server.ts';
import { priorities, type Settings } from '../settings/schema.ts';
import { Falcosidekick, type Passing } from './falcosidekick.ts';
import { Fleet } from './fleet.ts';
import { makeReceiverMetrics, type ReceiverMetrics } from './receiver-metrics.ts';
import { RecentKeys } from './recent-keys.ts';
import { type Spoke, type Spokes, spokesOf } from './spokes.ts';

export interface ReceiverOptions {
  readonly logger: Logger;
  /** The settings in force. */
  readonly settings: () => Settings;
  /** Whether their file is good as it is now. */
  readonly settingsValid: () => boolean;
  /** Milliseconds for which a line waits for its turn; tests make it short. */
  readonly patience?: number;
}

/**
 * Milliseconds for which a line waits for its turn: its sender then has it back, so that what is more important by then
 * comes first.
 */
const defaultPatience = 4_000;

/** Connections of one spoke: its forwarders have some each. */
const mostConnections = 48;

/** Milliseconds between two lines of the log about a spoke that claims to be another. */
const tellClaimsEvery = 600_000;

/** Who is at the other end of a connection. */
interface Peer {
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
}

function peerOf(socket: TLSSocket): Peer | undefined {
  const { subject, valid_to } = socket.getPeerCertificate();
  const name = subject?.CN;
  return typeof name === 'string' && name !== '' ? { name, notAfter: Date.parse(valid_to) } : undefined;
}

export class Receiver {
  readonly metrics: ReceiverMetrics;
  readonly fleet: Fleet;
  private readonly options: ReceiverOptions;
  private readonly falcosidekick: Falcosidekick;
  private readonly keys = new RecentKeys();
  /** Events that are on their way, by key: what comes twice at once waits for the same answer. */
  private readonly passing = new Map<string, Promise<LineOutcome>>();
  private readonly peers = new Map<TLSSocket, Peer>();
  private readonly isTimeToTell = nowAndThen(tellClaimsEvery);
  private spokes: Spokes;
  private credentials: Credentials = noCredentials;
  private server: Server | undefined;

  constructor(options: ReceiverOptions) {
    this.options = options;
    this.fleet = new Fleet(() => this.spokes.names);
    this.spokes = this.spokesNow();
    this.metrics = makeReceiverMetrics({
      version,
      settings: () => ({ ...options.settings(), valid: options.settingsValid() }),
      fleet: this.fleet,
      falcosidekickReachable: () => this.falcosidekick.problemNow() === undefined,
      heldBack: () => this.falcosidekick.heldBack() !== undefined,
      certificateNotAfter: () => this.credentials.client?.notAfter,
    });
    this.falcosidekick = new Falcosidekick({
      onAnswer: this.metrics.answered,
      onProblem: (problem) => {
        if (problem === undefined) options.logger.info('falcosidekick takes events');
        else options.logger.warn({ problem }, 'falcosidekick accepts no events; they wait at the spokes');
      },
    });
    this.falcosidekick.use(options.settings().receiver?.falcosidekick);
  }

  /** The server of events; credentials may come later. */
  serve(isDraining: () => boolean): PlainServer {
    const create: EventServerOptions['create'] = (options, listener) => {
      const server = createServer({ ...options, ...this.secureContext() }, listener);
      server.on('secureConnection', (socket) => this.connected(socket));
      // A handshake that fails is the client's to tell.
      server.on('tlsClientError', () => this.metrics.refused('not_let_in'));
      this.server = server;
      return server;
    };
    return eventServer({
      create,
      admit: (request) => void this.spokeOf(request),
      take: (batch) => this.take(batch),
      isDraining,
      onRefused: this.metrics.refused,
    });
  }

  checks(): Readonly<Record<'falcosidekick', Condition>> {
    const { falcosidekick } = this;
    const problem = falcosidekick.problemNow();
    const held = falcosidekick.heldBack();
    const dark = falcosidekick.isInTheDark() ? '; its metrics cannot be read: few events at once' : '';
    const heldBack =
      held === undefined ? '' : `; held back for ${Math.round((performance.now() - held) / 1_000)} s`;
    return {
      // Another replica could not help.
      falcosidekick: {
        ready: true,
        detail: problem === undefined ? `ok${dark}${heldBack}` : `accepts no events: ${problem}`,
      },
    };
  }

  /** Other settings are in force: who may not come any more is shut out at once. */
  settingsChanged(): void {
    this.spokes = this.spokesNow();
    for (const [socket, { name }] of this.peers) if (this.spokes.find(name) === undefined) socket.destroy();
    this.fleet.forget((name) => this.spokes.find(name) === undefined);
    this.falcosidekick.use(this.options.settings().receiver?.falcosidekick);
  }

  /** @returns what is missing in them: the former stay then */
  useCredentials(credentials: Credentials): string | undefined {
    const { ca, client } = credentials;
    if (client === undefined) return 'tls.crt and tls.key are missing';
    if (ca === undefined) return 'ca.crt is missing: it says who may come';
    const isOtherAuthority = this.credentials.ca !== ca;
    this.credentials = credentials;
    this.server?.setSecureContext(this.secureContext());
    // Whom the new authority has not signed must not stay.
    if (isOtherAuthority) for (const socket of this.peers.keys()) socket.destroy();
    return undefined;
  }

  stop(): void {
    this.falcosidekick.close();
  }

  private spokesNow(): Spokes {
    return spokesOf(this.options.settings(), () => this.fleet.seen());
  }

  private secureContext() {
    const { ca, client } = this.credentials;
    return {
      requestCert: true,
      rejectUnauthorized: true,
      ...(client === undefined ? {} : { cert: client.cert, key: client.key }),
      // Without one Node would ask the public authorities.
      ca: ca ?? [],
    };
  }

  private connected(socket: TLSSocket): void {
    const peer = peerOf(socket);
    const others = [...this.peers.values()].filter(({ name }) => name === peer?.name).length;
    if (peer === undefined || others >= mostConnections) {
      this.metrics.refused(peer === undefined ? 'not_let_in' : 'too_many');
      socket.destroy();
      return;
    }
    this.peers.set(socket, peer);
    socket.once('close', () => this.peers.delete(socket));
  }

  /** Whose request it is. @throws Refusal where it may not come */
  private spokeOf({ socket }: IncomingMessage): Spoke {
    const peer = socket instanceof TLSSocket ? this.peers.get(socket) : undefined;
    if (peer === undefined) throw new Refusal(401, 'not_let_in', 'show a certificate with a common name');
    if (peer.notAfter < Date.now()) throw new Refusal(401, 'not_let_in', 'your certificate has expired');
    const spoke = this.spokes.find(peer.name);
    if (spoke === undefined)
      throw new Refusal(403, 'not_let_in', `${peer.name} is not among receiver.spokes of the hub's settings`);
    this.fleet.connected(spoke.name, peer.notAfter);
    return spoke;
  }

  private async take({ lines, request }: SentBatch): Promise<ReadonlyMap<number, LineOutcome>> {
    const spoke = this.spokeOf(request);
    const header = request.headers[reportHeader];
    const report = readReport(typeof header === 'string' ? header : undefined);
    if (report !== undefined) this.fleet.reported(spoke.name, report);
    const problem = this.falcosidekick.problemNow();
    // One at a time tries whether it takes events again.
    const isTried = problem !== undefined && this.passing.size > 0;
    const waiting: Passing[] = [];
    const taken: Promise<readonly [number, LineOutcome]>[] = [];
    for (const read of lines) {
      if (isTried) throw new Refusal(503, 'unsafe', `falcosidekick accepts no events: ${problem}`);
      const [number, outcome] = [read.line, this.takeLine(spoke, read, waiting)];
      taken.push(Promise.resolve(outcome).then((is) => [number, is]));
    }
    const timer = setTimeout(() => {
      const message = this.falcosidekick.problemNow() ?? 'its turn has not come';
      for (const passing of waiting)
        if (this.falcosidekick.remove(passing)) passing.answer({ is: 'later', message });
    }, this.options.patience ?? defaultPatience);
    const outcomes = await Promise.all(taken);
    clearTimeout(timer);
    return new Map(outcomes);
  }

  /** @param waiting gets what is to be passed on */
  private takeLine(spoke: Spoke, read: ReadLine, waiting: Passing[]): Promise<LineOutcome> | LineOutcome {
    if ('reason' in read) return { ...read, is: 'refused' };
    const key = read.key === undefined ? undefined : `${spoke.name} ${read.key}`;
    if (key === undefined) return this.pass(spoke, read, waiting);
    if (this.keys.has(key)) return { is: 'duplicate' };
    const before = this.passing.get(key);
    if (before !== undefined)
      return before.then((outcome) => (outcome.is === 'accepted' ? { is: 'duplicate' } : outcome));
    const passing = Promise.resolve(this.pass(spoke, read, waiting)).then((outcome) => {
      this.passing.delete(key);
      if (outcome.is === 'accepted') this.keys.add(key, performance.now());
      return outcome;
    });
    this.passing.set(key, passing);
    return passing;
  }

  private pass(
    spoke: Spoke,
    { text, fields }: SentEvent,
    waiting: Passing[],
  ): Promise<LineOutcome> | LineOutcome {
    const stamped = stampEvent(text, fields, spoke.marks, spoke.isOthers);
    if (stamped === undefined)
      return {
        ...{ is: 'refused', reason: 'bad_field' },
        message: '"tags" and "output_fields" must be there once, and spelt so',
      };
    if (stamped.claimed) this.tellClaim(spoke.name);
    const priority = priorityOf(fields.priority) ?? 'debug';
    const { promise, resolve } = Promise.withResolvers<LineOutcome>();
    const passing: Passing = {
      spoke: spoke.name,
      priority: priorities.indexOf(priority),
      text: stamped.text,
      answer: (outcome) => {
        if (outcome.is === 'accepted') this.metrics.passed(spoke.name, priority);
        resolve(outcome);
      },
    };
    waiting.push(passing);
    this.falcosidekick.add(passing);
    return promise;
  }

  private tellClaim(name: string): void {
    this.metrics.claimed(name);
    if (!this.isTimeToTell(name)) return;
    this.options.logger.warn(
      { spoke: name },
      'events of this spoke say that they are of another cluster; they are marked as its own',
    );
  }
}
