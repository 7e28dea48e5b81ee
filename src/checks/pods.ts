import type { PodState } from '../coverage/assess.ts';
import { restartCommand } from '../coverage/workload.ts';
import { prefix } from '../federation/names.ts';
import { type Finding, reasons, sentenceOf } from '../reasons/reasons.ts';
import type { Check } from './check.ts';
import { type JudgedPod, judgePod } from './judge-pod.ts';
import { counted, error, type Line, ok, some, warning } from './line.ts';
import { taggingReports } from './tagging-reports.ts';
import type { View } from './view.ts';

/** Falco's pods of a namespace that has opted in. */
export async function judgedPods(view: View, namespace: string): Promise<readonly JudgedPod[]> {
  const settings = await view.goodSettings();
  if (settings === undefined) return [];
  const annotations = (await view.optedIn()).find(({ metadata }) => metadata.name === namespace)?.metadata
    .annotations;
  const own = Object.fromEntries(Object.entries(annotations ?? {}).filter(([key]) => key.startsWith(prefix)));
  const pods = await view.podsIn(namespace);
  return pods.flatMap((pod) => judgePod(pod, settings, own, view.now()) ?? []);
}

export function groupedBy<T>(
  all: readonly T[],
  keyOf: (one: T) => string,
): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const one of all) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one]);
  return groups;
}

const words: Readonly<Record<Exclude<PodState, 'federated'>, string>> = {
  stale: 'stale',
  not_federated: 'not federated',
  skipped: 'left alone',
  failing: 'failing',
};

function aboutSkipped(namespace: string, workload: string, text: string, reason: Finding): Line {
  const { severity } = reasons[reason.code];
  const said = sentenceOf(reason);
  if (severity === 'skipped') return ok('pods', `${text} (${reason.code})`);
  return warning('pods', text, said, `kubectl --namespace ${namespace} get ${workload} --output yaml`);
}

/** One line for pods of a workload that are in the same state for the same reason. */
function lineOf(namespace: string, pods: readonly JudgedPod[]): Line {
  const [first] = pods;
  if (first === undefined || first.state === 'federated') return ok('pods', `namespace ${namespace}`);
  const { workload, state, reason, why, container, name, pod } = first;
  const text = `namespace ${namespace}: ${counted(pods.length, 'pod')} of ${workload} ${words[state]}`;
  switch (state) {
    case 'skipped':
      return aboutSkipped(namespace, workload, text, reason ?? { code: 'nothing_to_add' });
    case 'stale':
      return warning('pods', text, why, restartCommand(namespace, workload));
    case 'not_federated': {
      const since = pod.metadata.creationTimestamp ?? '?';
      const made = `created at ${since}, without the webhook or before the namespace opted in`;
      return error('pods', text, made, restartCommand(namespace, workload));
    }
    case 'failing': {
      const told = `${name}: ${why}`;
      const logs = `kubectl --namespace ${namespace} logs ${name} --container ${container} --previous`;
      const describe = `kubectl --namespace ${namespace} describe pod ${name}`;
      return error('pods', text, told, container === undefined || /Image|Config/.test(why) ? describe : logs);
    }
  }
}

/** What injection found in pods that it changed all the same. */
function findingLines(namespace: string, pods: readonly JudgedPod[]): readonly Line[] {
  const found = pods.flatMap(({ workload, findings }) => findings.map((code) => ({ workload, code })));
  return [...groupedBy(found, ({ workload, code }) => `${workload} ${code}`).values()].flatMap(([one]) => {
    if (one === undefined) return [];
    const text = `namespace ${namespace}: ${one.workload}`;
    const fix = `kubectl --namespace ${namespace} get ${one.workload} --output yaml`;
    return [warning('findings', text, sentenceOf({ code: one.code }), fix)];
  });
}

async function namespaceLines(view: View, namespace: string): Promise<readonly Line[]> {
  const pods = await judgedPods(view, namespace);
  if ((await view.goodSettings()) === undefined) return [];
  if (pods.length === 0) {
    const why = 'there are no pods of Falco or falcosidekick in it';
    const fix = `helm install falco falcosecurity/falco --namespace ${namespace}`;
    return [warning('pods', `namespace ${namespace}`, why, fix)];
  }
  const federated = pods.filter(({ state }) => state === 'federated');
  const others = pods.filter(({ state }) => state !== 'federated');
  const groups = groupedBy(
    others,
    ({ workload, state, why, reason }) => `${workload} ${state} ${why} ${reason?.code}`,
  );
  const workloads = [...new Set(federated.map(({ workload }) => workload))];
  return [
    ...(federated.length === 0
      ? []
      : [
          ok(
            'pods',
            `namespace ${namespace}: ${counted(federated.length, 'pod')} federated (${some(workloads)})`,
          ),
        ]),
    ...[...groups.values()].map((group) => lineOf(namespace, group)),
    ...findingLines(namespace, pods),
    ...taggingReports(namespace, pods),
  ];
}

/** Each opted-in namespace: its pods by state, and what `tag-rules` said in them. */
export const pods: Check = {
  name: 'pods',
  title: 'the pods of opted-in namespaces',
  look: async (view) => {
    const names = (await view.optedIn()).map(({ metadata }) => metadata.name);
    return (await Promise.all(names.map((name) => namespaceLines(view, name)))).flat();
  },
};
