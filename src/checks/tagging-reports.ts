/** What `tag-rules` left behind in pods: the termination messages of its containers. */
import type { InspectedPod } from '../cluster/index.ts';
import { followRulesContainer, tagRulesContainer } from '../federation/names.ts';
import { type Finding, type ReasonCode, reasons, sentenceOf } from '../reasons/reasons.ts';
import type { JudgedPod } from './judge-pod.ts';
import { counted, error, type Line, ok, warning } from './line.ts';

interface Report {
  readonly outcome: Finding;
  readonly findings: readonly Finding[];
}

function findingIn(value: unknown): Finding | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const code: unknown = Reflect.get(value, 'code');
  const detail: unknown = Reflect.get(value, 'detail');
  if (typeof code !== 'string' || !Object.hasOwn(reasons, code)) return undefined;
  // Safe: it is one of the table's own keys.
  const known = code as ReasonCode;
  return typeof detail === 'string' ? { code: known, detail } : { code: known };
}

function parsed(message: string): Report | undefined {
  try {
    const report: unknown = JSON.parse(message);
    const outcome = findingIn(report);
    if (outcome === undefined || typeof report !== 'object' || report === null) return undefined;
    const findings: unknown = Reflect.get(report, 'findings');
    return {
      outcome,
      findings: Array.isArray(findings) ? findings.flatMap((one) => findingIn(one) ?? []) : [],
    };
  } catch {
    return undefined;
  }
}

/** The latest of a container: one that runs again has left it with its last end. */
function reportOf({ status }: InspectedPod, container: string): Report | undefined {
  const all = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  const found = all.find(({ name }) => name === container);
  const message = found?.state?.terminated?.message ?? found?.lastState?.terminated?.message;
  return message === undefined ? undefined : parsed(message);
}

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
  readonly report: Report;
}

/** One line for each workload and outcome. */
export function taggingReports(namespace: string, pods: readonly JudgedPod[]): readonly Line[] {
  const groups = new Map<string, Told[]>();
  for (const { pod, workload, name } of pods) {
    for (const container of [tagRulesContainer, followRulesContainer]) {
      const report = reportOf(pod, container);
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
