import { hasStatus } from './cluster-error.ts';
import type { ClusterConnection } from './connection.ts';
import { requestJson } from './request.ts';
import type { Resource } from './resource.ts';

/** Reads one object; undefined: there is none. @throws ClusterError as `requestJson` */
export async function readObject<T>(
  connection: ClusterConnection,
  resource: Resource,
): Promise<T | undefined> {
  try {
    return await requestJson<T>(connection, { verb: 'get', resource });
  } catch (error) {
    if (hasStatus(error, 404)) return undefined;
    throw error;
  }
}
