import type { V1Pod } from '@kubernetes/client-node';
import type { ClusterConnection } from './connection.ts';
import { readObject } from './read-object.ts';
import { core } from './resource.ts';

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
  const found = await readObject<V1Pod>(connection, core('pods', namespace, pod));
  const containers = found?.spec?.containers ?? [];
  const { image } = containers.find(({ name }) => name === container) ?? containers[0] ?? {};
  if (image === undefined) throw new Error(`pod ${namespace}/${pod} not found`);
  return image;
}
