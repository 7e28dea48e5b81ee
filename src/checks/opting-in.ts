import type { InspectedNamespace } from '../cluster/index.ts';
import { injectLabel, neverInjected, prefix } from '../federation/names.ts';
import { nearest } from '../settings/nearest.ts';
import type { Check } from './check.ts';
import { counted, error, type Line, ok, some, warning } from './line.ts';
import type { NamedWorkload } from './view.ts';

/** Whether a key was meant to be our label: near it, or of our prefix, of which no other label belongs on a namespace. */
function isMeant(key: string): boolean {
  return key.startsWith(prefix) || nearest(key, [injectLabel]) !== undefined;
}

/** A label that was meant to opt in and does not. */
function misspelt({
  metadata: { name, labels = {}, annotations = {} },
}: InspectedNamespace): readonly Line[] {
  const label = labels[injectLabel];
  const fix = `kubectl label --overwrite namespace ${name} ${injectLabel}=enabled`;
  const told = (why: string, how: string): readonly Line[] => [
    warning('opting_in', `namespace ${name}`, why, how),
  ];
  if (label === 'enabled' && neverInjected.includes(name)) {
    const why = 'has opted in, but is never injected: the cluster, and the webhook, must start without it';
    return told(why, `kubectl label namespace ${name} ${injectLabel}-`);
  }
  if (label === 'enabled' || label === 'disabled') return [];
  if (label !== undefined)
    return told(`its label ${injectLabel} is "${label}", which has no effect; use "enabled"`, fix);
  if (annotations[injectLabel] !== undefined)
    return told(`${injectLabel} is an annotation there; it must be a label`, fix);
  const typo = Object.keys(labels).find(isMeant);
  return typo === undefined
    ? []
    : told(`its label ${typo} has no effect; it must be ${injectLabel}`, `${fix} ${typo}-`);
}

/** Falco in a namespace that has not opted in. Where others are in, somebody may have meant to leave this one out. */
function outsider(namespace: string, workloads: readonly NamedWorkload[], othersAreIn: boolean): Line {
  const names = workloads.map(({ kind, metadata }) => `${kind.toLowerCase()}/${metadata.name}`);
  const text = `namespace ${namespace} has ${some(names)}`;
  const as = othersAreIn ? warning : error;
  if (neverInjected.includes(namespace)) {
    const why = 'it is never injected, whatever its labels; install Falco in a namespace of its own';
    const fix = `kubectl create namespace falco && kubectl label namespace falco ${injectLabel}=enabled`;
    return as('falco_outside', text, why, fix);
  }
  const why = 'it has not opted in, so its alerts do not say which cluster they are from';
  const fix = `kubectl label --overwrite namespace ${namespace} ${injectLabel}=enabled && kubectl --namespace ${namespace} rollout restart ${names.join(' ')}`;
  return as('falco_outside', text, why, fix);
}

/** Which namespaces have opted in, and which have a Falco and have not. */
export const optingIn: Check = {
  name: 'opting_in',
  title: 'which namespaces have opted in',
  look: async (view) => {
    const names = (await view.optedIn()).map(({ metadata }) => metadata.name);
    const falcos = Map.groupBy(await view.federatedWorkloads(), ({ metadata }) => metadata.namespace ?? '');
    const all = await view.namespaces();
    const ending = all.filter(({ metadata }) => metadata.deletionTimestamp);
    const left = new Set([...names, ...ending.map(({ metadata }) => metadata.name)]);
    const outside = [...falcos].filter(([namespace]) => !left.has(namespace));
    const lines: Line[] = [];
    if (names.length > 0) {
      const have = counted(names.length, 'namespace has', 'namespaces have');
      lines.push(ok('opting_in', `${have} opted in: ${some(names, 5)}`));
    } else if (falcos.size === 0) {
      const fix = `kubectl label namespace falco ${injectLabel}=enabled`;
      const why = 'there are none, and Falco is not installed';
      lines.push(warning('opting_in', 'namespaces that have opted in', why, fix));
    }
    if (outside.length > 0 && names.length > 0 && outside.length === falcos.size) {
      const why = 'Falco runs in none of them, but in other namespaces';
      lines.push(warning('opting_in', `namespaces that have opted in: ${some(names)}`, why));
    }
    return [
      ...lines,
      ...outside.map(([namespace, workloads]) => outsider(namespace, workloads, names.length > 0)),
      ...all.flatMap(misspelt),
    ];
  },
};
