/** A container's environment with what Secrets and ConfigMaps put into it. Its values are never shown. */
import type { V1Container } from '@kubernetes/client-node';
import type { View } from './view.ts';

interface Reference {
  readonly name?: string;
}

/** As the kubelet would make it; what is missing keeps the pod from starting, which it tells. @throws ClusterError */
export async function readEnvironment(
  view: View,
  namespace: string,
  { env, envFrom }: V1Container,
): Promise<ReadonlyMap<string, string>> {
  const dataOf = async (secret?: Reference, configMap?: Reference): Promise<ReadonlyMap<string, string>> => {
    if (secret?.name !== undefined) return (await view.secret(namespace, secret.name))?.data ?? new Map();
    if (configMap?.name === undefined) return new Map();
    return new Map(Object.entries((await view.configMap(namespace, configMap.name)) ?? {}));
  };
  const values = new Map<string, string>();
  for (const { secretRef, configMapRef, prefix = '' } of envFrom ?? []) {
    for (const [key, text] of await dataOf(secretRef, configMapRef)) values.set(prefix + key, text);
  }
  for (const { name, value = '', valueFrom } of env ?? []) {
    const { secretKeyRef, configMapKeyRef } = valueFrom ?? {};
    const key = (secretKeyRef ?? configMapKeyRef)?.key;
    // Other sources are fields of the pod: names and addresses, which matter to nobody here.
    const text = key === undefined ? value : (await dataOf(secretKeyRef, configMapKeyRef)).get(key);
    if (text !== undefined) values.set(name, text);
  }
  return values;
}
