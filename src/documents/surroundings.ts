/** What the objects of a stream say about its pods: namespaces' annotations, and Secrets. */
import type { Annotations } from '../federation/effective-settings.ts';
import { isRecord } from '../injection/record.ts';

export interface Surroundings {
  /** Annotations of a Namespace in the stream: the webhook would know them too. */
  readonly annotationsOf: (namespace: string | undefined) => Annotations;
  /** What a Secret in the stream holds; `undefined` where it is not there. */
  readonly secretOf: (namespace: string | undefined, name: string) => ReadonlyMap<string, string> | undefined;
}

export function metadataOf(object: unknown): Record<string, unknown> {
  return isRecord(object) && isRecord(object.metadata) ? object.metadata : {};
}

/** The namespace that an object names, or that of those that name none. */
export function namespaceOf(object: unknown, otherwise: string | undefined): string | undefined {
  const { namespace } = metadataOf(object);
  return typeof namespace === 'string' && namespace !== '' ? namespace : otherwise;
}

/** The texts of a map; other values are left out. */
function textsOf(value: unknown): readonly (readonly [string, string])[] {
  if (!isRecord(value)) return [];
  return Object.entries(value).flatMap(([key, text]) =>
    typeof text === 'string' ? [[key, text] as const] : [],
  );
}

function secretTexts(secret: Record<string, unknown>): ReadonlyMap<string, string> {
  const data = textsOf(secret.data).map(
    ([key, text]) => [key, Buffer.from(text, 'base64').toString('utf8')] as const,
  );
  // The API server writes `stringData` over `data`.
  return new Map([...data, ...textsOf(secret.stringData)]);
}

/** The objects, and those in lists among them. */
function* each(objects: Iterable<unknown>): Iterable<Record<string, unknown>> {
  for (const object of objects) {
    if (!isRecord(object)) continue;
    yield object;
    if (Array.isArray(object.items)) yield* each(object.items);
  }
}

/** @param namespace of objects that name none */
export function surroundingsIn(objects: Iterable<unknown>, namespace: string | undefined): Surroundings {
  const namespaces = new Map<string, Annotations>();
  const secrets = new Map<string, ReadonlyMap<string, string>>();
  const secretKey = (of: string | undefined, name: string): string => `${of ?? ''}/${name}`;
  for (const object of each(objects)) {
    const { name, annotations } = metadataOf(object);
    if (typeof name !== 'string') continue;
    if (object.kind === 'Namespace') namespaces.set(name, Object.fromEntries(textsOf(annotations)));
    if (object.kind === 'Secret')
      secrets.set(secretKey(namespaceOf(object, namespace), name), secretTexts(object));
  }
  return {
    annotationsOf: (of) => (of === undefined ? undefined : namespaces.get(of)),
    secretOf: (of, name) => secrets.get(secretKey(of, name)),
  };
}
