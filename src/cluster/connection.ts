import type { RequestOptions } from 'node:https';
import { inCluster, serviceAccountFolder } from './in-cluster.ts';

/** TLS, headers and agent of one request. */
export type Access = Pick<
  RequestOptions,
  'ca' | 'cert' | 'key' | 'servername' | 'rejectUnauthorized' | 'headers' | 'auth' | 'agent'
>;

/** The API server of a cluster, and how to be let in. Nothing is connected by having one. */
export interface ClusterConnection {
  /** URL of the API server. */
  readonly server: string;
  /** The namespace of the service account or of the kubeconfig's context, where it says one. */
  readonly namespace: string | undefined;
  /** Made anew for each request: tokens and authorities are rotated while we run. */
  readonly access: () => Promise<Access>;
}

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
