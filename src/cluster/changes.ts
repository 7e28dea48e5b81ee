import type { ClusterConnection } from './connection.ts';
import { metadataSource } from './metadata-source.ts';
import { reflect } from './reflector.ts';
import { mutatingWebhookConfiguration, secret } from './resource.ts';

/** Where certificates and the trust in them lie. */
export interface CertificateObjects {
  readonly namespace: string;
  readonly secret: string;
  readonly webhookConfiguration: string;
}

/**
 * Calls when the Secret or the MutatingWebhookConfiguration was made, changed or deleted; also once for each at the
 * start, and after a gap in which that may have happened. Takes list and watch on both.
 *
 * @returns what stops it
 */
export function onChange(
  connection: ClusterConnection,
  objects: CertificateObjects,
  changed: () => void,
): () => void {
  const stopped = new AbortController();
  const watched = [
    secret(objects.namespace, objects.secret),
    mutatingWebhookConfiguration(objects.webhookConfiguration),
  ];
  for (const resource of watched) {
    const target = { replace: changed, set: changed, remove: changed, problem: () => {} };
    void reflect(metadataSource(connection, resource), target, stopped.signal);
  }
  return () => stopped.abort();
}
