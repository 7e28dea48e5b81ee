export { certificateStore } from './certificate-store.ts';
export { onChange } from './changes.ts';
export { ClusterError, hasStatus } from './cluster-error.ts';
export { connect, connectAsKubectl } from './connect.ts';
export type { ClusterConnection } from './connection.ts';
export { tellEvent } from './events.ts';
// inspectCluster itself is imported where it is used: the webhook must not load it.
export type { FailedCreate, InspectedCluster, InspectedSecret, Permission, WorkloadKind } from './inspect.ts';
export type {
  InspectedNamespace,
  InspectedPod,
  InspectedWebhooks,
  InspectedWorkload,
} from './inspected.ts';
export { type WatchedNamespaces, watchNamespaces } from './namespaces.ts';
export { imageOfPod } from './own-image.ts';
export { type WatchedPods, watchPods } from './pods.ts';
export type { ProxiedAnswer } from './request.ts';
export { ourWebhooks, trustPublisher } from './trust-publisher.ts';
