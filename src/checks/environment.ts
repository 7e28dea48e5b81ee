/** A container's environment with what Secrets and ConfigMaps put into it. Its values are never shown. */
import type { V1Container, V1EnvFromSource, V1EnvVar } from '@kubernetes/client-node';
import type { View } from './view.ts';

export interface ReadEnvironment {
  readonly values: ReadonlyMap<string, string>;
  /** Objects without which the container cannot be made: `Secret x`, `Secret x (key y)`. */
  readonly missing: readonly string[];
}

type Source = ReadonlyMap<string, string> | undefined;

function sources(view: View, namespace: string) {
  return {
    secret: async (name: string): Promise<Source> => (await view.secret(namespace, name))?.data,
    configMap: async (name: string): Promise<Source> => {
      const data = await view.configMap(namespace, name);
      return data === undefined ? undefined : new Map(Object.entries(data));
    },
  };
}

type Read = ReturnType<typeof sources>;

async function fromSource(
  { secretRef, configMapRef, prefix = '' }: V1EnvFromSource,
  read: Read,
  into: { readonly values: Map<string, string>; readonly missing: string[] },
): Promise<void> {
  const reference = secretRef ?? configMapRef;
  const name = reference?.name;
  if (reference === undefined || name === undefined) return;
  const found = await (secretRef === undefined ? read.configMap(name) : read.secret(name));
  if (found === undefined && reference.optional !== true) {
    into.missing.push(`${secretRef === undefined ? 'ConfigMap' : 'Secret'} ${name}`);
  }
  for (const [key, text] of found ?? []) into.values.set(prefix + key, text);
}

async function entryText(
  { value, valueFrom }: V1EnvVar,
  read: Read,
  missing: string[],
): Promise<string | undefined> {
  const { secretKeyRef, configMapKeyRef } = valueFrom ?? {};
  const reference = secretKeyRef ?? configMapKeyRef;
  // Fields of the pod: names and addresses, which matter to nobody here.
  if (reference === undefined) return value ?? '';
  const { name = '', key, optional } = reference;
  const found = await (secretKeyRef === undefined ? read.configMap(name) : read.secret(name));
  const text = found?.get(key);
  if (text === undefined && optional !== true) {
    const kind = secretKeyRef === undefined ? 'ConfigMap' : 'Secret';
    missing.push(found === undefined ? `${kind} ${name}` : `${kind} ${name} (key ${key})`);
  }
  return text;
}

/** `$(NAME)` sees what came before (FACTS 4.1). */
function expanded(text: string, values: ReadonlyMap<string, string>): string {
  return text.replaceAll(/\$\(([^)]+)\)/g, (whole, name: string) => values.get(name) ?? whole);
}

/** As the kubelet would make it. @throws ClusterError where a Secret may not be read */
export async function readEnvironment(
  view: View,
  namespace: string,
  { env, envFrom }: V1Container,
): Promise<ReadEnvironment> {
  const read = sources(view, namespace);
  const values = new Map<string, string>();
  const missing: string[] = [];
  for (const source of envFrom ?? []) await fromSource(source, read, { values, missing });
  for (const entry of env ?? []) {
    const text = await entryText(entry, read, missing);
    if (text !== undefined) values.set(entry.name, entry.valueFrom ? text : expanded(text, values));
  }
  return { values, missing: [...new Set(missing)] };
}
