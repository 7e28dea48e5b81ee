/**
 * Takes events as falcosidekick does (FACTS 3.7): `POST /`, one JSON object, whatever its content type says. Answers
 * are falcosidekick's too, but for two: 200 means that the event is safe, and a refusal says why.
 */
import type { IncomingMessage } from 'node:http';
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify';
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
  | 'not_found'
  | 'method'
  | 'unsafe';

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

/** Falco's own limit on an output is far below; a hub behind an ingress takes a megabyte as a rule. */
export const largestEvent = 1024 * 1024;

/** Bytes of requests that are being read or kept at once: what a thousand senders may take of our memory. */
export const mostAtOnce = 16 * 1024 * 1024;

/** Milliseconds until a whole request must be there. */
const requestTimeout = 30_000;

/** falcosidekick keeps connections for 60 s; this side must keep them for longer. */
const keepAliveTimeout = 90_000;

const utf8 = new TextDecoder('utf-8', { fatal: true });

class Refusal extends Error {
  readonly reason: RefusalReason;
  readonly statusCode: number;
  constructor(statusCode: number, reason: RefusalReason, message: string) {
    super(message);
    this.statusCode = statusCode;
    this.reason = reason;
  }
}

/** Reads bodies within one bound for all of them together. */
class Bodies {
  private bytes = 0;

  async read(request: IncomingMessage): Promise<{ readonly body: Buffer; readonly release: () => void }> {
    const chunks: Buffer[] = [];
    let length = 0;
    const release = (): void => {
      this.bytes -= length;
      length = 0;
    };
    try {
      for await (const chunk of request) {
        // Safe: without an encoding a request's stream is one of Buffers.
        const bytes = chunk as Buffer;
        length += bytes.length;
        this.bytes += bytes.length;
        if (length > largestEvent)
          throw new Refusal(413, 'too_large', `an event may have ${largestEvent} bytes at most`);
        if (this.bytes > mostAtOnce)
          throw new Refusal(503, 'too_many', 'too many events at once: send this one again');
        chunks.push(bytes);
      }
      return { body: Buffer.concat(chunks), release };
    } catch (error) {
      release();
      throw error;
    }
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

/** The HTTP server that takes events. */
export function buildReceiver(dependencies: ReceiverDependencies): FastifyInstance {
  const { marks, lowestPriority, keep, isDraining, onReceived, onNotWanted, onRefused } = dependencies;
  const bodies = new Bodies();
  const server = Fastify({
    logger: false,
    return503OnClosing: false,
    requestTimeout,
    keepAliveTimeout,
    bodyLimit: largestEvent,
    routerOptions: { ignoreTrailingSlash: true },
  });

  /** Answers with 200 when the event is safe. @throws Refusal */
  async function take(text: string): Promise<string> {
    const event = readEvent(text);
    if ('reason' in event) throw new Refusal(400, event.reason, event.message);
    const priority = priorities.indexOf(priorityOf(event.fields.priority) ?? 'debug');
    onReceived();
    if (priority > lowestPriority()) {
      onNotWanted();
      return '';
    }
    const completed = completeEvent(event.text, event.fields, marks());
    const kept = await keep({ text: completed, priority, received: Date.now() });
    if (kept === 'safe') return '';
    throw new Refusal(503, 'unsafe', 'the event is not safe: neither the disk nor the hub has it yet');
  }

  server.removeAllContentTypeParsers();
  // The handler reads the body itself, whatever its type.
  server.addContentTypeParser('*', (_request, _payload, done) => done(null));

  server.addHook('onSend', async (_request, reply) => {
    if (isDraining()) reply.header('connection', 'close');
  });

  const refuse = (
    reply: FastifyReply,
    status: number,
    reason: RefusalReason,
    message: string,
  ): FastifyReply => {
    onRefused(reason);
    // What is still to come of a body is not read any more.
    if (status === 413 || reason === 'too_many') reply.header('connection', 'close');
    if (status === 503) reply.header('retry-after', '1');
    return reply.code(status).type('text/plain; charset=utf-8').send(`${message}\n`);
  };

  server.setErrorHandler<FastifyError | Refusal>((error, _request, reply) => {
    if (error instanceof Refusal) return refuse(reply, error.statusCode, error.reason, error.message);
    const status = error.statusCode ?? 400;
    return refuse(reply, status, status === 413 ? 'too_large' : 'not_json', error.message);
  });

  server.setNotFoundHandler((request, reply) => {
    if (request.url.split('?', 1)[0] === '/') {
      reply.header('allow', 'POST');
      return refuse(reply, 405, 'method', 'events come by POST');
    }
    return refuse(reply, 404, 'not_found', `there is nothing at ${request.url}; events go to POST /`);
  });

  server.post('/', async (request) => {
    const { body, release } = await bodies.read(request.raw);
    try {
      return await take(textOf(body));
    } finally {
      release();
    }
  });
  // As falcosidekick: for those who look whether one is there, and for a first try.
  server.get('/ping', async () => 'pong\n');
  server.get('/healthz', async (_request, reply) => reply.type('application/json').send('{"status": "ok"}'));
  server.post('/test', async () => take(testEvent()));
  return server;
}
