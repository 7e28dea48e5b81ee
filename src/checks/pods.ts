import type { InspectedPod } from '../cluster/index.ts';
import type { PodState } from '../coverage/assess.ts';
import { containerIn, statusOf } from '../coverage/pod-status.ts';
import { kubectlName, restartCommand, revisionOf, workloadOf } from '../coverage/workload.ts';
import { injectLabel, prefix } from '../federation/names.ts';
import { findFalco } from '../injection/falco/find-falco.ts';
import { readPodTemplate } from '../injection/pod-template.ts';
import { type Finding, needsAttention, sentenceOf } from '../reasons/reasons.ts';
import type { Check } from './check.ts';
import { type JudgedPod, judgePod } from './judge-pod.ts';
import { asGraveAs, counted, error, type Line, ok, some, warning } from './line.ts';
import { taggingReports } from './tagging-reports.ts';
import type { View } from './view.ts';

/** Falco's pods of a namespace that has opted in. */
export async function judgedPods(view: View, namespace: string): Promise<readonly JudgedPod[]> {
  const settings = await view.goodSettings();
  if (settings === undefined) return [];
  const annotations = (await view.optedIn()).find(({ metadata }) => metadata.name === namespace)?.metadata
    .annotations;
  const own = Object.fromEntries(Object.entries(annotations ?? {}).filter(([key]) => key.startsWith(prefix)));
  const judged = (await view.podsIn(namespace)).flatMap(
    (pod) => judgePod(pod, settings, own, view.now()) ?? [],
  );
  // A spoke's falcosidekick is left alone, and is nothing to tell.
  return settings.role === 'hub'
    ? judged
    : judged.filter(({ state, template }) => state !== 'skipped' || findFalco(template.spec) !== undefined);
}

export interface OfNamespace {
  readonly namespace: string;
  readonly pod: JudgedPod;
}

/** One pod of each template: two templates of a workload live side by side during a rollout. */
export async function podOfEach(view: View): Promise<readonly OfNamespace[]> {
  const all = (await view.optedIn()).map(async ({ metadata: { name: namespace } }) => {
    const kinds = Map.groupBy(
      await judgedPods(view, namespace),
      ({ workload, template }) => `${workload} ${revisionOf(template.metadata ?? {})}`,
    );
    return [...kinds.values()].flatMap(([pod]) => (pod === undefined ? [] : [{ namespace, pod }]));
  });
  return (await Promise.all(all)).flat();
}

const words: Readonly<Record<PodState, string>> = {
  federated: 'not ready',
  stale: 'stale',
  not_federated: 'not federated',
  skipped: 'left alone',
  failing: 'failing',
};

function aboutSkipped(namespace: string, workload: string, text: string, reason: Finding): Line {
  if (!needsAttention(reason)) return ok('pods', `${text} (${reason.code})`);
  const fix = `kubectl --namespace ${namespace} get ${workload} --output yaml`;
  return asGraveAs([reason])('pods', text, sentenceOf(reason), fix);
}

/** What shows more of a pod that fails or is not ready: there are logs only of what has run. */
function showing(namespace: string, { name, workload, container, pod }: JudgedPod): string {
  const kubectl = `kubectl --namespace ${namespace}`;
  if (container === undefined) return `${kubectl} describe pod ${name}`;
  const { state, lastState } = containerIn(statusOf(pod), container) ?? {};
  if (state === undefined) {
    const again = restartCommand(namespace, workload);
    return `kubectl get mutatingwebhookconfigurations   # one of them removes it; correct that, then: ${again}`;
  }
  if (state.waiting && state.waiting.reason !== 'CrashLoopBackOff') return `${kubectl} describe pod ${name}`;
  const previous = lastState?.terminated ? ' --previous' : '';
  return `${kubectl} logs ${name} --container ${container}${previous}`;
}

