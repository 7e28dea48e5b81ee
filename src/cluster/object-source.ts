import { ClusterError } from './cluster-error.ts';
import type { ClusterConnection } from './connection.ts';
import type { Page, Reflected, ReflectorSource, WatchEvent } from './reflector.ts';
import { requestJson, requestJsonLines } from './request.ts';
import type { ClusterRequest, Resource } from './resource.ts';

/** An object as the API server sends it, as far as every kind is alike. */
export interface ReceivedObject {
  readonly metadata: {
    readonly name: string;
    readonly resourceVersion: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

interface ReceivedList {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly ReceivedObject[] | null;
}

/** One line of a watch. */
type ReceivedChange =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'; readonly object: ReceivedObject }
  | { readonly type: 'ERROR'; readonly object: { readonly code?: number; readonly message?: string } };

/** What is asked for, and what is kept of it. */
export interface Selection<T extends Reflected> {
  readonly resource: Resource;
  /** As in the API; '' for all. */
  readonly labelSelector?: string;
  /** Objects in one part of a list. */
  readonly pageSize: number;
  /** Content types: the form of a list, and of one object; plain JSON by default. */
  readonly accept?: { readonly list: string; readonly object: string };
  /** What is kept of an object; `undefined`: it concerns nobody, and is as if it were not there. */
  readonly keep: (object: ReceivedObject) => T | undefined;
}

/** One kind of objects at the API server, for a reflector. */
export function objectSource<T extends Reflected>(
  connection: ClusterConnection,
  { resource, labelSelector = '', pageSize, accept, keep }: Selection<T>,
): ReflectorSource<T> {
  const selection = labelSelector === '' ? {} : { labelSelector };
  const form = (of: 'list' | 'object') => (accept === undefined ? {} : { accept: accept[of] });

  function eventOf({ type, object }: ReceivedChange, request: ClusterRequest): WatchEvent<T> {
    if (type === 'ERROR') throw new ClusterError(connection, request, object.message ?? 'error', object.code);
    const { name, resourceVersion } = object.metadata;
    if (type === 'BOOKMARK') return { type: 'bookmark', resourceVersion };
    const kept = type === 'DELETED' ? undefined : keep(object);
    return kept === undefined
      ? { type: 'removed', object: { name, resourceVersion } }
      : { type: 'set', object: kept };
  }

  async function* eventsOf(lines: AsyncIterable<ReceivedChange>, request: ClusterRequest) {
    for await (const line of lines) yield eventOf(line, request);
  }

  return {
    list: async (next, signal): Promise<Page<T>> => {
      const query = {
        ...selection,
        limit: String(pageSize),
        ...(next === undefined ? {} : { continue: next }),
      };
      const request: ClusterRequest = { verb: 'list', resource, query, ...form('list') };
      const { metadata, items } = await requestJson<ReceivedList>(connection, request, signal);
      return {
        items: (items ?? []).flatMap((object) => keep(object) ?? []),
        resourceVersion: metadata.resourceVersion,
        next: metadata.continue || undefined,
      };
    },
    watch: async (resourceVersion, seconds, signal) => {
      const query = {
        ...selection,
        resourceVersion,
        allowWatchBookmarks: 'true',
        timeoutSeconds: String(seconds),
      };
      const request: ClusterRequest = { verb: 'watch', resource, query, ...form('object') };
      return eventsOf(await requestJsonLines<ReceivedChange>(connection, request, signal), request);
    },
  };
}
