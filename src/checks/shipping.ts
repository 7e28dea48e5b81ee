/** What brings alerts from each Falco pod to the forwarder. */
import type { ContainerStatus } from '../cluster/index.ts';
import { shipAlertsContainer } from '../federation/names.ts';
import type { JudgedPod } from './judge-pod.ts';
import { counted, type Line, ok, some, warning } from './line.ts';

function hasShipper({ template: { spec } }: JudgedPod): boolean {
  return [...(spec.initContainers ?? []), ...spec.containers].some(
    ({ name }) => name === shipAlertsContainer,
  );
}

function statusIn({ pod: { status } }: JudgedPod): ContainerStatus | undefined {
  const all = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  return all.find(({ name }) => name === shipAlertsContainer);
}

/** What is wrong with a pod's shipper; undefined: it runs. */
function problemOf(pod: JudgedPod): string | undefined {
  const { state } = statusIn(pod) ?? {};
  if (state?.running) return undefined;
  const { terminated } = state ?? {};
  if (!terminated) return 'it has not started yet';
  const message = terminated.message === undefined ? '' : `: ${terminated.message.trim().slice(0, 200)}`;
  return `it has ended, exit status ${terminated.exitCode}${message}`;
}

/** Pods that fail, by it or otherwise, and those that have none, are told as pods. */
export function shippingLines(namespace: string, pods: readonly JudgedPod[]): readonly Line[] {
  const shipping = pods.filter((pod) => hasShipper(pod) && pod.state !== 'failing');
  const well = shipping.filter((pod) => problemOf(pod) === undefined);
  const lines = shipping.flatMap((pod): Line[] => {
    const problem = problemOf(pod);
    if (problem === undefined) return [];
    const text = `namespace ${namespace}: ${shipAlertsContainer} of ${pod.name}`;
    const fix = `kubectl --namespace ${namespace} logs ${pod.name} --container ${shipAlertsContainer}`;
    return [warning('alerts_shipped', text, problem, fix)];
  });
  if (well.length === 0) return lines;
  const workloads = some([...new Set(well.map(({ workload }) => workload))]);
  const text = `namespace ${namespace}: alerts of ${counted(well.length, 'pod')} go to the forwarder (${workloads})`;
  return [ok('alerts_shipped', text), ...lines];
}
