/** Posts one event to the hub, and says what came of it. */
import {
  type AgentOptions,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { version } from '../federation/names.ts';
import { messageOf } from '../reasons/message-of.ts';
import type { HubCredentials } from './hub-credentials.ts';

export type PostOutcome =
  | { readonly is: 'delivered' }
  /** Again later; `after` milliseconds at the earliest, where the hub says so. */
  | { readonly is: 'retry'; readonly why: string; readonly after?: number }
  /** The hub does not take this, or does not let us in: `Delivery` finds out which. */
  | { readonly is: 'refused'; readonly status: number; readonly why: string };

export interface HubClient {
  /** Posts one event, JSON. Never rejects. */
  readonly post: (event: string) => Promise<PostOutcome>;
  /** Closes idle connections. */
  readonly close: () => void;
}

export interface HubAccess {
  readonly address: string;
  readonly checkCertificate: boolean;
  readonly credentials: HubCredentials;
  /** For HTTPS_PROXY, HTTP_PROXY and NO_PROXY. */
  readonly env: NodeJS.ProcessEnv;
}

/** Connections to the hub at once. */
export const mostConnections = 64;

/** Milliseconds for a whole exchange: falcosidekick answers before it works (FACTS 3.7). */
export const answerTime = 15_000;

/** Bytes of an answer that are read, to keep its connection; nothing in it matters. */
const largestAnswer = 64 * 1024;

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
  if (statusCode < 500 && !passing.has(statusCode))
    return { is: 'refused', status: statusCode, why: `the hub answers ${statusCode}` };
  const after = retryAfter(headers['retry-after'], Date.now());
  const why = `the hub answers ${statusCode}`;
  return after === undefined ? { is: 'retry', why } : { is: 'retry', why, after };
}

/** Reads an answer's body to its end, or breaks off where it has none in sight. */
function dispose(response: IncomingMessage): void {
  let length = 0;
  response.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length > largestAnswer) response.destroy();
  });
  response.on('error', () => {});
}

/** Where several addresses were tried, the error itself says nothing. */
function whyFailed(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join(', ');
  return messageOf(error);
}

function agentFor({ address, checkCertificate, credentials, env }: HubAccess): HttpAgent | HttpsAgent {
  const options: AgentOptions = {
    keepAlive: true,
    maxSockets: mostConnections,
    // The hub, or what is in front of it, closes idle connections after a minute or so.
    keepAliveMsecs: 30_000,
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
export function hubClient(access: HubAccess, timeout = answerTime): HubClient {
  const agent = agentFor(access);
  const url = new URL(access.address);
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const headers = {
    ...access.credentials.headers,
    'content-type': 'application/json',
    'user-agent': `falco-federation/${version}`,
  };
  const post = (event: string): Promise<PostOutcome> =>
    new Promise((resolve) => {
      const body = Buffer.from(event);
      const request = send(url, {
        agent,
        method: 'POST',
        headers: { ...headers, 'content-length': body.length },
      });
      const timer = setTimeout(
        () => request.destroy(new Error(`no answer within ${timeout / 1000} s`)),
        timeout,
      );
      request.on('response', (response) => {
        resolve(outcomeOf(response));
        // The body has the rest of the time: one that never ends would keep its connection.
        response.on('close', () => clearTimeout(timer));
        dispose(response);
      });
      request.on('error', (error) => {
        clearTimeout(timer);
        resolve({ is: 'retry', why: whyFailed(error) });
      });
      request.end(body);
    });
  return { post, close: () => agent.destroy() };
}
