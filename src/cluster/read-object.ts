import type { z } from 'zod';
import { ClusterError, hasStatus } from './cluster-error.ts';
import type { ClusterConnection } from './connection.ts';
import { requestJson } from './request.ts';
import type { ClusterRequest } from './resource.ts';

/**
 * Reads one object, or one list.
 *
 * @param absent status by which the API server says that there is none for us: then undefined
 * @param kind as the error for an answer of another shape names it
 * @throws ClusterError as `requestJson`, and for an answer of another shape
 */
export async function readObject<T>(
  connection: ClusterConnection,
  request: ClusterRequest,
  { schema, kind, absent }: { readonly schema: z.ZodType<T>; readonly kind: string; readonly absent: number },
): Promise<T | undefined> {
  let answer: unknown;
  try {
    answer = await requestJson(connection, request);
  } catch (error) {
    if (hasStatus(error, absent)) return undefined;
    throw error;
  }
  const parsed = schema.safeParse(answer);
  if (!parsed.success) throw new ClusterError(connection, request, `unexpected answer: not of kind ${kind}`);
  return parsed.data;
}
