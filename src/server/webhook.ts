import { createServer } from 'node:https';
import type { SecureContextOptions } from 'node:tls';
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify';
import { type AnswerDependencies, answerBody, type HttpAnswer, refuse } from './answer.ts';
import type { Metrics } from './metrics.ts';

export interface WebhookDependencies extends AnswerDependencies {
  /** Certificate and key, PEM. */
  readonly tls: SecureContextOptions;
  /** Whether the server is going away: answers then ask clients to close their connections. */
  readonly isDraining: () => boolean;
  readonly metrics: Pick<Metrics, 'decided' | 'answered'>;
}

/** Admission bodies reach about 6 MiB: an object and its old self (FACTS 4.2). */
const bodyLimit = 7 * 1024 * 1024;

/** The API server drops idle connections after 90 s and does not retry a POST that we closed on (FACTS 4.2). */
const keepAliveTimeout = 120_000;

/** Milliseconds until a whole request must be there. */
const requestTimeout = 30_000;

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
  const { tls, logger, isDraining, metrics } = dependencies;
  const answer = (body: string): HttpAnswer => answerBody(body, dependencies);
  const server = Fastify({
    bodyLimit,
    // While closing, live connections are still answered (FACTS 5).
    return503OnClosing: false,
    logger: false,
    serverFactory: (handler) => createServer({ ...tls, keepAliveTimeout, requestTimeout }, handler),
  });

  server.removeAllContentTypeParsers();
  // As bytes, here and in the answer: a text would be decoded piece by piece, and encoded twice.
  server.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body.toString()),
  );

  server.addHook('onResponse', (_request, reply, done) => {
    metrics.answered(reply.elapsedTime / 1000);
    done();
  });

  const send = (reply: FastifyReply, { status, body }: HttpAnswer): FastifyReply => {
    if (isDraining()) reply.header('connection', 'close');
    return reply
      .code(status)
      .header('content-type', 'application/json; charset=utf-8')
      .send(Buffer.from(body));
  };

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
