import type { z } from 'zod';
import { type LeaseAnswer, type LeaseStore, leaseSeconds, type StoredLease } from '../coverage/lease.ts';
import { prefix } from '../federation/names.ts';
import { ClusterError, hasStatus } from './cluster-error.ts';
import type { ClusterConnection } from './connection.ts';
import { leaseObject } from './objects.ts';
import { type DatedAnswer, requestDated } from './request.ts';
import { type ClusterRequest, fieldManager, lease as leaseResource } from './resource.ts';

/** Annotation on the Lease: what its holder has to remember, and to leave to the next. */
export const recordAnnotation = `${prefix}restarts`;

/** Takes get, create and update on the Lease. */
export function leaseStore(connection: ClusterConnection, namespace: string, name: string): LeaseStore {
  const resource = leaseResource(namespace, name);
  /** The object as it was last seen: an update must keep what others have written on it, such as whose it is. */
  let seen: z.infer<typeof leaseObject>['metadata'] | undefined;
  const read = ({ value, at }: DatedAnswer, request: ClusterRequest): LeaseAnswer<StoredLease> => {
    const parsed = leaseObject.safeParse(value);
    if (!parsed.success) throw new ClusterError(connection, request, 'the answer is no Lease');
    const { metadata, spec } = parsed.data;
    seen = metadata;
    const record = metadata.annotations?.[recordAnnotation] ?? '';
    return { lease: { holder: spec?.holderIdentity ?? '', version: metadata.resourceVersion, record }, at };
  };
  return {
    read: async () => {
      const request: ClusterRequest = { verb: 'get', resource };
      try {
        return read(await requestDated(connection, request), request);
      } catch (error) {
        if (hasStatus(error, 404)) return { lease: undefined, at: Number.NaN };
        throw error;
      }
    },
    write: async ({ holder, record }, over) => {
      const now = new Date().toISOString().replace('Z', '000Z');
      const request: ClusterRequest = {
        verb: over === undefined ? 'create' : 'update',
        resource,
        query: { fieldManager },
        body: {
          apiVersion: 'coordination.k8s.io/v1',
          kind: 'Lease',
          metadata: {
            ...(over === undefined ? { name, namespace } : { ...seen, resourceVersion: over.version }),
            annotations: { ...(over === undefined ? {} : seen?.annotations), [recordAnnotation]: record },
          },
          spec: { holderIdentity: holder, leaseDurationSeconds: leaseSeconds, renewTime: now },
        },
      };
      try {
        return read(await requestDated(connection, request), request);
      } catch (error) {
        if (hasStatus(error, 404, 409)) return undefined;
        throw error;
      }
    },
  };
}
