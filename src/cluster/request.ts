import { request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { createSecureContext, type SecureContext } from 'node:tls';
import { messageOf } from '../reasons/message-of.ts';
import { ClusterError, refusal } from './cluster-error.ts';
import type { Access, ClusterConnection } from './connection.ts';
import { type Deadline, deadline } from './deadline.ts';
import { ListItems } from './list-items.ts';
import { type ClusterRequest, urlPath, userAgent, type Verb } from './resource.ts';

/** Milliseconds that the API server has for an answer. */
export const answerTime = 10_000;

/** The same for somebody behind it. */
const proxiedTime = 5_000;

/** How soon the system finds out that the other side of an idle connection is gone: this, and some ten seconds. */
const keepAliveDelay = 30_000;

/** Connections are shared by what they were opened with (authority, certificate): rotated ones open new ones. */
const agent = new Agent({ keepAlive: true });

let shared: { readonly of: string; readonly context: SecureContext } | undefined;

/** One for all connections until authority or certificate change: each of its own would cost some 40 KB. */
function contextFor({ ca, cert, key }: Access): SecureContext {
  const of = [ca, cert, key].join('\0');
  if (shared?.of !== of) shared = { of, context: createSecureContext({ ca, cert, key }) };
  return shared.context;
}

const methods = {
  get: 'GET',
  list: 'GET',
  watch: 'GET',
  create: 'POST',
  update: 'PUT',
  patch: 'PATCH',
} as const satisfies Record<Verb, string>;

function send(
  url: URL,
  access: Access,
  { verb, body, contentType, accept }: ClusterRequest,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const sent = (url.protocol === 'http:' ? httpRequest : httpsRequest)(url, {
      ...(url.protocol === 'http:' ? {} : { agent, secureContext: contextFor(access) }),
      ...access,
      method: methods[verb],
      signal,
      headers: {
        ...access.headers,
        accept: accept ?? 'application/json',
        'user-agent': userAgent,
        ...(text === undefined
          ? {}
          : { 'content-type': contentType ?? 'application/json', 'content-length': Buffer.byteLength(text) }),
      },
    });
    sent.on('socket', (socket) => socket.setKeepAlive(true, keepAliveDelay));
    sent.on('response', resolve);
    sent.on('error', reject);
    sent.end(text);
  });
}

/** The whole body as text. */
async function bodyOf(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let text = '';
  for await (const chunk of response) text += chunk;
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
): Promise<IncomingMessage> {
  const url = new URL(connection.server + urlPath(request.verb, request.resource, request.query ?? {}));
  return await send(url, await connection.access(), request, signal);
}

/** An answer that is a success, its body yet to come. */
async function open(
  connection: ClusterConnection,
  request: ClusterRequest,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const response = await ask(connection, request, signal);
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) return response;
  throw refusal(connection, request, response, parsed(await bodyOf(response)));
}

/**
 * Asks the API server for JSON.
 *
 * @throws ClusterError when there is no answer within `answerTime`, or one that is no success or no JSON
 */
export async function requestJson(
  connection: ClusterConnection,
  request: ClusterRequest,
  signal?: AbortSignal,
): Promise<unknown> {
  const limit = answerDeadline(connection, signal);
  try {
    return JSON.parse(await bodyOf(await open(connection, request, limit.signal)));
  } catch (error) {
    throw asClusterError(error, connection, request, limit.signal);
  } finally {
    limit.release();
  }
}

/**
 * Asks the API server for a list, and hands over each item as it arrives.
 *
 * @returns the list without its items
 * @throws ClusterError as `requestJson`; what `onItem` throws is one too
 */
export async function requestList(
  connection: ClusterConnection,
  request: ClusterRequest,
  onItem: (item: unknown) => void,
  signal?: AbortSignal,
): Promise<unknown> {
  const limit = answerDeadline(connection, signal);
  const items = new ListItems();
  try {
    const response = await open(connection, request, limit.signal);
    for await (const chunk of response) for (const item of items.add(chunk)) onItem(item);
    return items.end();
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
    const status = response.statusCode ?? 0;
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
export async function requestJsonLines(
  connection: ClusterConnection,
  request: ClusterRequest,
  signal: AbortSignal,
): Promise<AsyncIterable<unknown>> {
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

async function* readLines(
  response: IncomingMessage,
  connection: ClusterConnection,
  request: ClusterRequest,
  limit: Deadline,
): AsyncGenerator<unknown> {
  response.setEncoding('utf8');
  let rest = '';
  try {
    for await (const chunk of response) {
      const lines = `${rest}${chunk}`.split('\n');
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
