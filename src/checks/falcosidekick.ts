import type { V1Container } from '@kubernetes/client-node';
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
import { error, type Line, ok, some } from './line.ts';
import { type OfNamespace, podOfEach } from './pods.ts';
import type { View } from './view.ts';

function fieldKeys(values: ReadonlyMap<string, string>): FieldKeys {
  const keysOf = (name: string) => [...readFields(values.get(name) ?? '').keys()];
  const extra = (values.get('PROMETHEUS_EXTRALABELS') ?? '').replaceAll(' ', '');
  return {
    custom: keysOf('CUSTOMFIELDS'),
    templated: keysOf('TEMPLATEDFIELDS'),
    extra: extra.split(',').filter((one) => one !== ''),
  };
}

async function lookAt(
  view: View,
  { namespace, pod }: OfNamespace,
  { image, ...container }: V1Container,
): Promise<Line> {
  const at = `namespace ${namespace}: fields and labels of ${pod.workload}`;
  const keys = fieldKeys(await readEnvironment(view, namespace, container));
  const version = imageVersion(image);
  const fix = `kubectl --namespace ${namespace} edit ${pod.workload}   # with the chart: falcosidekick.config.customfields, templatedfields, prometheus.extralabels`;
  const problems: readonly (readonly [found: readonly string[], why: (names: string) => string])[] = [
    [
      doubledLabels(keys, version),
      (names) =>
        `it panics at start-up: ${names} would be a duplicate label of its metrics (CUSTOMFIELDS, TEMPLATEDFIELDS, PROMETHEUS_EXTRALABELS, its own)`,
    ],
    [
      panickingFields(keys, version),
      (names) =>
        `falcosidekick 2.30 to 2.33 panics at every event with a field that has a dot: ${names}. Name it with "_", or upgrade falcosidekick`,
    ],
    [
      keys.custom.filter((key) => keys.templated.includes(key)),
      (names) => `CUSTOMFIELDS set ${names}, and overwrite what the spokes say`,
    ],
  ];
  const [first] = problems.filter(([found]) => found.length > 0);
  return first === undefined
    ? ok('falcosidekick_labels', `${at} are valid`)
    : error('falcosidekick_labels', at, first[1](some(first[0])), fix);
}

/** A hub's falcosidekick, with the Secrets that the webhook may not read. A spoke's is not ours to look at. */
export const falcosidekick: Check = {
  name: 'falcosidekick_labels',
  title: "the hub's falcosidekick",
  look: async (view) => {
    if ((await view.goodSettings())?.role !== 'hub') return [];
    const lines = (await podOfEach(view)).map(async (one) => {
      const found = findFalcosidekick(one.pod.template.spec);
      return found !== undefined && 'container' in found ? [await lookAt(view, one, found.container)] : [];
    });
    const all = (await Promise.all(lines)).flat();
    if (all.length > 0) return all;
    const why = 'no opted-in namespace has one, so the events of the spokes go nowhere';
    const fix =
      'helm upgrade falco falcosecurity/falco --namespace falco --reuse-values --set falcosidekick.enabled=true';
    return [error('hub_falcosidekick', 'falcosidekick of the hub', why, fix)];
  },
};
