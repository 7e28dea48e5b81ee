import type { Annotations } from '../federation/effective-settings.ts';
import { messageOf } from '../reasons/message-of.ts';
import { type Finding, needsAttention, sentenceOf } from '../reasons/reasons.ts';
import type { Settings } from '../settings/schema.ts';
import { injectObject, type ObjectInjection } from './inject-object.ts';
import { type AdmissionRequest, type AdmissionReview, readReview, reviewVersion } from './review.ts';

/** Where a decision takes its knowledge from; both answer from memory, at once. */
export interface AdmissionSources {
  readonly settings: () => Settings;
  readonly namespaceAnnotations: (namespace: string) => Annotations;
}

export interface Decision {
  /** `undefined` where the body has no request that could be answered. */
  readonly request: AdmissionRequest | undefined;
  /** `undefined` likewise: the server then says so with an HTTP status. */
  readonly answer: AdmissionReview | undefined;
  readonly reason: Finding;
  readonly findings: readonly Finding[];
}

/** What the API server hands on whole of all warnings together; and of each once they are more (FACTS 4.19). */
const allWarnings = 4096;
const oneWarning = 256;

/** Findings that need attention, as the API server hands it on: it drops one with a control character (FACTS 4.19). */
function warningsOf(findings: readonly Finding[]): string[] {
  const grave = findings.filter(needsAttention);
  const texts = grave
    .slice(0, allWarnings / 64)
    .map((finding) => `falco-federation: ${sentenceOf(finding).replace(/\p{Cc}+/gu, ' ')}`);
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (bytes <= allWarnings) return texts;
  const kept = texts.slice(0, allWarnings / oneWarning - 1).map((text) => shortened(text, oneWarning));
  const more = grave.length - kept.length;
  return more === 0 ? kept : [...kept, `falco-federation: ${more} more warnings are in the webhook's log`];
}

/** At most so many bytes. */
function shortened(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  const cut = Buffer.from(text)
    .subarray(0, bytes - 6)
    .toString();
  return `${cut.replace(/\uFFFD+$/, '')}…`;
}

function answerTo(uid: string, apiVersion: string, result: ObjectInjection): AdmissionReview {
  const { reason, findings, patch } = result;
  const warnings = warningsOf([reason, ...findings]);
  return {
    apiVersion,
    kind: 'AdmissionReview',
    response: {
      uid,
      allowed: true,
      ...(patch.length === 0
        ? {}
        : { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }),
      ...(warnings.length === 0 ? {} : { warnings }),
      auditAnnotations: {
        reason: reason.code,
        ...(findings.length === 0
          ? {}
          : { findings: [...new Set(findings.map(({ code }) => code))].join(',') }),
      },
    },
  };
}

function unchanged(reason: Finding): ObjectInjection {
  return { reason, findings: [], patch: [] };
}

/**
 * What is done with a request:
 *
 * | kind                     | operation       | injectAt | result                 |
 * | ------------------------ | --------------- | -------- | ---------------------- |
 * | Pod                      | CREATE          | any      | injected               |
 * | DaemonSet, Deployment, … | CREATE, UPDATE  | workload | template injected      |
 * | DaemonSet, Deployment, … | CREATE, UPDATE  | pod      | workload_left_to_pods  |
 * | any                      | anything else   | any      | operation_not_handled  |
 *
 * A pod's containers cannot change once it is there, so its UPDATE is none of our business.
 */
function injectRequest(request: AdmissionRequest, sources: AdmissionSources): ObjectInjection {
  const { kind, operation, subResource, namespace, object } = request;
  const isPod = kind === 'Pod';
  const handled = operation === 'CREATE' || (operation === 'UPDATE' && !isPod);
  if (!handled || subResource !== '') {
    const detail = [operation, kind, subResource].filter((part) => part !== '').join(' ');
    return unchanged({ code: 'operation_not_handled', detail });
  }
  const settings = sources.settings();
  if (!isPod && settings.injectAt === 'pod')
    return unchanged({ code: 'workload_left_to_pods', detail: kind });
  return injectObject(object, kind, settings, sources.namespaceAnnotations(namespace), {
    seenAs: isPod ? 'pod' : 'workload',
  });
}

/**
 * Answers an AdmissionReview. Never throws and never refuses: what goes wrong inside lets the object through
 * unchanged, with a reason and a warning.
 *
 * @param review the parsed body of a request, whatever it is
 */
export function decide(review: unknown, sources: AdmissionSources): Decision {
  const read = readReview(review);
  if (!read.ok) {
    const reason: Finding = { code: 'review_malformed', detail: read.why };
    return {
      request: undefined,
      answer:
        read.uid === '' ? undefined : answerTo(read.uid, read.apiVersion || reviewVersion, unchanged(reason)),
      reason,
      findings: [],
    };
  }
  const { request } = read;
  let result: ObjectInjection;
  try {
    result = injectRequest(request, sources);
  } catch (error) {
    // A defect of ours: it must not keep a pod from being created (FACTS 4.3).
    const detail = messageOf(error);
    result = unchanged({ code: 'internal_error', detail });
  }
  const { reason, findings } = result;
  return { request, answer: answerTo(request.uid, reviewVersion, result), reason, findings };
}
