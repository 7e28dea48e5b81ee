import type { ReplicaList } from '../certificates/store.ts';
import type { ClusterConnection } from './connection.ts';
import { endpointSliceList } from './objects.ts';
import { readObject } from './read-object.ts';
import { endpointSlices } from './resource.ts';

/** The pods behind a Service that are ready. Takes list on EndpointSlices; without it they are not known. */
export function readyReplicas(
  connection: ClusterConnection,
  namespace: string,
  service: string,
): ReplicaList {
  return {
    ready: async () => {
      const list = await readObject(
        connection,
        {
          verb: 'list',
          resource: endpointSlices(namespace),
          query: { labelSelector: `kubernetes.io/service-name=${service}` },
        },
        { schema: endpointSliceList, kind: 'EndpointSliceList', absent: 403 },
      );
      if (list === undefined || list.items.length === 0) return undefined;
      const names = list.items
        .flatMap(({ endpoints }) => endpoints ?? [])
        // A condition that is not there means ready.
        .filter(({ conditions, targetRef }) => conditions?.ready !== false && targetRef?.kind === 'Pod')
        .flatMap(({ targetRef }) => targetRef?.name ?? []);
      // A pod with addresses of both families is in two slices.
      return [...new Set(names)];
    },
  };
}
