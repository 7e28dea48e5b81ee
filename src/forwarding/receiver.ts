/**
 * Takes events as falcosidekick does (FACTS 3.7): `POST /`, one JSON object, whatever its content type says. Answers
 * are falcosidekick's too, but that 200 means that the event is safe, and that a refusal says why: 400 for what is no
 * event, 405 for other methods, 408, 413, 503.
 */
import { createServer, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { messageOf } from '../reasons/message-of.ts';
import { type PlainServer, plainServer } from '../server/plain-server.ts';
import { priorities } from '../settings/schema.ts';
import { completeEvent, type Marks } from './complete-event.ts';
import { priorityOf, type RefusedEvent, readEvent } from './event.ts';
import type { Kept } from './keeper.ts';
import type { NewEvent } from './spool.ts';

export type RefusalReason =
  | RefusedEvent['reason']
  | 'too_large'
  | 'too_slow'
  | 'too_many'
  | 'method'
  | 'not_http'
  | 'unsafe'
  | 'internal';

export interface ReceiverDependencies {
  readonly marks: () => Marks;
  /** Index in `priorities`: events behind it are taken and not kept. */
  readonly lowestPriority: () => number;
  readonly keep: (event: NewEvent) => Promise<Kept>;
  readonly isDraining: () => boolean;
  readonly onReceived: () => void;
  readonly onNotWanted: () => void;
  readonly onRefused: (reason: RefusalReason) => void;
}

/** A hub behind an ingress takes a megabyte as a rule. */
export const largestEvent = 1024 * 1024;

/** Bytes of requests that are being read or kept at once: what a thousand senders may take of our memory. */
export const mostAtOnce = 16 * 1024 * 1024;

/** Bytes of a body that is refused already which are read and thrown away, so that its sender gets the answer. */
const mostThrownAway = 8 * largestEvent;

export interface ReceiverTimes {
  /** Milliseconds until a whole request must be there. */
  readonly requestTimeout?: number;
}

/** A sender that uses its connection again must not meet us closing it. */
const keepAliveTimeout = 90_000;

/**
 * Connections that may stay open. falcosidekick opens one for each event, and leaves it idle for 90 s: with a hundred
 * events a second there would be thousands.
 */
const mostKeptOpen = 256;

const utf8 = new TextDecoder('utf-8', { fatal: true });

class Refusal extends Error {
  readonly reason: RefusalReason;
  readonly status: number;
  constructor(status: number, reason: RefusalReason, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

interface ReadBody {
  readonly body: Buffer;
  /** To be called when the body's memory is not needed any more. */
  readonly release: () => void;
}

/** Reads bodies within one bound for all of them together. */
class Bodies {
  private readonly bound: number;
  private bytes = 0;

  constructor(bound: number) {
    this.bound = bound;
  }

  /** Rejects with a Refusal; undefined where the sender broke off. */
  read(request: IncomingMessage): Promise<ReadBody | undefined> {
    return new Promise((resolve, reject) => {
      let chunks: Buffer[] = [];
      let length = 0;
      let kept = 0;
      let refusal: Refusal | undefined;
      const release = (): void => {
        this.bytes -= kept;
        kept = 0;
        chunks = [];
      };
      const refuse = (reason: Refusal): void => {
        release();
        refusal = reason;
      };
      request.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (refusal !== undefined) {
          if (length > mostThrownAway) reject(refusal);
          return;
        }
        chunks.push(chunk);
        kept += chunk.length;
        this.bytes += chunk.length;
        if (length > largestEvent)
          refuse(new Refusal(413, 'too_large', `an event may have ${largestEvent} bytes at most`));
        else if (this.bytes > this.bound)
          refuse(new Refusal(503, 'too_many', 'too many events at once: send this one again'));
      });
      request.on('end', () => {
        if (refusal !== undefined) reject(refusal);
        else resolve({ body: chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks), release });
      });
      request.on('error', () => {});
      // After its end this is too late to mean anything.
      request.on('close', () => {
        if (request.complete) return;
        release();
        resolve(undefined);
      });
    });
  }
}

function textOf(body: Buffer): string {
  try {
    return utf8.decode(body);
  } catch {
    // Go's decoder takes what is not UTF-8 for U+FFFD, and so must whoever forwards to it.
    return body.toString();
  }
}

