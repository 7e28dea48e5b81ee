import type { EvictionAnswer } from '../coverage/restarts.ts';
import { messageOf } from '../reasons/message-of.ts';
import { ClusterError, hasStatus } from './cluster-error.ts';
import type { ClusterConnection } from './connection.ts';
import { podObject } from './objects.ts';
import { readObject } from './read-object.ts';
import { requestJson } from './request.ts';
import { eviction, fieldManager, pods } from './resource.ts';

/**
 * Asks the API server to evict this very pod. PodDisruptionBudgets count: one that would be broken is answered with 429.
 * Takes create on pods/eviction.
 */
export async function evictPod(
  connection: ClusterConnection,
  namespace: string,
  { name, uid }: { readonly name: string; readonly uid: string },
): Promise<EvictionAnswer> {
  const body = {
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: { name, namespace },
    deleteOptions: { preconditions: { uid } },
  };
  try {
    const resource = eviction(namespace, name);
    await requestJson(connection, { verb: 'create', resource, query: { fieldManager }, body });
    return { kind: 'evicted' };
  } catch (error) {
    // 409: another pod has the name by now.
    if (hasStatus(error, 404, 409)) return { kind: 'gone' };
    if (error instanceof ClusterError) return { kind: 'refused', why: messageOf(error) };
    throw error;
  }
}

/** Whether this very pod is there and not being deleted. Takes get on pods. */
export async function isPodThere(
  connection: ClusterConnection,
  namespace: string,
  { name, uid }: { readonly name: string; readonly uid: string },
): Promise<boolean> {
  const pod = await readObject(
    connection,
    { verb: 'get', resource: { ...pods(namespace), name } },
    { schema: podObject, kind: 'Pod', absent: 404 },
  );
  return pod?.metadata.uid === uid && !pod.metadata.deletionTimestamp;
}
