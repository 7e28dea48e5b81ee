import { injectLabel, neverInjected, prefix } from '../federation/names.ts';
import { nearest } from '../settings/nearest.ts';
import type { Check } from './check.ts';
import { counted, error, type Line, ok, some, warning } from './line.ts';
import { isOptedIn, type View } from './view.ts';

/** Names of Falco's workloads by namespace: `daemonset/falco`. */
async function falcosByNamespace(view: View): Promise<ReadonlyMap<string, readonly string[]>> {
  const by = new Map<string, string[]>();
  for (const { kind, metadata } of await view.federatedWorkloads()) {
    const namespace = metadata.namespace ?? '';
    by.set(namespace, [...(by.get(namespace) ?? []), `${kind.toLowerCase()}/${metadata.name}`]);
  }
  return by;
}

/** Whether a key was meant to be our label: near it, or of our prefix, of which no other label belongs on a namespace. */
function isMeant(key: string): boolean {
  return key.startsWith(prefix) || nearest(key, [injectLabel]) !== undefined;
}

/** Labels that were meant to opt in and do not. */
async function misspelt(view: View): Promise<readonly Line[]> {
  const namespaces = await view.namespaces();
  return namespaces.flatMap(({ metadata: { name, labels, annotations } }): Line[] => {
    const label = labels?.[injectLabel];
    const text = `namespace ${name}`;
    const fix = `kubectl label --overwrite namespace ${name} ${injectLabel}=enabled`;
    if (label === 'enabled' && neverInjected.includes(name)) {
      const why = 'has opted in, but is never injected: the cluster, and the webhook, must start without it';
      return [warning('opting_in', text, why, `kubectl label namespace ${name} ${injectLabel}-`)];
    }
    if (label !== undefined && label !== 'enabled' && label !== 'disabled') {
      return [
        warning(
          'opting_in',
          text,
          `its label ${injectLabel} is "${label}", which has no effect; use "enabled"`,
          fix,
        ),
      ];
    }
    if (label !== undefined) return [];
    if (annotations?.[injectLabel] !== undefined) {
      return [warning('opting_in', text, `${injectLabel} is an annotation there; it must be a label`, fix)];
    }
    const typo = Object.keys(labels ?? {}).find((key) => isMeant(key));
    const why = `its label ${typo} has no effect; it must be ${injectLabel}`;
    return typo === undefined ? [] : [warning('opting_in', text, why, `${fix} ${typo}-`)];
  });
}

/** Which namespaces have opted in, and which have a Falco and have not. */
export const optingIn: Check = {
  name: 'opting_in',
  title: 'which namespaces have opted in',
  look: async (view) => {
    const names = (await view.optedIn()).map(({ metadata }) => metadata.name);
    const falcos = await falcosByNamespace(view);
    const outside = [...falcos].filter(([namespace]) => !names.includes(namespace));
    const all = await view.namespaces();
    const lines: Line[] = [];
    if (names.length > 0) {
      lines.push(
        ok(
          'opting_in',
          `${counted(names.length, 'namespace has', 'namespaces have')} opted in: ${some(names, 5)}`,
        ),
      );
    } else if (outside.length === 0) {
      const fix = `kubectl label namespace falco ${injectLabel}=enabled`;
      lines.push(
        warning('opting_in', 'namespaces that have opted in', 'there is none, and there is no Falco', fix),
      );
    }
    for (const [namespace, workloads] of outside) {
      const never = neverInjected.includes(namespace);
      const why = never
        ? 'it is never injected, whatever its labels; install Falco in a namespace of its own'
        : 'it has not opted in, so its alerts do not say which cluster they are from';
      const fix = never
        ? `kubectl create namespace falco && kubectl label namespace falco ${injectLabel}=enabled`
        : `kubectl label --overwrite namespace ${namespace} ${injectLabel}=enabled && kubectl --namespace ${namespace} rollout restart ${workloads.join(' ')}`;
      const text = `namespace ${namespace} has ${some(workloads)}`;
      // Where others are in, somebody may have meant to leave this one out.
      lines.push(
        names.length > 0 ? warning('falco_outside', text, why, fix) : error('falco_outside', text, why, fix),
      );
    }
    const empty = all.filter(isOptedIn).filter(({ metadata }) => !falcos.has(metadata.name));
    if (empty.length > 0 && falcos.size > 0 && names.length === empty.length) {
      const why = 'none of them has a Falco; it is elsewhere';
      lines.push(warning('opting_in', `namespaces that have opted in: ${some(names)}`, why));
    }
    return [...lines, ...(await misspelt(view))];
  },
};
