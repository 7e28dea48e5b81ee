import type { InspectedPod } from '../cluster/index.ts';
import type { PodState } from '../coverage/assess.ts';
import { restartCommand, revisionOf } from '../coverage/workload.ts';
import { injectLabel, prefix } from '../federation/names.ts';
import { findFalco } from '../injection/falco/find-falco.ts';
import { type Finding, reasons, sentenceOf } from '../reasons/reasons.ts';
import type { Check } from './check.ts';
import { usesForwarder } from './forwarder.ts';
import { type JudgedPod, judgePod } from './judge-pod.ts';
import { counted, error, type Line, ok, some, warning } from './line.ts';
import { shippingLines } from './shipping.ts';
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
  const as = severity === 'error' ? error : warning;
  return as('pods', text, said, `kubectl --namespace ${namespace} get ${workload} --output yaml`);
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
      return error(
        'pods',
        text,
        told,
        container === undefined || /Image|Config|removed/.test(why) ? describe : logs,
      );
    }
  }
}

/** What injection found in pods that it changed all the same. */
function findingLines(namespace: string, pods: readonly JudgedPod[]): readonly Line[] {
  const found = pods.flatMap(({ workload, findings }) => findings.map((code) => ({ workload, code })));
  return [...Map.groupBy(found, ({ workload, code }) => `${workload} ${code}`).values()].flatMap(([one]) => {
    if (one === undefined) return [];
    const text = `namespace ${namespace}: ${one.workload}`;
    const fix = `kubectl --namespace ${namespace} get ${one.workload} --output yaml`;
    const as = reasons[one.code].severity === 'error' ? error : warning;
    return [as('findings', text, sentenceOf({ code: one.code }), fix)];
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
  const { name } = first.metadata;
  const text = `namespace ${namespace}: ${counted(found.length, 'pod')} with the label of Falco's chart, as ${name}`;
  const why = 'not recognised: no container has the program, image or name of Falco';
  return [warning('pods', text, why, `kubectl --namespace ${namespace} get pod ${name} --output yaml`)];
}

/** Where all that there is has been opted out, nothing is federated, though each was meant to be left alone. */
function allOptedOut(judged: readonly JudgedPod[]): readonly Line[] {
  const [first] = judged;
  if (first === undefined || !judged.every(({ reason }) => reason?.code === 'opted_out')) return [];
  const text = `${counted(judged.length, 'pod')} of Falco in namespaces that have opted in`;
  const why = `opted out by the label ${injectLabel}: disabled, so no alert of this cluster is federated`;
  const namespace = first.pod.metadata.namespace ?? '';
  const fix = `kubectl --namespace ${namespace} get ${first.workload} --output yaml   # remove the label from its pod template`;
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
  const federated = pods.filter(({ state }) => state === 'federated');
  const others = pods.filter(({ state }) => state !== 'federated');
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
    ...((await usesForwarder(view)) ? shippingLines(namespace, pods) : []),
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
