/** Whether the pods that workloads ask for are there: pods that were never created have no state to be told. */

import { refusalOf, remedyFor } from './causes.ts';
import type { Check } from './check.ts';
import { error, type Line } from './line.ts';
import type { NamedWorkload } from './view.ts';

/** How many pods a workload asks for, and how many there are: the same while its controller has not looked yet. */
function countsOf({ kind, spec, status }: NamedWorkload): readonly [wanted: number, there: number] {
  if (!status) return [0, 0];
  return kind === 'DaemonSet'
    ? [status.desiredNumberScheduled ?? 0, status.currentNumberScheduled ?? 0]
    : [spec.replicas ?? 1, status.replicas ?? 0];
}

export const wantedPods: Check = {
  name: 'wanted_pods',
  title: 'the pods that Falco asks for exist',
  look: async (view) => {
    const optedIn = new Set((await view.optedIn()).map(({ metadata }) => metadata.name));
    const lines = (await view.federatedWorkloads()).map(async (workload): Promise<readonly Line[]> => {
      const { name, namespace = '' } = workload.metadata;
      const [wanted, there] = countsOf(workload);
      if (there >= wanted || !optedIn.has(namespace)) return [];
      const { kind } = workload;
      const text = `namespace ${namespace}: ${there} of ${wanted} pods of ${kind.toLowerCase()}/${name} exist`;
      const message = await refusalOf(view, namespace, { kind, name });
      const why = message ?? 'its pods are not created';
      return [error('wanted_pods', text, why, remedyFor(why, namespace))];
    });
    return (await Promise.all(lines)).flat();
  },
};
