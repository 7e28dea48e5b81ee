import type { V1ContainerStatus, V1PodStatus } from '@kubernetes/client-node';
import { isRecord } from '../injection/record.ts';

const noStatus: V1PodStatus = {};

/** What the kubelet says of a pod; nothing where it has said nothing yet. */
export function statusOf(pod: unknown): V1PodStatus {
  const status: unknown = isRecord(pod) ? pod.status : undefined;
  // Safe: it is from the API server, which lets nothing else be a pod's status.
  return isRecord(status) ? (status as V1PodStatus) : noStatus;
}

/** Of all its containers, its init containers first. */
export function containersIn({
  initContainerStatuses,
  containerStatuses,
}: V1PodStatus): readonly V1ContainerStatus[] {
  return [...(initContainerStatuses ?? []), ...(containerStatuses ?? [])];
}

/** What the kubelet says of one container of a pod. */
export function containerIn(status: V1PodStatus, container: string): V1ContainerStatus | undefined {
  return containersIn(status).find(({ name }) => name === container);
}
