import { ClusterError, hasStatus } from './cluster-error.ts';
import type { ClusterConnection } from './connection.ts';
import { listObject, watchLine } from './objects.ts';
import { type ReceivedObject, receivedChange, receivedObject } from './received-object.ts';
import { Expired, type Page, type Reflected, type ReflectorSource, type WatchEvent } from './reflector.ts';
import { requestJsonLines, requestList } from './request.ts';
import type { ClusterRequest, Resource } from './resource.ts';

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

type Keep<T> = (object: ReceivedObject) => T | undefined;

function eventOf<T extends Reflected>(
  line: unknown,
  keep: Keep<T>,
  fail: (why: string) => ClusterError,
): WatchEvent<T> {
  const change = receivedChange(line);
  if (change?.type === 'set') {
    const object = keep(change.object);
    return object === undefined ? removed(change.object) : { type: 'set', object };
  }
  if (change?.type === 'removed') return removed(change.object);
  const parsed = watchLine.safeParse(line);
  if (!parsed.success) throw fail(`no watch event: ${parsed.error.issues[0]?.path.join('.')}`);
  const event = parsed.data;
  switch (event.type) {
    case 'BOOKMARK':
      return { type: 'bookmark', resourceVersion: event.object.metadata.resourceVersion };
    case 'ERROR': {
      const { code, message } = event.object;
      throw code === 410 ? new Expired(message) : fail(`${code ?? ''} ${message ?? 'error'}`.trim());
    }
  }
}

function removed({ metadata: { name, resourceVersion } }: ReceivedObject) {
  return { type: 'removed', object: { name, resourceVersion } } as const;
}

function expiredOr(error: unknown): unknown {
  return hasStatus(error, 410) ? new Expired(String(error)) : error;
}

/** One kind of objects at the API server, for a reflector. */
export function objectSource<T extends Reflected>(
  connection: ClusterConnection,
  { resource, labelSelector = '', pageSize, accept, keep }: Selection<T>,
): ReflectorSource<T> {
  const selection = labelSelector === '' ? {} : { labelSelector };
  const form = (of: 'list' | 'object') => (accept === undefined ? {} : { accept: accept[of] });
  return {
    list: async (next, signal): Promise<Page<T>> => {
      const query = {
        ...selection,
        limit: String(pageSize),
        ...(next === undefined ? {} : { continue: next }),
      };
      const request: ClusterRequest = { verb: 'list', resource, query, ...form('list') };
      const items: T[] = [];
      const read = (item: unknown): void => {
        const object = receivedObject(item);
        if (object === undefined)
          throw new ClusterError(connection, request, 'unexpected answer: not a list');
        const kept = keep(object);
        if (kept !== undefined) items.push(kept);
      };
      const rest = await requestList(connection, request, read, signal).catch((error: unknown) => {
        throw expiredOr(error);
      });
      const answer = listObject.safeParse(rest);
      if (!answer.success) throw new ClusterError(connection, request, 'unexpected answer: not a list');
      const { resourceVersion, continue: more } = answer.data.metadata;
      return { items, resourceVersion, next: more || undefined };
    },
    watch: async (resourceVersion, seconds, signal) => {
      const query = {
        ...selection,
        resourceVersion,
        allowWatchBookmarks: 'true',
        timeoutSeconds: String(seconds),
      };
      const request: ClusterRequest = { verb: 'watch', resource, query, ...form('object') };
      const lines = await requestJsonLines(connection, request, signal).catch((error: unknown) => {
        throw expiredOr(error);
      });
      return events(lines, keep, (why) => new ClusterError(connection, request, why));
    },
  };
}

async function* events<T extends Reflected>(
  lines: AsyncIterable<unknown>,
  keep: Keep<T>,
  fail: (why: string) => ClusterError,
): AsyncGenerator<WatchEvent<T>> {
  for await (const line of lines) yield eventOf(line, keep, fail);
}
