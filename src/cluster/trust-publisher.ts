import type { V1MutatingWebhookConfiguration } from '@kubernetes/client-node';
import type { TrustPublisher } from '../certificates/store.ts';
import { hasStatus } from './cluster-error.ts';
import type { ClusterConnection } from './connection.ts';
import { readObject } from './read-object.ts';
import { requestJson } from './request.ts';
import { fieldManager, mutatingWebhookConfiguration } from './resource.ts';

/** Our webhooks: the one for pods, and the one for workloads (`injectAt: workload`). */
export const ourWebhooks: readonly string[] = [
  'inject.falco-federation.io',
  'inject-workloads.falco-federation.io',
];

/**
 * The caBundle of our webhooks in a MutatingWebhookConfiguration. Takes get and patch on it.
 *
 * @param webhookNames the webhooks that are ours; others, and all other fields, are never touched
 */
export function trustPublisher(
  connection: ClusterConnection,
  configurationName: string,
  webhookNames: readonly string[] = ourWebhooks,
): TrustPublisher {
  const resource = mutatingWebhookConfiguration(configurationName);

  // What the next publishing may replace: another replica's newer bundle is not overwritten by one that was made
  // from what was there before it.
  let lastRead: V1MutatingWebhookConfiguration | undefined;

  const ours = (configuration: V1MutatingWebhookConfiguration | undefined) =>
    configuration?.webhooks?.filter(({ name }) => webhookNames.includes(name)) ?? [];

  return {
    read: async () => {
      lastRead = await readObject(connection, resource);
      const bundles = ours(lastRead).map(({ clientConfig }) => clientConfig.caBundle ?? '');
      const [first] = bundles;
      if (first === undefined) return undefined;
      return bundles.every((bundle) => bundle === first) ? Buffer.from(first, 'base64').toString('utf8') : '';
    },
    publish: async (bundle) => {
      const webhooks = ours(lastRead);
      if (lastRead === undefined || webhooks.length === 0) return false;
      const caBundle = Buffer.from(bundle, 'utf8').toString('base64');
      try {
        await requestJson(connection, {
          verb: 'patch',
          resource,
          query: { fieldManager },
          // Merges webhooks by name. The version sees to it that a name that went away meanwhile is not added.
          contentType: 'application/strategic-merge-patch+json',
          body: {
            metadata: { resourceVersion: lastRead.metadata?.resourceVersion },
            webhooks: webhooks.map(({ name }) => ({ name, clientConfig: { caBundle } })),
          },
        });
        return true;
      } catch (error) {
        if (hasStatus(error, 404, 409)) return false;
        throw error;
      }
    },
  };
}
