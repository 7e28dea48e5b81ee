/** Posts to the next hop over kept connections: a forwarder to the receiver, a receiver to falcosidekick. */
import {
  type AgentOptions,
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { version } from '../federation/names.ts';
import { messageOf } from '../reasons/message-of.ts';
import type { Credentials } from './credentials.ts';
import { proxyFor } from './proxy.ts';

export type Exchange =
  | {
      readonly is: 'answered';
      readonly status: number;
      readonly headers: IncomingHttpHeaders;
      /** As far as it came. */
      readonly text: string;
      /** Whether it went over a connection of which nothing is known yet. */
      readonly isNewConnection: boolean;
    }
  | { readonly is: 'failed'; readonly why: string };

export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  /** Absent: that of the address. */
  readonly path?: string;
  readonly body?: Buffer;
  readonly headers?: OutgoingHttpHeaders;
}

export interface HttpClient {
  /** Never rejects, and always has an outcome. */
  readonly send: (request: HttpRequest) => Promise<Exchange>;
  /** Sends nothing more. What is on its way gets its answer, and connections then go. */
  readonly close: () => void;
  /** Breaks off what is on its way. */
  readonly abort: () => void;
}

export interface HttpAccess {
  readonly address: string;
  readonly credentials: Credentials;
  /** For HTTPS_PROXY, HTTP_PROXY and NO_PROXY. */
  readonly env: NodeJS.ProcessEnv;
}

export interface HttpLimits {
  /** Milliseconds for a whole exchange. */
  readonly answerTime?: number;
  /**
   * Milliseconds for which an idle connection is kept: the other side, or what is in front of it, closes them after a
   * minute or so, and a name that leads elsewhere by now should be asked for again.
   */
  readonly idleTime?: number;
  readonly mostConnections?: number;
}

/** Bytes of an answer that are read. */
const largestAnswer = 1024 * 1024;

/** Milliseconds for the rest of an answer whose head is there. */
const restTime = 5_000;

/** Where several addresses were tried, the error itself says nothing. */
function whyFailed(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join(', ');
  return messageOf(error);
}

/** Whether the other side closed an idle connection in the moment in which we used it again: no sign that it is away. */
function wasClosedIdle(request: ClientRequest, error: Error): boolean {
  return request.reusedSocket && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

/** Agents whose idle connections go, and with them tunnels through a proxy that are not finished, after `timeout`. */
function agentFor(
  { address, credentials, env }: HttpAccess,
  timeout: number,
  maxSockets: number,
): HttpAgent | HttpsAgent {
  const url = new URL(address);
  const proxy = proxyFor(url, env);
  const options: AgentOptions = {
    ...{ keepAlive: true, maxSockets, timeout },
    ...(proxy === undefined ? {} : { proxyEnv: { HTTPS_PROXY: proxy, HTTP_PROXY: proxy } }),
  };
  if (url.protocol !== 'https:') return new HttpAgent(options);
  const { ca, client } = credentials;
  return new HttpsAgent({
    ...options,
    ...(ca === undefined ? {} : { ca }),
    ...(client === undefined ? {} : { cert: client.cert, key: client.key }),
  });
}

/** A client for one address and one set of credentials; others need another client. */
export function httpClient(access: HttpAccess, limits: HttpLimits = {}): HttpClient {
  const { answerTime = 30_000, idleTime = 20_000, mostConnections = 16 } = limits;
  const agent = agentFor(access, idleTime, mostConnections);
  const url = new URL(access.address);
  const begin = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const onTheWay = new Set<() => void>();
  let closed = false;

  const exchange = (
    { method, path = url.pathname + url.search, body, headers }: HttpRequest,
    settle: (outcome: Exchange | 'closed idle') => void,
  ): void => {
    const request = begin(url, {
      ...{ agent, method, path },
      headers: {
        ...access.credentials.headers,
        'user-agent': `falco-federation/${version}`,
        ...(body === undefined ? {} : { 'content-length': body.length }),
        ...headers,
      },
    });
    // What is no answer and no error either, such as 101.
    let outcome: Exchange | 'closed idle' = {
      is: 'failed',
      why: 'the connection was closed without an answer',
    };
    // An agent that has no connection yet keeps errors to itself, and a tunnel may never come about.
    const giveUp = (why: string): void => {
      settle(outcome !== 'closed idle' && outcome.is === 'answered' ? outcome : { is: 'failed', why });
      onTheWay.delete(abort);
      clearTimeout(timer);
      request.destroy();
    };
    const abort = (): void => giveUp('stopped');
    onTheWay.add(abort);
    let timer = setTimeout(() => giveUp(`no answer within ${answerTime / 1000} s`), answerTime);
    request.on('response', (response) => {
      clearTimeout(timer);
      timer = setTimeout(() => giveUp('half an answer'), restTime);
      const chunks: Buffer[] = [];
      let length = 0;
      const answered = (): void => {
        outcome = {
          is: 'answered',
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(chunks).toString(),
          isNewConnection: !request.reusedSocket,
        };
      };
      answered();
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > largestAnswer) giveUp('an answer without an end');
        else chunks.push(chunk);
      });
      response.on('end', answered);
      response.on('error', () => {});
    });
    request.on('error', (error) => {
      // Behind an answer it is only about the rest of its body.
      if (outcome !== 'closed idle' && outcome.is === 'answered') return;
      outcome = wasClosedIdle(request, error) ? 'closed idle' : { is: 'failed', why: whyFailed(error) };
    });
    // Not before the answer's body is over: until then it has one of the connections.
    request.on('close', () => {
      clearTimeout(timer);
      onTheWay.delete(abort);
      settle(outcome);
    });
    request.end(body);
  };

  const destroyIfIdle = (): void => {
    if (closed && onTheWay.size === 0) agent.destroy();
  };
  return {
    /** At once again where the connection was only an old one: the next is new, or says what is wrong. */
    send: async (request) => {
      for (let tries = 0; !closed; tries++) {
        const outcome = await new Promise<Exchange | 'closed idle'>((settle) => exchange(request, settle));
        destroyIfIdle();
        if (outcome !== 'closed idle') return outcome;
        if (tries === 2) return { is: 'failed', why: 'each connection is closed as it is used' };
      }
      return { is: 'failed', why: 'stopped' };
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
