import type { ClusterConnection } from './connection.ts';
import { objectSource, type ReceivedObject } from './object-source.ts';
import type { ObjectMeta, ReflectorSource } from './reflector.ts';
import type { Resource } from './resource.ts';

/** Only metadata of the objects: a watch on a Secret then carries no key, and namespaces cost less. */
const accept = {
  list: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
  object: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
};

function metaOf({ metadata: { name, resourceVersion, annotations } }: ReceivedObject): ObjectMeta {
  return { name, resourceVersion, annotations: annotations ?? {} };
}

/** The metadata of a resource's objects, for a reflector. @param labelSelector as in the API; '' for all */
export function metadataSource(
  connection: ClusterConnection,
  resource: Resource,
  labelSelector = '',
): ReflectorSource {
  return objectSource(connection, { resource, labelSelector, pageSize: 500, accept, keep: metaOf });
}
