import type { Logger } from 'pino';
import { type AdmissionSources, type Decision, decide } from '../admission/decide.ts';
import { parseReview } from '../admission/parse-review.ts';
import { messageOf } from '../reasons/message-of.ts';
import { type ReasonCode, reasons } from '../reasons/reasons.ts';
import type { Metrics } from './metrics.ts';

export interface AnswerDependencies {
  readonly sources: AdmissionSources;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'decided'>;
}

/** An answer over HTTP, whichever way it goes out; its body is JSON. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

/** Tells whoever sent a request that is no AdmissionReview what is wrong with it, and the log that somebody did. */
export function refuse(logger: Logger, status: number, message: string): HttpAnswer {
  const reason: ReasonCode = status < 500 ? 'review_malformed' : 'internal_error';
  logger.warn({ reason, status, detail: message }, 'refused');
  return { status, body: JSON.stringify({ reason, message, remedy: reasons[reason].remedy }) };
}

/** Findings whose detail is about us or about annotations of ours: others may quote a pod's values. */
const told: ReadonlySet<ReasonCode> = new Set([
  'internal_error',
  'review_malformed',
  'annotation_invalid',
  'annotation_unknown',
]);

/** One line for each decision; names and codes only, but for our own annotations, so never a secret of a pod. */
function logDecision(logger: Logger, decision: Decision, milliseconds: number): void {
  const { request, reason, findings } = decision;
  const severities = [reason, ...findings].map(({ code }) => reasons[code].severity);
  const details = findings.filter(({ code }) => told.has(code)).map(({ detail }) => detail);
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
      ...(told.has(reason.code) ? { detail: reason.detail } : {}),
      ...(findings.length === 0 ? {} : { findings: findings.map(({ code }) => code) }),
      ...(details.length === 0 ? {} : { details }),
      ms: Math.round(milliseconds * 100) / 100,
    },
    'decision',
  );
}

/**
 * Answers the body of a `POST /mutate`, logs the decision and counts it. Never throws.
 *
 * Every well-formed AdmissionReview gets 200 and `allowed: true`; 4xx is for what is no AdmissionReview at all.
 */
export function answerBody(body: string, { sources, logger, metrics }: AnswerDependencies): HttpAnswer {
  let review: unknown;
  try {
    review = parseReview(body);
  } catch (error) {
    return refuse(logger, 400, `The body is not JSON: ${messageOf(error)}`);
  }
  const start = performance.now();
  const decision = decide(review, sources);
  logDecision(logger, decision, performance.now() - start);
  metrics.decided(decision);
  if (decision.answer !== undefined) return { status: 200, body: JSON.stringify(decision.answer) };
  const { code, detail } = decision.reason;
  const message = `${reasons[code].sentence} ${detail ?? ''}`.trim();
  return { status: 400, body: JSON.stringify({ reason: code, message, remedy: reasons[code].remedy }) };
}