const testEvent = (): string =>
  JSON.stringify({
    output: 'This is a test from falco-federation',
    source: 'debug',
    priority: 'Debug',
    hostname: 'falco-federation',
    rule: 'Test rule',
    time: new Date().toISOString(),
    output_fields: { 'proc.name': 'falco-federation' },
    tags: ['test'],
  });

/** What is answered to a request, besides 200 and nothing. */
interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers?: OutgoingHttpHeaders;
}

const ok: Answer = { status: 200, text: '' };

/** What Node tells of a request that never became one. */
const brokenRequests: Readonly<Record<string, { readonly status: string; readonly reason: RefusalReason }>> =
  {
    ERR_HTTP_REQUEST_TIMEOUT: { status: '408 Request Timeout', reason: 'too_slow' },
    HPE_HEADER_OVERFLOW: { status: '431 Request Header Fields Too Large', reason: 'not_http' },
  };

/** The HTTP server that takes events. */
export function buildReceiver(
  dependencies: ReceiverDependencies,
  { requestTimeout = 30_000 }: ReceiverTimes = {},
): PlainServer {
  const { marks, lowestPriority, keep, isDraining, onReceived, onNotWanted, onRefused } = dependencies;
  const bodies = new Bodies(mostAtOnce);

  /** Answers with 200 when the event is safe. @throws Refusal */
  async function take(text: string): Promise<Answer> {
    const event = readEvent(text);
    if ('reason' in event) throw new Refusal(400, event.reason, event.message);
    const priority = priorities.indexOf(priorityOf(event.fields.priority) ?? 'debug');
    onReceived();
    if (priority > lowestPriority()) {
      onNotWanted();
      return ok;
    }
    const completed = completeEvent(event.text, event.fields, marks());
    const kept = await keep({ text: completed, priority, received: Date.now() });
    if (kept === 'safe') return ok;
    throw new Refusal(503, 'unsafe', 'the event is not safe: neither the disk nor the hub has it yet');
  }

  /** As falcosidekick, whose main handler has every path that no other one has. */
  async function answerTo(request: IncomingMessage): Promise<Answer | undefined> {
    const [path] = (request.url ?? '').split('?', 1);
    if (path === '/ping') return { status: 200, text: 'pong\n' };
    if (path === '/healthz')
      return { status: 200, text: '{"status": "ok"}', headers: { 'content-type': 'application/json' } };
    if (request.method !== 'POST') throw new Refusal(405, 'method', 'events come by POST');
    if (path === '/test') return take(testEvent());
    const read = await bodies.read(request);
    if (read === undefined) return undefined;
    try {
      return await take(textOf(read.body));
    } finally {
      read.release();
    }
  }

  function refused(error: unknown): Answer {
    if (!(error instanceof Refusal)) {
      onRefused('internal');
      return { status: 500, text: `${messageOf(error)}\n` };
    }
    const { status, reason, message } = error;
    onRefused(reason);
    return {
      status,
      text: `${message}\n`,
      headers: {
        'content-type': 'text/plain; charset=utf-8',
        ...(status === 405 ? { allow: 'POST' } : {}),
        ...(status === 503 ? { 'retry-after': '1' } : {}),
        // What is still to come of a body is not read any more.
        ...(reason === 'too_large' || reason === 'too_many' ? { connection: 'close' } : {}),
      },
    };
  }

  const listener = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const answer = await answerTo(request).catch(refused);
    // The sender has gone.
    if (answer === undefined) return;
    request.resume();
    const body = Buffer.from(answer.text);
    response.writeHead(answer.status, {
      'content-length': body.length,
      ...answer.headers,
      ...(isDraining() || open > mostKeptOpen ? { connection: 'close' } : {}),
    });
    response.end(body);
  };
  let open = 0;

  const server = createServer(
    {
      requestTimeout,
      headersTimeout: requestTimeout,
      connectionsCheckingInterval: Math.min(5_000, requestTimeout / 2),
      keepAliveTimeout,
    },
    (request, response) => void listener(request, response),
  );
  server.on('connection', (socket) => {
    open++;
    socket.once('close', () => open--);
  });
  const told = new WeakSet<Duplex>();
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // What still comes of such a request is another error.
    if (told.has(socket)) return;
    told.add(socket);
    const { status, reason } = brokenRequests[error.code ?? ''] ?? {
      status: '400 Bad Request',
      reason: 'not_http',
    };
    if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') onRefused(reason);
    if (!socket.writable) {
      socket.destroy();
      return;
    }
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () =>
      socket.destroy(),
    );
  });
  return plainServer(server);
}
