import type { V1Secret } from '@kubernetes/client-node';
import type { CertificateStore, StoredCertificates } from '../certificates/store.ts';
import { hasStatus } from './cluster-error.ts';
import type { ClusterConnection } from './connection.ts';
import { readObject } from './read-object.ts';
import { requestJson } from './request.ts';
import { fieldManager, secret } from './resource.ts';

const decode = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8');

/** The uid tells a Secret from its successor of the same name. */
function versionOf({ metadata }: V1Secret): string {
  return `${metadata?.uid}/${metadata?.resourceVersion}`;
}

function encoded(files: StoredCertificates['files']): Record<string, string> {
  const entries = Object.entries(files).map(([key, text]) => [
    key,
    Buffer.from(text, 'utf8').toString('base64'),
  ]);
  return Object.fromEntries(entries);
}

/** The Secret in which replicas share their certificates. Takes get, update and create on it. */
export function certificateStore(
  connection: ClusterConnection,
  namespace: string,
  name: string,
): CertificateStore {
  const resource = secret(namespace, name);

  const current = () => readObject<V1Secret>(connection, resource);

  /** Conflict: it changed, went away or is there already. */
  const send = async (verb: 'create' | 'update', body: unknown): Promise<boolean> => {
    try {
      await requestJson(connection, { verb, resource, query: { fieldManager }, body });
      return true;
    } catch (error) {
      const conflicts = verb === 'create' ? [409] : [404, 409];
      if (hasStatus(error, ...conflicts)) return false;
      throw error;
    }
  };

  return {
    read: async () => {
      const stored = await current();
      if (stored === undefined) return undefined;
      const files = Object.entries(stored.data ?? {}).map(([key, base64]) => [key, decode(base64)]);
      return { files: Object.fromEntries(files), version: versionOf(stored) };
    },
    write: async (files, over) => {
      if (over === undefined) {
        return await send('create', {
          apiVersion: 'v1',
          kind: 'Secret',
          type: 'Opaque',
          metadata: { name, namespace, labels: { 'app.kubernetes.io/name': fieldManager } },
          data: encoded(files),
        });
      }
      const stored = await current();
      if (stored === undefined || versionOf(stored) !== over.version) return false;
      // With its resourceVersion and uid, so that the API server refuses it if the Secret has changed since.
      return await send('update', { ...stored, data: { ...stored.data, ...encoded(files) } });
    },
  };
}
