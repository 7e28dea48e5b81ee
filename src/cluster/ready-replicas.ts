import type { ReplicaList } from '../certificates/store.ts';
import { ClusterError, hasStatus } from './cluster-error.ts';
import type { ClusterConnection } from './connection.ts';
import { endpointSliceList } from './objects.ts';
import { requestJson } from './request.ts';
import { endpointSlices } from './resource.ts';

/** The pods behind a Service that are ready. Takes list on EndpointSlices; without it they are not known. */
export function readyReplicas(
  connection: ClusterConnection,
  namespace: string,
  service: string,
): ReplicaList {
  return {
    ready: async () => {
      const request = {
        verb: 'list',
        resource: endpointSlices(namespace),
        query: { labelSelector: `kubernetes.io/service-name=${service}` },
      } as const;
      const answer = await requestJson(connection, request).catch((error: unknown) => {
        if (hasStatus(error, 403)) return undefined;
        throw error;
      });
      if (answer === undefined) return undefined;
      const parsed = endpointSliceList.safeParse(answer);
      if (!parsed.success) throw new ClusterError(connection, request, 'the answer is no EndpointSliceList');
      const slices = parsed.data.items;
      if (slices.length === 0) return undefined;
      const names = slices
        .flatMap(({ endpoints }) => endpoints ?? [])
        // A condition that is not there means ready.
        .filter(({ conditions, targetRef }) => conditions?.ready !== false && targetRef?.kind === 'Pod')
        .flatMap(({ targetRef }) => targetRef?.name ?? []);
      // A pod with addresses of both families is in two slices.
      return [...new Set(names)];
    },
  };
}
