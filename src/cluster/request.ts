import { request as httpRequest } from 'node:http';
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import { createSecureContext } from 'node:tls';
import { messageOf } from '../reasons/message-of.ts';
import { ClusterError, refusal } from './cluster-error.ts';
import type { Access, ClusterConnection } from './connection.ts';
import { type Deadline, deadline } from './deadline.ts';
import { type ClusterRequest, urlPath, userAgent, type Verb } from './resource.ts';
import { type Answered, keepAliveDelay, type Sent, sendShared, type Tls } from './shared-connection.ts';

/** Milliseconds that the API server has for an answer. */
export const answerTime = 10_000;

/** The same for somebody behind it. */
const proxiedTime = 5_000;

/** For servers and proxies without HTTP/2. Connections are shared by what they were opened with. */
const agent = new Agent({ keepAlive: true });

let lastTls: Tls | undefined;

/** One for all connections until authority or certificate change: each of its own would cost some 40 KB. */
function tlsOf({ ca, cert, key, servername, rejectUnauthorized }: Access): Tls {
  const of = [ca, cert, key, servername, rejectUnauthorized].join('\0');
  if (lastTls?.of === of) return lastTls;
  lastTls = {
    ...{ of, secureContext: createSecureContext({ ca, cert, key }) },
    ...(servername === undefined ? {} : { servername }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  };
  return lastTls;
}

const methods = {
  get: 'GET',
  list: 'GET',
  watch: 'GET',
  create: 'POST',
  update: 'PUT',
  patch: 'PATCH',
} as const satisfies Record<Verb, string>;

async function send(
  url: URL,
  access: Access,
  { verb, body, contentType, accept }: ClusterRequest,
  signal: AbortSignal,
): Promise<Answered> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const sent: Sent = {
    method: methods[verb],
    headers: {
      ...access.headers,
      accept: accept ?? 'application/json',
      'user-agent': userAgent,
      ...(text === undefined
        ? {}
        : { 'content-type': contentType ?? 'application/json', 'content-length': Buffer.byteLength(text) }),
    },
    body: text,
    signal,
  };
  if (url.protocol === 'http:') return await sendAlone(url, { ...access, ...sent });
  const tls = tlsOf(access);
  const isDirect = !access.agent && !access.auth;
  const shared = isDirect ? await sendShared(url, tls, sent) : undefined;
  return shared ?? (await sendAlone(url, { agent, ...tls, ...access, ...sent }));
}

/** Asks by HTTP/1.1. */
function sendAlone(url: URL, { body, ...options }: RequestOptions & Pick<Sent, 'body'>): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'http:' ? httpRequest : httpsRequest)(url, options);
    request.on('socket', (socket) => socket.setKeepAlive(true, keepAliveDelay));
    request.on('response', (response) => {
      const { statusCode: status = 0, headers } = response;
      resolve({ status, retryAfter: headers['retry-after'], body: response });
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function* textsOf({ body }: Answered): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const chunk of body) yield decoder.decode(chunk, { stream: true });
}

/** The whole body as text. */
async function bodyOf(response: Answered): Promise<string> {
  let text = '';
  for await (const part of textsOf(response)) text += part;
  return text;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Of an aborted request the error does not say why; where several addresses were tried, it says nothing at all. */
function whyFailed(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return messageOf(signal.reason);
  if (error instanceof AggregateError) return error.errors.map(messageOf).join(', ');
  // What Node says where an answer breaks off.
  if (messageOf(error) === 'aborted') return 'connection closed';
  return messageOf(error);
}

function answerDeadline(
  { closed }: ClusterConnection,
  signal: AbortSignal | undefined,
  time = answerTime,
): Deadline {
  return deadline([signal, closed], time, `no answer within ${time / 1000} s`);
}

/** Any answer, its body yet to come. */
async function ask(
  connection: ClusterConnection,
  request: ClusterRequest,
  signal: AbortSignal,
): Promise<Answered> {
  const url = new URL(connection.server + urlPath(request.verb, request.resource, request.query ?? {}));
  return await send(url, await connection.access(), request, signal);
}

/** An answer that is a success, its body yet to come. */
async function open(
  connection: ClusterConnection,
  request: ClusterRequest,
  signal: AbortSignal,
): Promise<Answered> {
  const response = await ask(connection, request, signal);
  if (response.status >= 200 && response.status < 300) return response;
  throw refusal(connection, request, response, parsed(await bodyOf(response)));
}

/**
 * Asks the API server for JSON, which is taken for what was asked for: the API server checks its objects itself.
 *
 * @throws ClusterError when there is no answer within `answerTime`, or one that is no success or no JSON
 */
export async function requestJson<T>(
  connection: ClusterConnection,
  request: ClusterRequest,
  signal?: AbortSignal,
): Promise<T> {
  const limit = answerDeadline(connection, signal);
  try {
    return JSON.parse(await bodyOf(await open(connection, request, limit.signal)));
  } catch (error) {
    throw asClusterError(error, connection, request, limit.signal);
  } finally {
    limit.release();
  }
}

/** What somebody behind the API server said. */
export interface ProxiedAnswer {
  readonly status: number;
  readonly text: string;
}

/** The API server's own words are Status objects; who is behind it says something else. */
function isStatus(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Reflect.get(value, 'kind') === 'Status';
}

/**
 * Asks somebody behind the API server (`pods/proxy`), whose answer counts whatever its status.
 *
 * @throws ClusterError when there is no answer within 5 s, or the API server refuses or does not get through
 */
export async function requestProxied(
  connection: ClusterConnection,
  request: ClusterRequest,
): Promise<ProxiedAnswer> {
  const limit = answerDeadline(connection, undefined, proxiedTime);
  try {
    const response = await ask(connection, request, limit.signal);
    const { status } = response;
    const text = await bodyOf(response);
    const body = status >= 400 ? parsed(text) : undefined;
    if (isStatus(body)) throw refusal(connection, request, response, body);
    return { status, text };
  } catch (error) {
    throw asClusterError(error, connection, request, limit.signal);
  } finally {
    limit.release();
  }
}

/**
 * Asks the API server for a stream of JSON, one value a line. The promise is that of its beginning; the stream itself
 * may take as long as `signal` lets it, and has to be read.
 *
 * @throws ClusterError as `requestJson`, at the beginning or while it is read
 */
export async function requestJsonLines<T>(
  connection: ClusterConnection,
  request: ClusterRequest,
  signal: AbortSignal,
): Promise<AsyncIterable<T>> {
  const limit = answerDeadline(connection, signal);
  try {
    const response = await open(connection, request, limit.signal);
    limit.met();
    return readLines(response, connection, request, limit);
  } catch (error) {
    limit.release();
    throw asClusterError(error, connection, request, limit.signal);
  }
}

async function* readLines<T>(
  response: Answered,
  connection: ClusterConnection,
  request: ClusterRequest,
  limit: Deadline,
): AsyncGenerator<T> {
  let rest = '';
  try {
    for await (const part of textsOf(response)) {
      const lines = `${rest}${part}`.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line.trim() !== '') yield JSON.parse(line);
    }
    if (rest.trim() !== '') yield JSON.parse(rest);
  } catch (error) {
    throw asClusterError(error, connection, request, limit.signal);
  } finally {
    limit.release();
  }
}

function asClusterError(
  error: unknown,
  connection: ClusterConnection,
  request: ClusterRequest,
  signal: AbortSignal,
): ClusterError {
  if (error instanceof ClusterError) return error;
  return new ClusterError(connection, request, whyFailed(error, signal));
}
