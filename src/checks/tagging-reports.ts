/** What `tag-rules` left behind in pods: the termination messages of its containers. */
import { statusOf } from '../coverage/seen-pod.ts';
import { type TaggingReport, taggingReport } from '../coverage/trouble.ts';
import { followRulesContainer, tagRulesContainer } from '../federation/names.ts';
import { reasons, sentenceOf } from '../reasons/reasons.ts';
import type { JudgedPod } from './judge-pod.ts';
import { counted, error, type Line, ok, warning } from './line.ts';

const grave = new Set(['warning', 'error']);

function lineOf(namespace: string, one: Told, count: number): Line {
  const { outcome, findings } = one.report;
  const severities = [outcome, ...findings].map(({ code }) => reasons[code].severity);
  const text = `namespace ${namespace}: ${one.workload}: ${outcome.code} in ${counted(count, 'pod')}`;
  if (!severities.some((severity) => grave.has(severity))) return ok('tag_rules', text);
  const particulars = findings.filter(({ code }) => grave.has(reasons[code].severity)).slice(0, 3);
  const why = [outcome, ...particulars].map(sentenceOf).join(' ');
  const fix = `kubectl --namespace ${namespace} logs ${one.pod} --container ${one.container}`;
  return severities.includes('error')
    ? error('tag_rules', text, why, fix)
    : warning('tag_rules', text, why, fix);
}

interface Told {
  readonly workload: string;
  readonly pod: string;
  readonly container: string;
  readonly report: TaggingReport;
}

/** One line for each workload and outcome. */
export function taggingReports(namespace: string, pods: readonly JudgedPod[]): readonly Line[] {
  const groups = new Map<string, Told[]>();
  for (const { pod, workload, name } of pods) {
    for (const container of [tagRulesContainer, followRulesContainer]) {
      const report = taggingReport(statusOf(pod), container);
      if (report === undefined) continue;
      const key = JSON.stringify([workload, container, report]);
      groups.set(key, [...(groups.get(key) ?? []), { workload, pod: name, container, report }]);
    }
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    return first === undefined ? [] : [lineOf(namespace, first, group.length)];
  });
}
