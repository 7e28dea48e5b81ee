import { existsSync } from 'node:fs';
import path from 'node:path';
import { messageOf } from '../reasons/message-of.ts';
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
    return fromKubeconfig([from.kubeconfig]);
  }
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = from.env;
  if (host === undefined || host === '') return undefined;
  return await inCluster(host, port ?? '443', from.serviceAccount ?? serviceAccountFolder);
}

/**
 * The cluster that kubectl would talk to: `--kubeconfig`, the files of KUBECONFIG (those that are there), the usual
 * file, and last the cluster that we run in. Undefined: none of them is there.
 *
 * @param from.home home directory of the user
 * @throws Error that names the file at fault and the remedy
 */
export async function connectAsKubectl(from: {
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly home: string;
}): Promise<ClusterConnection | undefined> {
  const { kubeconfig, context, env, home } = from;
  const listed = (env.KUBECONFIG ?? '').split(path.delimiter).filter((file) => file !== '');
  const there = (listed.length > 0 ? listed : [path.join(home, '.kube', 'config')]).filter(existsSync);
  const files = kubeconfig === undefined ? (there.length > 0 ? there : listed) : [kubeconfig];
  if (files.length === 0) return await connect({ env });
  const { fromKubeconfig } = await import('./kubeconfig.ts');
  const connection = fromKubeconfig(files, context);
  // Not within a request's time: a login plugin may open a browser, and wait for somebody.
  await connection.access().catch((failure: unknown) => {
    throw new Error(`login to ${connection.server} failed: ${messageOf(failure)}`);
  });
  return connection;
}
