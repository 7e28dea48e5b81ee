/** The report of a run for those who read it: the log, people, and the pod's status. */
import { type Finding, reasons, sentenceOf } from '../../reasons/reasons.ts';
import type { RulesReport } from './publication-plan.ts';

/** The kubelet cuts a termination message off there, in the middle of the JSON. */
export const longestTerminationMessage = 4096;

/** One JSON line in the shape of our log (pino: numeric level, milliseconds). */
export function logLine(report: RulesReport, tags: readonly string[], now: number): string {
  const level = { done: 30, skipped: 30, note: 30, warning: 40, error: 50 }[
    reasons[report.outcome.code].severity
  ];
  const { outcome, ...counts } = report;
  const line = {
    level,
    time: now,
    name: 'tag-rules',
    code: outcome.code,
    detail: outcome.detail,
    tags,
    ...counts,
  };
  return JSON.stringify({ ...line, msg: sentenceOf(outcome) });
}

/** Lines for people: what it came to unless all is well, and what needs attention of entries and files. */
export function linesForPeople(report: RulesReport): string[] {
  const needsAttention = ({ code }: Finding) => ['warning', 'error'].includes(reasons[code].severity);
  const findings = [...report.kept, ...report.findings].filter(needsAttention);
  if (reasons[report.outcome.code].severity !== 'done') findings.push(report.outcome);
  return findings.map(sentenceOf);
}

/** JSON of at most 4096 bytes: particulars go, the last first, and `left_out` says how many. */
export function terminationMessage(report: RulesReport, tags: readonly string[]): string {
  const { outcome, kept, findings, ...counts } = report;
  const particulars = [...kept, ...findings].map(shortened);
  const head = {
    code: outcome.code,
    detail: shortened(outcome).detail,
    tags: tags.slice(0, 20).map((tag) => tag.slice(0, 40)),
  };
  for (let count = particulars.length; count >= 0; count--) {
    const left_out = particulars.length - count || undefined;
    const text = JSON.stringify({ ...head, ...counts, findings: particulars.slice(0, count), left_out });
    if (Buffer.byteLength(text) <= longestTerminationMessage) return text;
  }
  return JSON.stringify({ code: outcome.code });
}

function shortened(finding: Finding): Finding {
  const { code, detail } = finding;
  return detail === undefined || detail.length <= 200
    ? finding
    : { code, detail: `${detail.slice(0, 199)}…` };
}
