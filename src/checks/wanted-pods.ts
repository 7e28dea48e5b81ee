/** Whether the pods that workloads ask for are there: pods that were never created have no state to be told. */
import type { FailedCreate } from '../cluster/index.ts';
import { findFalco } from '../injection/falco/find-falco.ts';
import { findFalcosidekick } from '../injection/falcosidekick/find-falcosidekick.ts';
import { readPodTemplate } from '../injection/pod-template.ts';
import type { Check } from './check.ts';
import { error, type Line } from './line.ts';
import { remedyFor } from './refused-pod.ts';
import type { NamedWorkload } from './view.ts';

function isOurs({ spec }: NamedWorkload): boolean {
  const template = readPodTemplate(spec.template, []);
  if (template === undefined) return false;
  return findFalco(template.spec) !== undefined || findFalcosidekick(template.spec) !== undefined;
}

/** How many pods a workload asks for, and how many there are; undefined while its controller has not looked yet. */
function countsOf({
  kind,
  spec,
  status,
}: NamedWorkload): readonly [wanted: number, there: number] | undefined {
  if (status === undefined || status === null) return undefined;
  return kind === 'DaemonSet'
    ? [status.desiredNumberScheduled ?? 0, status.currentNumberScheduled ?? 0]
    : [spec.replicas ?? 1, status.replicas ?? 0];
}

/** A Deployment's pods are made by its ReplicaSet, `falco-5d9f7c`. */
function isOf({ kind, metadata }: NamedWorkload, { of }: FailedCreate): boolean {
  return kind === 'Deployment'
    ? of.kind === 'ReplicaSet' && of.name.startsWith(`${metadata.name}-`)
    : of.kind === kind && of.name === metadata.name;
}

function lineOf(workload: NamedWorkload, failures: readonly FailedCreate[]): readonly Line[] {
  const counts = countsOf(workload);
  if (counts === undefined) return [];
  const [wanted, there] = counts;
  if (there >= wanted) return [];
  const { name, namespace = '' } = workload.metadata;
  const text = `namespace ${namespace}: ${there} of ${wanted} pods of ${workload.kind.toLowerCase()}/${name} exist`;
  const message = failures.findLast((failure) => isOf(workload, failure))?.message;
  return [
    error('wanted_pods', text, message ?? 'its pods are not created', remedyFor(message ?? '', namespace)),
  ];
}

export const wantedPods: Check = {
  name: 'wanted_pods',
  title: 'the pods that Falco and falcosidekick ask for exist',
  look: async (view) => {
    const optedIn = new Set((await view.optedIn()).map(({ metadata }) => metadata.name));
    const workloads = (await view.workloads()).filter(
      (one) => optedIn.has(one.metadata.namespace ?? '') && isOurs(one),
    );
    const lines = workloads.map(async (one) => {
      const bare = lineOf(one, []);
      if (bare.length === 0) return [];
      // Who may not list events still learns what is missing.
      const failures = await view.cluster.failedCreates(one.metadata.namespace ?? '').catch(() => []);
      return lineOf(one, failures);
    });
    return (await Promise.all(lines)).flat();
  },
};
