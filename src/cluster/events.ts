import { hasStatus } from './cluster-error.ts';
import type { ClusterConnection } from './connection.ts';
import { requestJson } from './request.ts';
import { events, fieldManager } from './resource.ts';

/** A warning about an object of a namespace. */
export interface EventToTell {
  /** Who tells the same gives the same name: it is then one Event, however many tell it and how often. */
  readonly name: string;
  readonly regarding: {
    readonly apiVersion: string;
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
    readonly uid?: string | undefined;
  };
  readonly reason: string;
  readonly note: string;
}

/**
 * Tells it by an Event. Takes create on events; one that is there already says the same, until the cluster forgets it.
 *
 * @param instance which replica tells it
 * @throws ClusterError
 */
export async function tellEvent(
  connection: ClusterConnection,
  instance: string,
  { name, regarding, reason, note }: EventToTell,
): Promise<void> {
  const now = new Date().toISOString().replace('Z', '000Z');
  const resource = events(regarding.namespace, name);
  const query = { fieldManager };
  try {
    const body = {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name, namespace: regarding.namespace },
      eventTime: now,
      type: 'Warning',
      action: 'Observed',
      ...{ reason, note, regarding },
      reportingController: 'falco-federation.io/webhook',
      reportingInstance: instance,
    };
    await requestJson(connection, { verb: 'create', resource, query, body });
  } catch (error) {
    if (!hasStatus(error, 409)) throw error;
  }
}
