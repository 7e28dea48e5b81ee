/** What `tag-rules` left behind in pods: the termination messages of its containers. */
import { statusOf } from '../coverage/pod-status.ts';
import { type TaggingReport, taggingReport } from '../coverage/tagging-report.ts';
import { followRulesContainer, tagRulesContainer } from '../federation/names.ts';
import { needsAttention, sentenceOf } from '../reasons/reasons.ts';
import type { JudgedPod } from './judge-pod.ts';
import { asGraveAs, counted, type Line, ok } from './line.ts';

function lineOf(namespace: string, one: Told, count: number): Line {
  const { outcome, findings } = one.report;
  const all = [outcome, ...findings].filter(needsAttention);
  const text = `namespace ${namespace}: ${one.workload}: ${outcome.code} in ${counted(count, 'pod')}`;
  if (all.length === 0) return ok('tag_rules', text);
  const why = [outcome, ...findings.filter(needsAttention).slice(0, 3)].map(sentenceOf).join(' ');
  const fix = `kubectl --namespace ${namespace} logs ${one.pod} --container ${one.container}`;
  const as = asGraveAs(all);
  return as('tag_rules', text, why, fix);
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