/** One line for pods of a workload that are in the same state for the same reason. */
function lineOf(namespace: string, pods: readonly JudgedPod[]): Line {
  const [first] = pods;
  if (first === undefined) return ok('pods', `namespace ${namespace}`);
  const { workload, state, reason, why, name, pod } = first;
  const text = `namespace ${namespace}: ${counted(pods.length, 'pod')} of ${workload} ${words[state]}`;
  switch (state) {
    case 'federated':
      return warning('pods', text, `${name}: ${why}`, showing(namespace, first));
    case 'skipped':
      return aboutSkipped(namespace, workload, text, reason ?? { code: 'nothing_to_add' });
    case 'stale':
      return warning('pods', text, why, restartCommand(namespace, workload));
    case 'not_federated': {
      const since = pod.metadata.creationTimestamp ?? '?';
      const made = `created at ${since}, without the webhook or before the namespace opted in`;
      return error('pods', text, made, restartCommand(namespace, workload));
    }
    case 'failing':
      return error('pods', text, `${name}: ${why}`, showing(namespace, first));
  }
}

/** What injection found in pods that it changed all the same. */
function findingLines(namespace: string, pods: readonly JudgedPod[]): readonly Line[] {
  const found = pods.flatMap(({ workload, findings }) => findings.map((code) => ({ workload, code })));
  return [...Map.groupBy(found, ({ workload, code }) => `${workload} ${code}`).values()].flatMap(([one]) => {
    if (one === undefined) return [];
    const text = `namespace ${namespace}: ${one.workload}`;
    const fix = `kubectl --namespace ${namespace} get ${one.workload} --output yaml`;
    const as = asGraveAs([one]);
    return [as('findings', text, sentenceOf(one), fix)];
  });
}

/** Pods with the label of Falco's chart in which no container is Falco, as far as the webhook can tell. */
function unrecognised(
  namespace: string,
  all: readonly InspectedPod[],
  known: readonly JudgedPod[],
): readonly Line[] {
  const names = new Set(known.map(({ name }) => name));
  const found = all.filter(
    ({ metadata: { name, labels } }) => labels?.['app.kubernetes.io/name'] === 'falco' && !names.has(name),
  );
  const [first] = found;
  if (first === undefined) return [];
  const { metadata = {} } = readPodTemplate(first, []) ?? {};
  const workload = kubectlName(workloadOf(namespace, metadata));
  const text = `namespace ${namespace}: ${counted(found.length, 'pod')} of ${workload} with the label of Falco's chart`;
  const why = 'not recognised: no container starts Falco';
  const fix = `kubectl --namespace ${namespace} edit ${workload}   # let its command or args begin with /usr/bin/falco`;
  return [warning('pods', text, why, fix)];
}

/** Where all that there is has been opted out, nothing is federated, though each was meant to be left alone. */
function allOptedOut(judged: readonly JudgedPod[]): readonly Line[] {
  const [first] = judged;
  if (first === undefined || !judged.every(({ reason }) => reason?.code === 'opted_out')) return [];
  const text = `${counted(judged.length, 'pod')} of Falco in namespaces that have opted in`;
  const why = `opted out by the label ${injectLabel}: disabled, so no alert of this cluster is federated`;
  const namespace = first.pod.metadata.namespace ?? '';
  const fix = `kubectl --namespace ${namespace} edit ${first.workload}   # remove the label from its pod template; with the chart: podLabels`;
  return [error('pods', text, why, fix)];
}

async function namespaceLines(view: View, namespace: string): Promise<readonly Line[]> {
  const pods = await judgedPods(view, namespace);
  if ((await view.goodSettings()) === undefined) return [];
  const unknown = unrecognised(namespace, await view.podsIn(namespace), pods);
  if (pods.length === 0 && unknown.length > 0) return unknown;
  if (pods.length === 0) {
    const why = 'there are no pods of Falco in it';
    const fix = `helm install falco falcosecurity/falco --namespace ${namespace}`;
    return [warning('pods', `namespace ${namespace}`, why, fix)];
  }
  const isWell = ({ state, why }: JudgedPod): boolean => state === 'federated' && why === '';
  const federated = pods.filter(isWell);
  const others = pods.filter((pod) => !isWell(pod));
  const groups = Map.groupBy(
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
    ...unknown,
  ];
}

/** Each opted-in namespace: its pods by state, and what `tag-rules` said in them. */
export const pods: Check = {
  name: 'pods',
  title: 'the pods of opted-in namespaces',
  look: async (view) => {
    const names = (await view.optedIn()).map(({ metadata }) => metadata.name);
    const lines = (await Promise.all(names.map((name) => namespaceLines(view, name)))).flat();
    const all = (await Promise.all(names.map((name) => judgedPods(view, name)))).flat();
    return [...lines, ...allOptedOut(all)];
  },
};
