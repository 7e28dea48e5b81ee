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
import { readEnvironment } from './environment.ts';
import type { JudgedPod } from './judge-pod.ts';
import { error, type Line, ok, some } from './line.ts';
import { groupedBy, judgedPods } from './pods.ts';
import type { View } from './view.ts';

/** The falcosidekick of a pod. */
export function falcosidekickOf({ template }: JudgedPod): V1Container | undefined {
  const found = findFalcosidekick(template.spec);
  return found !== undefined && 'container' in found ? found.container : undefined;
}

function fieldKeys(values: ReadonlyMap<string, string>): FieldKeys {
  const keysOf = (name: string) => [...readFields(values.get(name) ?? '').keys()];
  const extra = (values.get('PROMETHEUS_EXTRALABELS') ?? '').replaceAll(' ', '');
  return {
    custom: keysOf('CUSTOMFIELDS'),
    templated: keysOf('TEMPLATEDFIELDS'),
    extra: extra.split(',').filter((one) => one !== ''),
  };
}

async function lookAt(view: View, namespace: string, pod: JudgedPod): Promise<Line | undefined> {
  const container = falcosidekickOf(pod);
  if (container === undefined) return undefined;
  const at = `namespace ${namespace}: labels of falcosidekick of ${pod.workload}`;
  const keys = fieldKeys(await readEnvironment(view, namespace, container));
  const version = imageVersion(container.image);
  const [doubled, panicking] = [doubledLabels(keys, version), panickingFields(keys, version)];
  const fix = `kubectl --namespace ${namespace} edit ${pod.workload}   # with the chart: falcosidekick.config.customfields, templatedfields, prometheus.extralabels`;
  if (doubled.length > 0) {
    const why = `it panics at start-up: ${some(doubled)} would be a duplicate label of its metrics (CUSTOMFIELDS, TEMPLATEDFIELDS, PROMETHEUS_EXTRALABELS, its own). Take it out of one of them`;
    return error('falcosidekick_labels', at, why, fix);
  }
  if (panicking.length > 0) {
    const why = `falcosidekick 2.30 to 2.33 panics at every event with a field that has a dot: ${some(panicking)}. Name it with "_", or upgrade falcosidekick`;
    return error('falcosidekick_labels', at, why, fix);
  }
  return ok('falcosidekick_labels', `${at} are valid`);
}

/** With the Secrets that the webhook may not read: what stops a hub's falcosidekick. A spoke's is not ours to look at. */
export const falcosidekick: Check = {
  name: 'falcosidekick_labels',
  title: "falcosidekick's labels",
  look: async (view) => {
    if ((await view.goodSettings())?.role !== 'hub') return [];
    const lines: Line[] = [];
    for (const { metadata } of await view.optedIn()) {
      // Pods of one template are alike; two templates of a workload live side by side during a rollout.
      const kinds = groupedBy(
        await judgedPods(view, metadata.name),
        ({ workload, template }) => `${workload} ${revisionOf(template.metadata ?? {})}`,
      );
      for (const [pod] of kinds.values()) {
        const line = pod && (await lookAt(view, metadata.name, pod));
        if (line !== undefined) lines.push(line);
      }
    }
    return lines;
  },
};
