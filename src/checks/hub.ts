import { effectiveSettings } from '../federation/effective-settings.ts';
import { readFields } from '../injection/falcosidekick/fields.ts';
import { imageVersion, isBefore } from '../injection/image.ts';
import type { Settings } from '../settings/schema.ts';
import type { Check } from './check.ts';
import { readEnvironment } from './environment.ts';
import { falcosidekickOf } from './falcosidekick.ts';
import { usesForwarder } from './forwarder.ts';
import type { JudgedPod } from './judge-pod.ts';
import { error, type Line, ok, some, warning } from './line.ts';
import { obstacleIn } from './obstacles.ts';
import { judgedPods } from './pods.ts';
import { condition, type Replica } from './replica.ts';
import type { View } from './view.ts';

function away(replica: Replica, address: string, namespace: string): readonly Line[] {
  const hub = condition(replica, 'hub');
  if (hub === undefined) return [];
  const text = `${replica.name}: the hub ${address}`;
  if (hub.detail.startsWith('ok')) return [ok('hub', `${text} takes events`)];
  const { what, fix } = obstacleIn(hub.detail);
  return [error('hub', text, `${what}: ${hub.detail}`, fix({ hub: new URL(address), namespace }))];
}

/** A spoke's hub, as its forwarders find it. */
export const hubOfSpoke: Check = {
  name: 'hub',
  title: 'the hub takes events',
  look: async (view) => {
    const address = (await view.goodSettings())?.hub?.address;
    if (address === undefined || !(await usesForwarder(view))) return [];
    const namespace = await view.place();
    return (await view.replicasOf('forwarder')).flatMap((replica) => away(replica, address, namespace));
  },
};

/** That a hub's own events get their labels, and what the spokes say stays. */
async function templates(
  view: View,
  namespace: string,
  pod: JudgedPod,
  settings: Settings,
): Promise<readonly Line[]> {
  const container = falcosidekickOf(pod);
  if (container === undefined) return [];
  const values = await readEnvironment(view, namespace, container);
  const keys = Object.keys(
    effectiveSettings(settings, undefined, pod.template.metadata?.annotations).effective.labels,
  );
  const [templated, custom] = ['TEMPLATEDFIELDS', 'CUSTOMFIELDS'].map((name) =>
    readFields(values.get(name) ?? ''),
  );
  const text = `namespace ${namespace}: templates of ${pod.workload}`;
  const fix = `kubectl --namespace ${namespace} rollout restart ${pod.workload}`;
  const missing = keys.filter((key) => templated?.has(key) !== true);
  const overwritten = keys.filter((key) => custom?.has(key) === true);
  const lines: Line[] = [];
  if (missing.length > 0) {
    lines.push(
      error(
        'hub_templates',
        text,
        `TEMPLATEDFIELDS have none for ${some(missing)}: the hub's own events do not say where they are from`,
        fix,
      ),
    );
  }
  if (overwritten.length > 0) {
    lines.push(
      error(
        'hub_templates',
        text,
        `CUSTOMFIELDS set ${some(overwritten)}, and overwrite what the spokes say`,
        fix,
      ),
    );
  }
  const extra = (values.get('PROMETHEUS_EXTRALABELS') ?? '').split(',').map((one) => one.trim());
  if (isBefore(imageVersion(container.image), 2, 31) && !extra.includes(keys[0] ?? '')) {
    const why = `before 2.31 templated fields are no labels of its metrics: a silent cluster cannot be told by ${keys[0]}`;
    lines.push(
      warning(
        'hub_labels',
        `namespace ${namespace}: falcosidekick of ${pod.workload}`,
        why,
        'helm upgrade falco falcosecurity/falco   # a chart with falcosidekick 2.31 or later',
      ),
    );
  }
  return lines.length > 0 ? lines : [ok('hub_templates', `${text} are there`)];
}

async function hubsFalcosidekick(view: View, settings: Settings): Promise<readonly Line[]> {
  const lines: Line[] = [];
  const seen = new Set<string>();
  for (const { metadata } of await view.optedIn()) {
    for (const pod of await judgedPods(view, metadata.name)) {
      const key = `${metadata.name}/${pod.workload}`;
      if (seen.has(key) || falcosidekickOf(pod) === undefined) continue;
      seen.add(key);
      lines.push(...(await templates(view, metadata.name, pod, settings)));
    }
  }
  if (seen.size > 0) return lines;
  const why = 'no namespace that has opted in has one, so the events of the spokes arrive nowhere';
  return [
    error(
      'hub_falcosidekick',
      'falcosidekick of the hub',
      why,
      'helm upgrade falco falcosecurity/falco --namespace falco --reuse-values --set falcosidekick.enabled=true',
    ),
  ];
}

/** On a hub: its falcosidekick. */
export const hubItself: Check = {
  name: 'hub_falcosidekick',
  title: "the hub's falcosidekick",
  look: async (view) => {
    const settings = await view.goodSettings();
    return settings?.role === 'hub' ? await hubsFalcosidekick(view, settings) : [];
  },
};
