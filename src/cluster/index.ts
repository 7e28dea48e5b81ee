export { certificateStore } from './certificate-store.ts';
export { onChange } from './changes.ts';
export { ClusterError } from './cluster-error.ts';
export { connect } from './connect.ts';
export type { ClusterConnection } from './connection.ts';
export { type WatchedNamespaces, watchNamespaces } from './namespaces.ts';
export { readyReplicas } from './ready-replicas.ts';
export { trustPublisher } from './trust-publisher.ts';
