import type { ClusterConnection } from './connection.ts';
import { inCluster, serviceAccountFolder } from './in-cluster.ts';

/**
 * The cluster to talk to: that of the kubeconfig where one is given, otherwise the one that we run in; undefined
 * outside of any.
 *
 * @param from.serviceAccount folder of the mounted service account; for tests
 * @throws Error that names the file at fault and the remedy
 */
export async function connect(from: {
  readonly kubeconfig?: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly serviceAccount?: string;
}): Promise<ClusterConnection | undefined> {
  if (from.kubeconfig !== undefined) {
    const { fromKubeconfig } = await import('./kubeconfig.ts');
    return fromKubeconfig(from.kubeconfig);
  }
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = from.env;
  if (host === undefined || host === '') return undefined;
  return await inCluster(host, port ?? '443', from.serviceAccount ?? serviceAccountFolder);
}
