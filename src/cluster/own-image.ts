import * as z from 'zod';
import { ClusterError } from './cluster-error.ts';
import type { ClusterConnection } from './connection.ts';
import { readObject } from './read-object.ts';
import { type ClusterRequest, core } from './resource.ts';

const podImages = z.looseObject({
  spec: z.looseObject({
    containers: z.array(z.looseObject({ name: z.string(), image: z.string().optional() })),
  }),
});

/**
 * The image of a container as its pod names it: with the registry, tag or digest that was really asked for. Of a pod
 * without a container of that name the first one's. Takes get on the pod.
 *
 * @throws ClusterError as `requestJson`, and where the pod is not there or its container has no image
 */
export async function imageOfPod(
  connection: ClusterConnection,
  namespace: string,
  pod: string,
  container: string,
): Promise<string> {
  const request: ClusterRequest = { verb: 'get', resource: core('pods', namespace, pod) };
  const found = await readObject(connection, request, { schema: podImages, kind: 'Pod', absent: 404 });
  const containers = found?.spec.containers ?? [];
  const { image } = containers.find(({ name }) => name === container) ?? containers[0] ?? {};
  if (image === undefined) throw new ClusterError(connection, request, `pod ${namespace}/${pod} not found`);
  return image;
}
