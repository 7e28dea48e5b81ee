/** An object as the API server sends it, as far as every kind is alike. */
export interface ReceivedObject {
  readonly metadata: {
    readonly name: string;
    readonly resourceVersion: string;
    readonly annotations?: Readonly<Record<string, string>> | undefined;
  };
}

/** Fields of an object; a function of its own where schemas would cost 15 MiB for the first 5,000 pods. */
function fieldsOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  // Safe: whatever is an object can be asked for any key.
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
}

const isText = (value: unknown): boolean => typeof value === 'string';

function isTextMap(value: unknown): boolean {
  const fields = fieldsOf(value);
  return fields !== undefined && !Array.isArray(value) && Object.values(fields).every(isText);
}

function isObject(value: unknown): value is ReceivedObject {
  const metadata = fieldsOf(fieldsOf(value)?.metadata);
  if (metadata === undefined) return false;
  const { name, resourceVersion, annotations } = metadata;
  return isText(name) && isText(resourceVersion) && (annotations === undefined || isTextMap(annotations));
}

/** The very object, if it has what every object has. */
export function receivedObject(value: unknown): ReceivedObject | undefined {
  return isObject(value) ? value : undefined;
}

/** One line of a watch, as far as it is about an object. */
export function receivedChange(
  line: unknown,
): { readonly type: 'set' | 'removed'; readonly object: ReceivedObject } | undefined {
  const { type, object } = fieldsOf(line) ?? {};
  const received = receivedObject(object);
  if (received === undefined) return undefined;
  if (type === 'ADDED' || type === 'MODIFIED') return { type: 'set', object: received };
  return type === 'DELETED' ? { type: 'removed', object: received } : undefined;
}
