import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import path from 'node:path';
import { messageOf } from '../reasons/message-of.ts';
import type { Access, ClusterConnection } from './connection.ts';

/** Where the kubelet mounts a pod's service account. */
export const serviceAccountFolder = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * The cluster that we run in. Own code, because the library for it would cost every replica 36 MB of memory. Token
 * and authority are small files that the kubelet replaces from time to time, so each request reads them again.
 *
 * @throws Error when the service account is not mounted
 */
export async function inCluster(host: string, port: string, folder: string): Promise<ClusterConnection> {
  const access = async (): Promise<Access> => {
    const [ca, token] = await Promise.all(
      ['ca.crt', 'token'].map((file) => readFile(path.join(folder, file), 'utf8')),
    );
    return { ca, headers: { authorization: `Bearer ${(token ?? '').trim()}` } };
  };
  try {
    await access();
  } catch (error) {
    throw new Error(
      `no service account token: ${messageOf(error)}; mount it with automountServiceAccountToken: true`,
    );
  }
  return {
    server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    namespace: await readFile(path.join(folder, 'namespace'), 'utf8').then(
      (text) => text.trim() || undefined,
      () => undefined,
    ),
    access,
  };
}
