/**
 * Takes events over HTTP, for forwarder and receiver alike: `POST /` with one JSON object, as falcosidekick takes it
 * (FACTS 3.7), or with one a line (`application/x-ndjson`). 200 means that they are safe, line by line.
 */
import type { IncomingMessage, OutgoingHttpHeaders, Server, ServerOptions, ServerResponse } from 'node:http';
import { messageOf } from '../reasons/message-of.ts';
import { type PlainServer, plainServer } from '../server/plain-server.ts';
import { batchAnswer, type LineOutcome, type ReadLine, readLines, readOne } from './batch.ts';
import { Bodies } from './bodies.ts';
import { mostAtOnce } from './bounds.ts';
import { Refusal, type RefusalReason } from './refusal.ts';
import { testEvent } from './test-event.ts';

/** Lines of one request. */
export interface SentBatch {
  readonly lines: Iterable<ReadLine>;
  readonly request: IncomingMessage;
}

export interface EventServerOptions {
  /** An HTTP or HTTPS server of Node's. */
  readonly create: (
    options: ServerOptions,
    listener: (request: IncomingMessage, response: ServerResponse) => void,
  ) => Server;
  /** Whether its sender may come at all; throws a Refusal. */
  readonly admit?: (request: IncomingMessage) => void;
  /**
   * Keeps a batch, or passes it on.
   *
   * @returns what became of each line by its number; a Refusal, thrown, is an answer to all of them
   */
  readonly take: (batch: SentBatch) => Promise<ReadonlyMap<number, LineOutcome>>;
  readonly isDraining: () => boolean;
  readonly onRefused: (reason: RefusalReason) => void;
  /** Milliseconds until a whole request must be there. */
  readonly requestTimeout?: number;
}

/** A sender that uses its connection again must not meet us closing it. */
const keepAliveTimeout = 90_000;

/** What is answered to a request. */
interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers?: OutgoingHttpHeaders;
}

const json = { 'content-type': 'application/json' };

/** Types of a body that is one event; curl says that its data is a form. */
const oneEvent: ReadonlySet<string> = new Set([
  '',
  'application/json',
  'application/x-www-form-urlencoded',
  'text/plain',
]);

/** @throws Refusal for a type that is neither */
function hasLines({ headers }: IncomingMessage): boolean {
  const type = (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (type === 'application/x-ndjson') return true;
  if (oneEvent.has(type)) return false;
  throw new Refusal(
    415,
    'type',
    `content-type must be application/x-ndjson or application/json, not ${type}`,
  );
}

/** The answer to one event alone: the text is for people. @throws Refusal */
function answerToOne(outcomes: ReadonlyMap<number, LineOutcome>): Answer {
  const outcome = outcomes.get(0);
  if (outcome?.is === 'refused') throw new Refusal(400, outcome.reason, outcome.message);
  if (outcome === undefined || outcome.is === 'later')
    throw new Refusal(503, 'unsafe', outcome?.message ?? 'the event is not safe');
  return { status: 200, text: '' };
}

export function eventServer(options: EventServerOptions): PlainServer {
  const { create, admit, take, isDraining, onRefused, requestTimeout = 30_000 } = options;
  const bodies = new Bodies(mostAtOnce);

  async function answerWith(request: IncomingMessage, read: ReadLine | Iterable<ReadLine>): Promise<Answer> {
    if ('line' in read) return answerToOne(await take({ lines: [read], request }));
    const outcomes = await take({ lines: read, request });
    for (const outcome of outcomes.values()) if (outcome.is === 'refused') onRefused(outcome.reason);
    return { status: 200, text: JSON.stringify(batchAnswer(outcomes)), headers: json };
  }

  /** As falcosidekick, whose main handler has every path that no other one has. */
  async function answerTo(request: IncomingMessage): Promise<Answer | undefined> {
    const [path] = (request.url ?? '').split('?', 1);
    if (path === '/ping') return { status: 200, text: 'pong\n' };
    admit?.(request);
    if (request.method !== 'POST') throw new Refusal(405, 'method', 'events come by POST');
    if (path === '/test') return answerWith(request, readOne(testEvent()));
    const areLines = hasLines(request);
    const read = await bodies.read(request);
    if (read === undefined) return undefined;
    try {
      return await answerWith(request, areLines ? readLines(read.body) : readOne(read.body));
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
        ...(['too_large', 'too_many', 'too_slow'].includes(reason) ? { connection: 'close' } : {}),
      },
    };
  }

  const listener = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const answer = await answerTo(request).catch(refused);
    // The sender has gone.
    if (answer === undefined) return;
    request.resume();
    response.writeHead(answer.status, {
      'content-length': Buffer.byteLength(answer.text),
      ...answer.headers,
      ...(isDraining() ? { connection: 'close' } : {}),
    });
    // A text goes out in one piece with the head.
    response.end(answer.text);
    // Who is too slow holds its connection no longer.
    if (answer.status === 408) response.once('finish', () => request.socket.destroySoon());
  };

  const server = create(
    {
      requestTimeout,
      headersTimeout: requestTimeout,
      connectionsCheckingInterval: Math.min(5_000, requestTimeout / 2),
      keepAliveTimeout,
    },
    (request, response) => void listener(request, response),
  );
  return plainServer(server);
}
