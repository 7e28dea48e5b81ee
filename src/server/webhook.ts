import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { type SecureContextOptions, TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { messageOf } from '../reasons/message-of.ts';
import { type AnswerDependencies, answerBody, type HttpAnswer, refuse } from './answer.ts';
import type { Metrics } from './metrics.ts';
import { type PlainServer, plainServer } from './plain-server.ts';

export interface WebhookDependencies extends AnswerDependencies {
  /** Certificate and key, PEM. */
  readonly tls: SecureContextOptions;
  /** Who may call; undefined: whoever reaches us. */
  readonly callers?: Callers | undefined;
  /** Whether the server is going away: answers then ask clients to close their connections. */
  readonly isDraining: () => boolean;
  readonly metrics: Pick<Metrics, 'decided' | 'answered'>;
}

/** Clients with a certificate of this authority (PEM) and this common name. */
export interface Callers {
  readonly authority: string;
  readonly name: string;
}

/** Admission bodies reach about 6 MiB: an object and its old self (FACTS 4.2). */
const bodyLimit = 7 * 1024 * 1024;

/** The API server drops idle connections after 90 s and does not retry a POST that we closed on (FACTS 4.2). */
const keepAliveTimeout = 120_000;

/** Milliseconds until a whole request must be there, and how often that is looked at. */
const requestTimeout = 30_000;
const connectionsCheckingInterval = 5_000;

function mayCall({ socket }: IncomingMessage, { name }: Callers): boolean {
  return socket instanceof TLSSocket && socket.authorized && socket.getPeerCertificate().subject.CN === name;
}

const unpack = promisify(gunzip);

/** What is answered instead of a decision. */
class Refused extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const tooLarge = (): Refused =>
  new Refused(413, `The body is larger than ${bodyLimit} bytes; no AdmissionReview of the API server is.`);

/** The whole body; undefined: its sender has gone. Rejects with a Refused. */
function bytesOf(request: IncomingMessage): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      // Read to its end nevertheless: who is still sending does not hear an answer.
      if (length > bodyLimit) chunks = [];
      else chunks.push(chunk);
    });
    request.on('end', () => {
      if (length > bodyLimit) reject(tooLarge());
      else resolve(Buffer.concat(chunks, length));
    });
    request.on('error', () => {});
    // After its end this is too late to mean anything.
    request.on('close', () => resolve(undefined));
  });
}

/** The body as text; undefined: its sender has gone. Rejects with a Refused. */
async function textOf(request: IncomingMessage): Promise<string | undefined> {
  const { 'content-type': type = '', 'content-encoding': encoding } = request.headers;
  if (!/^application\/json\s*(;|$)/i.test(type))
    throw new Refused(415, 'The content type must be application/json.');
  const body = await bytesOf(request);
  if (body === undefined || encoding !== 'gzip') return body?.toString();
  const text = await unpack(body, { maxOutputLength: bodyLimit }).catch((error: unknown) => {
    throw error instanceof RangeError ? tooLarge() : new Refused(400, messageOf(error));
  });
  return text.toString();
}

/** The HTTPS server that answers `POST /mutate`: see `answerBody`. */
export function buildWebhook(dependencies: WebhookDependencies): PlainServer<Server> {
  const { tls, callers, logger, isDraining, metrics } = dependencies;

  /** Undefined: nobody is there to hear it. */
  async function answerTo(request: IncomingMessage): Promise<HttpAnswer | undefined> {
    const { method, url = '' } = request;
    if (callers !== undefined && !mayCall(request, callers))
      throw new Refused(403, `Only clients with a certificate of --client-ca for ${callers.name} may call.`);
    if (method !== 'POST' || url.split('?', 1)[0] !== '/mutate') {
      const message = `Not found: ${method} ${url}. Send AdmissionReviews to POST /mutate.`;
      return { status: 404, body: JSON.stringify({ reason: 'review_malformed', message }) };
    }
    const text = await textOf(request);
    return text === undefined ? undefined : answerBody(text, dependencies);
  }

  async function listener(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const began = performance.now();
    const answer = await answerTo(request).catch((error: unknown) =>
      refuse(logger, error instanceof Refused ? error.status : 500, messageOf(error)),
    );
    if (answer === undefined) return;
    request.resume();
    const body = Buffer.from(answer.body);
    response.once('finish', () => metrics.answered((performance.now() - began) / 1000));
    response.writeHead(answer.status, {
      'content-type': 'application/json; charset=utf-8',
      'content-length': body.length,
      ...(isDraining() ? { connection: 'close' } : {}),
    });
    response.end(body);
  }

  // Refused by an answer that says why, not by an alert of TLS.
  const clients = callers && { ca: callers.authority, requestCert: true, rejectUnauthorized: false };
  const timeouts = { keepAliveTimeout, requestTimeout, connectionsCheckingInterval };
  const options = { ...tls, ...clients, ...timeouts };
  return plainServer(createServer(options, (request, response) => void listener(request, response)));
}
