import type { V1Container } from '@kubernetes/client-node';
import { revisionOf } from '../coverage/workload.ts';
import { readFields } from '../injection/falcosidekick/fields.ts';
import { findFalcosidekick } from '../injection/falcosidekick/find-falcosidekick.ts';
import {
  doubledLabels,
  type FieldKeys,
  panickingFields,
} from '../injection/falcosidekick/prometheus-labels.ts';
import { imageVersion } from '../injection/image.ts';
import type { Check } from './check.ts';
import { type ReadEnvironment, readEnvironment } from './environment.ts';
import type { JudgedPod } from './judge-pod.ts';
import { error, type Line, ok, some } from './line.ts';
import { groupedBy, judgedPods } from './pods.ts';
import type { View } from './view.ts';

/** The falcosidekick of a pod. */
export function falcosidekickOf({ template }: JudgedPod): V1Container | undefined {
  const found = findFalcosidekick(template.spec);
  return found !== undefined && 'container' in found ? found.container : undefined;
}

function fieldKeys({ values }: ReadEnvironment): FieldKeys {
  const keysOf = (name: string) => [...readFields(values.get(name) ?? '').keys()];
  const extra = (values.get('PROMETHEUS_EXTRALABELS') ?? '').replaceAll(' ', '');
  return {
    custom: keysOf('CUSTOMFIELDS'),
    templated: keysOf('TEMPLATEDFIELDS'),
    extra: extra.split(',').filter((one) => one !== ''),
  };
}

/** Secrets that volumes need, and that are not there. */
async function missingVolumes(
  view: View,
  namespace: string,
  { template }: JudgedPod,
): Promise<readonly string[]> {
  const needed = (template.spec.volumes ?? []).flatMap(({ secret }) =>
    secret?.secretName !== undefined && secret.optional !== true ? [secret.secretName] : [],
  );
  const found = await Promise.all(
    needed.map(async (name) => [name, await view.secret(namespace, name)] as const),
  );
  return found.filter(([, secret]) => secret === undefined).map(([name]) => `Secret ${name}`);
}

function labelLines(
  at: string,
  container: V1Container,
  environment: ReadEnvironment,
  fix: string,
): readonly Line[] {
  const keys = fieldKeys(environment);
  const version = imageVersion(container.image);
  const doubled = doubledLabels(keys, version);
  const panicking = panickingFields(keys, version);
  const lines: Line[] = [];
  if (doubled.length > 0) {
    const why = `it panics at start-up: ${some(doubled)} would be a duplicate label of its metrics (CUSTOMFIELDS, TEMPLATEDFIELDS, PROMETHEUS_EXTRALABELS, its own). Take it out of one of them`;
    lines.push(error('falcosidekick_labels', at, why, fix));
  }
  if (panicking.length > 0) {
    const why = `falcosidekick 2.30 to 2.33 panics at every event with a field that has a dot: ${some(panicking)}. Name it with "_", or upgrade falcosidekick`;
    lines.push(error('falcosidekick_labels', at, why, fix));
  }
  return lines;
}

async function lookAt(view: View, namespace: string, pod: JudgedPod): Promise<readonly Line[]> {
  const container = falcosidekickOf(pod);
  if (container === undefined) return [];
  const at = `namespace ${namespace}: falcosidekick of ${pod.workload}`;
  const environment = await readEnvironment(view, namespace, container);
  const missing = [...environment.missing, ...(await missingVolumes(view, namespace, pod))];
  const fix = `kubectl --namespace ${namespace} edit ${pod.workload}   # with the chart: falcosidekick.config.customfields, templatedfields, prometheus.extralabels`;
  const lines = [...labelLines(at, container, environment, fix)];
  for (const one of new Set(missing)) {
    const name = one.split(' ')[1] ?? '';
    const make = one.startsWith('Secret')
      ? `kubectl --namespace ${namespace} create secret generic ${name} --from-file=…`
      : `kubectl --namespace ${namespace} create configmap ${name} --from-file=…`;
    lines.push(error('falcosidekick_references', at, `it cannot start: ${one} does not exist`, make));
  }
  return lines.length > 0 ? lines : [ok('falcosidekick', `${at}: names and references are valid`)];
}

/** With the Secrets that the webhook may not read: what stops a hub's falcosidekick. A spoke's is not ours to look at. */
export const falcosidekick: Check = {
  name: 'falcosidekick',
  title: "falcosidekick's fields, labels and Secrets",
  look: async (view) => {
    if ((await view.goodSettings())?.role !== 'hub') return [];
    const lines: Line[] = [];
    for (const { metadata } of await view.optedIn()) {
      const pods = (await judgedPods(view, metadata.name)).filter(
        (pod) => falcosidekickOf(pod) !== undefined,
      );
      // Pods of one template are alike; two templates of a workload live side by side during a rollout.
      const kinds = groupedBy(
        pods,
        ({ workload, template }) => `${workload} ${revisionOf(template.metadata ?? {})}`,
      );
      for (const [pod] of kinds.values()) {
        if (pod !== undefined) lines.push(...(await lookAt(view, metadata.name, pod)));
      }
    }
    return lines;
  },
};
