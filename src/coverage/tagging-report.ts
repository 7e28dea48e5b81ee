/** What `tag-rules` left behind in a pod: the termination message of its container. */
import type { V1PodStatus } from '@kubernetes/client-node';
import { isRecord } from '../injection/record.ts';
import { type Finding, needsAttention, type ReasonCode, reasons } from '../reasons/reasons.ts';
import { containerIn } from './pod-status.ts';

function isCode(value: unknown): value is ReasonCode {
  return typeof value === 'string' && Object.hasOwn(reasons, value);
}

/** What `tag-rules` came to, and what else it found. */
export interface TaggingReport {
  readonly outcome: Finding;
  readonly findings: readonly Finding[];
}

function findingIn(value: unknown): Finding | undefined {
  if (!isRecord(value) || !isCode(value.code)) return undefined;
  return typeof value.detail === 'string' ? { code: value.code, detail: value.detail } : { code: value.code };
}

/** Of its termination message; `undefined` for anything else. */
export function parsedReport(message: string | undefined): TaggingReport | undefined {
  if (message === undefined || !message.startsWith('{')) return undefined;
  try {
    const report: unknown = JSON.parse(message);
    const outcome = findingIn(report);
    if (outcome === undefined || !isRecord(report)) return undefined;
    const listed: unknown[] = Array.isArray(report.findings) ? report.findings : [];
    return { outcome, findings: listed.flatMap((one) => findingIn(one) ?? []) };
  } catch {
    return undefined;
  }
}

/** Codes of one report that are kept: what it came to, and what was said of files and entries. */
const mostCodes = 4;

/** The latest report of a container: one that runs again has left it with its last end. */
export function taggingReport(status: V1PodStatus, container: string): TaggingReport | undefined {
  const found = containerIn(status, container);
  return parsedReport(found?.state?.terminated?.message ?? found?.lastState?.terminated?.message);
}

/** What a container's last `tag-rules` found that needs attention. */
export function reportedCodes(status: V1PodStatus, container: string): readonly ReasonCode[] {
  const report = taggingReport(status, container);
  if (report === undefined) return [];
  const codes = [report.outcome, ...report.findings].filter(needsAttention).map(({ code }) => code);
  return [...new Set(codes)].slice(0, mostCodes);
}

/** Codes of a list that are known and need attention. */
export function attentionCodes(codes: readonly string[]): readonly ReasonCode[] {
  return codes.filter(isCode).filter((code) => needsAttention({ code }));
}
