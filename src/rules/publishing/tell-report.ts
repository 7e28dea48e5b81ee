/** The report of a run for those who read it: the log, people, and the pod's status. */
import { type Finding, reasons, type Severity, sentenceOf } from '../../reasons/reasons.ts';
import type { RulesReport } from './publication-plan.ts';

/**
 * Where a cut in the middle of the JSON need not be feared: the kubelet gives a container 4096 bytes, and a pod 12 KiB
 * that its containers share evenly, those that have nothing to say included. Enough for a pod of twelve.
 */
export const longestTerminationMessage = 1024;

/** Characters of one detail in it: a path and a line or a word. */
const longestDetail = 150;

const levels: Readonly<Record<Severity, number>> = {
  done: 30,
  skipped: 30,
  note: 30,
  warning: 40,
  error: 50,
};

function levelOf({ code }: Finding): number {
  return levels[reasons[code].severity];
}

/** One JSON line in the shape of our log (pino: numeric level, milliseconds); as grave as the gravest thing in it. */
export function logLine(report: RulesReport, tags: readonly string[], now: number): string {
  const { outcome, ...counts } = report;
  const level = Math.max(...[outcome, ...report.kept, ...report.findings].map(levelOf));
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
  const needsAttention = (finding: Finding) => levelOf(finding) > levels.done;
  const findings = [...report.kept, ...report.findings].filter(needsAttention);
  if (reasons[report.outcome.code].severity !== 'done') findings.push(report.outcome);
  return findings.map(sentenceOf);
}

/** JSON that fits: particulars go, the least grave and the last first, and `left_out` says how many; then all but counts. */
export function terminationMessage(report: RulesReport, tags: readonly string[]): string {
  const { outcome, kept, findings, ...counts } = report;
  const particulars = [...kept, ...findings].sort((a, b) => levelOf(b) - levelOf(a)).map(shortened);
  const { code, detail } = shortened(outcome);
  const head = { code, detail, tags: tags.slice(0, 20).map((tag) => tag.slice(0, 40)), ...counts };
  // No more than this many fit, however short they are.
  for (let count = Math.min(particulars.length, 32); count >= 0; count--) {
    const left_out = particulars.length - count || undefined;
    const text = JSON.stringify({ ...head, findings: particulars.slice(0, count), left_out });
    if (Buffer.byteLength(text) <= longestTerminationMessage) return text;
  }
  return JSON.stringify({ code, ...counts, left_out: particulars.length });
}

function shortened(finding: Finding): Finding {
  const { code, detail } = finding;
  return detail === undefined || detail.length <= longestDetail
    ? finding
    : { code, detail: `${detail.slice(0, longestDetail - 1)}…` };
}
