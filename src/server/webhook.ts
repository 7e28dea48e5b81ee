import type { SecureContextOptions } from 'node:tls';
import Fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { type AdmissionSources, type Decision, decide } from '../admission/decide.ts';
import { parseReview } from '../admission/parse-review.ts';
import { messageOf } from '../reasons/message-of.ts';
import { reasons } from '../reasons/reasons.ts';
import type { Metrics } from './metrics.ts';

export interface WebhookDependencies {
  readonly sources: AdmissionSources;
  /** Certificate and key, PEM. */
  readonly tls: SecureContextOptions;
  readonly logger: Logger;
  /** Whether the server is going away: answers then ask clients to close their connections. */
  readonly isDraining: () => boolean;
  readonly metrics: Pick<Metrics, 'decided' | 'answered'>;
}

/** Admission bodies reach about 6 MiB: an object and its old self (FACTS 4.2). */
const bodyLimit = 7 * 1024 * 1024;

/** The API server drops idle connections after 90 s and does not retry a POST that we closed on (FACTS 4.2). */
const keepAliveTimeout = 120_000;

/** What a TLS context of this server is made from, at the start and when the certificate is renewed. */
export function secureContext({ cert, key }: SecureContextOptions): SecureContextOptions {
  return { cert, key, minVersion: 'TLSv1.2' };
}

/** One line for each decision; names and codes only, so never a secret of a pod. */
function logDecision(logger: Logger, decision: Decision, milliseconds: number): void {
  const { request, reason, findings } = decision;
  const severities = [reason, ...findings].map(({ code }) => reasons[code].severity);
  const level = severities.includes('error') ? 'error' : severities.includes('warning') ? 'warn' : 'info';
  logger[level](
    {
      uid: request?.uid,
      namespace: request?.namespace,
      kind: request?.kind,
      name: request?.name,
      operation: request?.operation,
      ...(request?.dryRun ? { dryRun: true } : {}),
      reason: reason.code,
      // Only our own messages: a finding's detail may quote a pod's values.
      ...(reason.code === 'internal_error' || reason.code === 'review_malformed'
        ? { detail: reason.detail }
        : {}),
      ...(findings.length === 0 ? {} : { findings: findings.map(({ code }) => code) }),
      ms: Math.round(milliseconds * 100) / 100,
    },
    'decision',
  );
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

/**
 * The HTTPS server that answers `POST /mutate`.
 *
 * Every well-formed AdmissionReview gets 200 and `allowed: true`; 4xx is for what is no AdmissionReview at all.
 */
export function buildWebhook(dependencies: WebhookDependencies): FastifyInstance {
  const { sources, tls, logger, isDraining, metrics } = dependencies;
  const server = Fastify({
    https: secureContext(tls),
    bodyLimit,
    keepAliveTimeout,
    requestTimeout: 30_000,
    // While closing, live connections are still answered (FACTS 5).
    return503OnClosing: false,
    logger: false,
  });

  server.removeAllContentTypeParsers();
  server.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, parseReview(body.toString()));
    } catch (error) {
      const why = messageOf(error);
      done(Object.assign(new Error(`The body is not JSON: ${why}`), { statusCode: 400 }));
    }
  });

  server.addHook('onSend', async (_request, reply) => {
    if (isDraining()) reply.header('connection', 'close');
  });
  server.addHook('onResponse', async (_request, reply) => metrics.answered(reply.elapsedTime / 1000));

  server.setErrorHandler<FastifyError>((error, _request, reply) => {
    const status = error.statusCode ?? 500;
    const reason = status < 500 ? 'review_malformed' : 'internal_error';
    logger.warn({ reason, status, detail: error.message }, 'refused');
    return reply.code(status).send({ reason, message: explain(error), remedy: reasons[reason].remedy });
  });

  server.setNotFoundHandler((request, reply) =>
    reply.code(404).send({
      reason: 'review_malformed',
      message: `There is nothing at ${request.method} ${request.url}; AdmissionReviews go to POST /mutate.`,
    }),
  );

  server.post('/mutate', (request, reply) => {
    const start = performance.now();
    const decision = decide(request.body, sources);
    logDecision(logger, decision, performance.now() - start);
    metrics.decided(decision);
    if (decision.answer !== undefined) return reply.send(decision.answer);
    const { code, detail } = decision.reason;
    return reply.code(400).send({
      reason: code,
      message: `${reasons[code].sentence} ${detail ?? ''}`.trim(),
      remedy: reasons[code].remedy,
    });
  });
  return server;
}
