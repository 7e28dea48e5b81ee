import { ClusterError, hasStatus } from './cluster-error.ts';
import type { ClusterConnection } from './connection.ts';
import { objectList, watchLine } from './objects.ts';
import { Expired, type ObjectMeta, type Page, type ReflectorSource, type WatchEvent } from './reflector.ts';
import { requestJson, requestJsonLines } from './request.ts';
import type { ClusterRequest, Resource } from './resource.ts';

const pageSize = 500;

/** Only metadata of the objects: a watch on a Secret then carries no key, and namespaces cost less. */
const partialList = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';
const partialObject = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';

interface ReceivedObject {
  readonly metadata: {
    readonly name: string;
    readonly resourceVersion: string;
    readonly annotations?: Readonly<Record<string, string>> | undefined;
  };
}

function metaOf({ metadata: { name, resourceVersion, annotations } }: ReceivedObject): ObjectMeta {
  return { name, resourceVersion, annotations: annotations ?? {} };
}

function eventOf(line: unknown, fail: (why: string) => ClusterError): WatchEvent {
  const parsed = watchLine.safeParse(line);
  if (!parsed.success) throw fail(`no watch event: ${parsed.error.issues[0]?.path.join('.')}`);
  const event = parsed.data;
  switch (event.type) {
    case 'ADDED':
    case 'MODIFIED':
      return { type: 'set', object: metaOf(event.object) };
    case 'DELETED':
      return { type: 'removed', object: metaOf(event.object) };
    case 'BOOKMARK':
      return { type: 'bookmark', resourceVersion: event.object.metadata.resourceVersion };
    case 'ERROR': {
      const { code, message } = event.object;
      throw code === 410 ? new Expired(message) : fail(`${code ?? ''} ${message ?? 'error'}`.trim());
    }
  }
}

function expiredOr(error: unknown): unknown {
  return hasStatus(error, 410) ? new Expired(String(error)) : error;
}

/** The metadata of a resource's objects, for a reflector. @param labelSelector as in the API; '' for all */
export function metadataSource(
  connection: ClusterConnection,
  resource: Resource,
  labelSelector = '',
): ReflectorSource {
  const selection = labelSelector === '' ? {} : { labelSelector };
  return {
    list: async (next, signal): Promise<Page> => {
      const query = {
        ...selection,
        limit: String(pageSize),
        ...(next === undefined ? {} : { continue: next }),
      };
      const request: ClusterRequest = { verb: 'list', resource, query, accept: partialList };
      const answer = objectList.safeParse(
        await requestJson(connection, request, signal).catch((error: unknown) => {
          throw expiredOr(error);
        }),
      );
      if (!answer.success) throw new ClusterError(connection, request, 'the answer is no list');
      const { metadata, items } = answer.data;
      return {
        items: (items ?? []).map(metaOf),
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
      const request: ClusterRequest = { verb: 'watch', resource, query, accept: partialObject };
      const lines = await requestJsonLines(connection, request, signal).catch((error: unknown) => {
        throw expiredOr(error);
      });
      return events(lines, (why) => new ClusterError(connection, request, why));
    },
  };
}

async function* events(
  lines: AsyncIterable<unknown>,
  fail: (why: string) => ClusterError,
): AsyncGenerator<WatchEvent> {
  for await (const line of lines) yield eventOf(line, fail);
}
