/** Posts one event to the hub, and says what came of it. */
import {
  type AgentOptions,
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Credentials } from '../events/credentials.ts';
import { version } from '../federation/names.ts';
import { messageOf } from '../reasons/message-of.ts';

export type PostOutcome =
  | { readonly is: 'delivered' }
  /** Again later; `after` milliseconds at the earliest, where the hub says so. */
  | { readonly is: 'retry'; readonly why: string; readonly after?: number }
  /** The hub does not take this, or does not let us in: `Delivery` finds out which. */
  | { readonly is: 'refused'; readonly status: number; readonly why: string };

export interface HubClient {
  /** Posts one event, JSON. Never rejects, and always has an outcome. */
  readonly post: (event: string) => Promise<PostOutcome>;
  /** Posts nothing more. What is on its way gets its answer, and connections then go. */
  readonly close: () => void;
  /** Breaks off what is on its way. */
  readonly abort: () => void;
}

export interface HubAccess {
  readonly address: string;
  readonly checkCertificate: boolean;
  readonly credentials: Credentials;
  /** For HTTPS_PROXY, HTTP_PROXY and NO_PROXY. */
  readonly env: NodeJS.ProcessEnv;
}

/** Milliseconds for a whole exchange: falcosidekick answers before it works (FACTS 3.7). */
export const defaultAnswerTime = 15_000;

/** Connections to the hub at once. */
export const mostConnections = 64;

/** Milliseconds; tests make them short. */
export interface HubTimes {
  /** For a whole exchange: falcosidekick answers before it works (FACTS 3.7). */
  readonly answerTime?: number;
  /**
   * For which an idle connection is kept: the hub, or what is in front of it, closes them after a minute or so, and a
   * name that leads elsewhere by now should be asked for again.
   */
  readonly idleTime?: number;
}

/** What of an answer's body is read to keep its connection, bytes and milliseconds; nothing in it matters. */
const largestAnswer = 64 * 1024;
const bodyTime = 1_000;

/** What a hub, or a proxy in front of it, says when it is worth trying again. */
const passing: ReadonlySet<number> = new Set([408, 425, 429]);

/** No hub is asked to wait for longer than this. */
const longestRetryAfter = 3_600_000;

/** Milliseconds of a Retry-After header: seconds, or a date. */
function retryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  const wait = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isNaN(wait) ? undefined : Math.min(longestRetryAfter, Math.max(0, wait));
}

function outcomeOf({ statusCode = 0, headers }: IncomingMessage): PostOutcome {
  if (statusCode >= 200 && statusCode < 300) return { is: 'delivered' };
  if (statusCode >= 300 && statusCode < 400) {
    // Not followed: a redirect would take events, and credentials, to wherever it says.
    const to = headers.location === undefined ? '' : ` to ${headers.location}`;
    return {
      is: 'retry',
      why: `the hub answers ${statusCode}, a redirect${to}: set hub.address to where it is`,
    };
  }
  if (statusCode >= 400 && statusCode < 500 && !passing.has(statusCode))
    return { is: 'refused', status: statusCode, why: `the hub answers ${statusCode}` };
  const after = retryAfter(headers['retry-after'], Date.now());
  const why = `the hub answers ${statusCode}`;
  return after === undefined ? { is: 'retry', why } : { is: 'retry', why, after };
}

/** Reads an answer's body to its end, or breaks off where it has none in sight. */
function dispose(response: IncomingMessage): void {
  let length = 0;
  const timer = setTimeout(() => response.destroy(), bodyTime);
  response.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length > largestAnswer) response.destroy();
  });
  response.on('error', () => {});
  response.on('close', () => clearTimeout(timer));
}

/** Where several addresses were tried, the error itself says nothing. */
function whyFailed(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join(', ');
  return messageOf(error);
}

/** Whether the hub closed an idle connection in the moment in which we used it again: no sign that it is away. */
function wasClosedIdle(request: ClientRequest, error: Error): boolean {
  return request.reusedSocket && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

/** Agents whose idle connections go, and with them tunnels through a proxy that are not finished, after `timeout`. */
function agentFor(
  { address, checkCertificate, credentials, env }: HubAccess,
  timeout: number,
): HttpAgent | HttpsAgent {
  const options: AgentOptions = {
    keepAlive: true,
    maxSockets: mostConnections,
    timeout,
    proxyEnv: env,
  };
  if (!address.startsWith('https:')) return new HttpAgent(options);
  const { ca, client } = credentials;
  return new HttpsAgent({
    ...options,
    minVersion: 'TLSv1.2',
    rejectUnauthorized: checkCertificate,
    ...(ca === undefined ? {} : { ca }),
    ...(client === undefined ? {} : { cert: client.cert, key: client.key }),
  });
}

/** A client for one address and one set of credentials; others need another client. */
export function hubClient(
  access: HubAccess,
  { answerTime = defaultAnswerTime, idleTime = 20_000 }: HubTimes = {},
): HubClient {
  const agent = agentFor(access, idleTime);
  const url = new URL(access.address);
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const headers = {
    ...access.credentials.headers,
    'content-type': 'application/json',
    'user-agent': `falco-federation/${version}`,
  };
  const onTheWay = new Set<() => void>();
  let closed = false;

  const exchange = (body: Buffer, settle: (outcome: PostOutcome | 'closed idle') => void): void => {
    const request = send(url, {
      agent,
      method: 'POST',
      headers: { ...headers, 'content-length': body.length },
    });
    // What is no answer and no error either, such as 101.
    let outcome: PostOutcome | 'closed idle' = {
      is: 'retry',
      why: 'the connection was closed without an answer',
    };
    let isAnswered = false;
    // An agent that has no connection yet keeps errors to itself, and a tunnel may never come about.
    const giveUp = (why: string): void => {
      settle({ is: 'retry', why });
      onTheWay.delete(abort);
      clearTimeout(timer);
      request.destroy();
    };
    const abort = (): void => giveUp('stopped');
    onTheWay.add(abort);
    const timer = setTimeout(() => giveUp(`no answer within ${answerTime / 1000} s`), answerTime);
    request.on('response', (response) => {
      clearTimeout(timer);
      isAnswered = true;
      outcome = outcomeOf(response);
      dispose(response);
    });
    request.on('error', (error) => {
      // Behind an answer it is only about the rest of its body.
      if (isAnswered) return;
      outcome = wasClosedIdle(request, error) ? 'closed idle' : { is: 'retry', why: whyFailed(error) };
    });
    // Not before the answer's body is over: until then it has one of the connections.
    request.on('close', () => {
      clearTimeout(timer);
      onTheWay.delete(abort);
      settle(outcome);
    });
    request.end(body);
  };

  /** At once again where the connection was only an old one: the next is new, or says what is wrong. */
  const exchanged = async (body: Buffer): Promise<PostOutcome> => {
    for (let tries = 0; ; tries++) {
      const outcome = await new Promise<PostOutcome | 'closed idle'>((settle) => exchange(body, settle));
      if (outcome !== 'closed idle') return outcome;
      if (tries === 2) return { is: 'retry', why: 'the hub closes each connection as it is used' };
    }
  };

  const destroyIfIdle = (): void => {
    if (closed && onTheWay.size === 0) agent.destroy();
  };
  return {
    post: async (event) => {
      if (closed) return { is: 'retry', why: 'stopped' };
      const outcome = await exchanged(Buffer.from(event));
      destroyIfIdle();
      return outcome;
    },
    close: () => {
      closed = true;
      destroyIfIdle();
    },
    abort: () => {
      closed = true;
      for (const abort of onTheWay) abort();
      agent.destroy();
    },
  };
}
