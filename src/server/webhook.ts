import { createServer } from 'node:https';
import { type SecureContextOptions, TLSSocket } from 'node:tls';
import { gunzip } from 'node:zlib';
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify';
import { type AnswerDependencies, answerBody, type HttpAnswer, refuse } from './answer.ts';
import type { Metrics } from './metrics.ts';

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

function mayCall(socket: unknown, { name }: Callers): boolean {
  return socket instanceof TLSSocket && socket.authorized && socket.getPeerCertificate().subject.CN === name;
}

/** What an HTTP error means here, for whoever sent the request. */
function explain(error: FastifyError): string {
  switch (error.statusCode) {
    case 413:
      return `The body is larger than ${bodyLimit} bytes; no AdmissionReview of the API server is.`;
    case 415:
      return 'The content type must be application/json.';
    default:
      return error.message;
  }
}

/** The HTTPS server that answers `POST /mutate`: see `answerBody`. */
export function buildWebhook(dependencies: WebhookDependencies): FastifyInstance {
  const { tls, callers, logger, isDraining, metrics } = dependencies;
  const answer = (body: string): HttpAnswer => answerBody(body, dependencies);
  // Refused by an answer that says why, not by an alert of TLS.
  const clients = callers && { ca: callers.authority, requestCert: true, rejectUnauthorized: false };
  const timeouts = { keepAliveTimeout, requestTimeout, connectionsCheckingInterval };
  const server = Fastify({
    bodyLimit,
    // While closing, live connections are still answered (FACTS 5).
    return503OnClosing: false,
    logger: false,
    serverFactory: (handler) => createServer({ ...tls, ...clients, ...timeouts }, handler),
  });

  const send = (reply: FastifyReply, { status, body }: HttpAnswer): FastifyReply => {
    if (isDraining()) reply.header('connection', 'close');
    return reply
      .code(status)
      .header('content-type', 'application/json; charset=utf-8')
      .send(Buffer.from(body));
  };

  server.removeAllContentTypeParsers();
  // As bytes, here and in the answer: a text would be decoded piece by piece, and encoded twice.
  server.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    if (request.headers['content-encoding'] !== 'gzip') return done(null, body.toString());
    gunzip(body, { maxOutputLength: bodyLimit }, (error, text) => {
      const statusCode = error instanceof RangeError ? 413 : 400;
      done(error && Object.assign(error, { statusCode }), text?.toString());
    });
  });

  if (callers !== undefined) {
    server.addHook('onRequest', async (request, reply) => {
      const why = `Only clients with a certificate of --client-ca for ${callers.name} may call.`;
      if (!mayCall(request.raw.socket, callers)) return send(reply, refuse(logger, 403, why));
    });
  }
  server.addHook('onResponse', (_request, reply, done) => {
    metrics.answered(reply.elapsedTime / 1000);
    done();
  });

  server.setErrorHandler<FastifyError>((error, _request, reply) =>
    send(reply, refuse(logger, error.statusCode ?? 500, explain(error))),
  );

  server.setNotFoundHandler((request, reply) => {
    const message = `Not found: ${request.method} ${request.url}. Send AdmissionReviews to POST /mutate.`;
    return send(reply, { status: 404, body: JSON.stringify({ reason: 'review_malformed', message }) });
  });

  server.post<{ Body: string }>('/mutate', (request, reply) => send(reply, answer(request.body)));
  return server;
}
