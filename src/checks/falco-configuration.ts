/**
 * A falco.yaml in which a key that our arguments add to is no list stops Falco (FACTS 1.13). The webhook cannot see it;
 * who may read the ConfigMap can.
 */
import type { V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import { findFalco } from '../injection/falco/find-falco.ts';
import { decodeFile, keyName, type Node, NotYaml, Reader, resolve, TooLarge } from '../yaml/falco-yaml.ts';
import type { Check } from './check.ts';
import { error, type Line, ok } from './line.ts';
import { type OfNamespace, podOfEach } from './pods.ts';
import type { View } from './view.ts';

const defaultFile = '/etc/falco/falco.yaml';
const addedTo = ['config_files', 'append_output'] as const;

/** Keys of a configuration that are there and no list: with what they are instead. */
export function noLists(text: string): readonly { readonly key: string; readonly is: string }[] {
  const root = firstDocument(text);
  if (root?.is !== 'mapping') return [];
  return addedTo.flatMap((key) => {
    // The first of two equal keys counts.
    const value = root.pairs.find((pair) => keyName(pair.key) === key)?.value;
    if (value === undefined) return [];
    const node = resolve(value);
    if (node.is === 'sequence') return [];
    return [{ key, is: { null: 'empty (null)', mapping: 'a mapping', scalar: 'a scalar' }[node.is] }];
  });
}

/** Falco reads no further (FACTS 1.13); what it cannot read stops it without us. */
function firstDocument(text: string): Node | undefined {
  try {
    const { text: decoded } = decodeFile(Buffer.from(text));
    return new Reader(decoded, { keysAt: { level: 0, keys: new Set(addedTo) } }).nextDocument()?.root;
  } catch (problem) {
    if (problem instanceof NotYaml || problem instanceof TooLarge) return undefined;
    throw problem;
  }
}

/** Which key of which ConfigMap is mounted as a file. */
function placeOf(volumes: readonly V1Volume[], mounts: readonly V1VolumeMount[], file: string) {
  const mount = mounts.findLast(
    ({ mountPath }) => mountPath === file || file.startsWith(`${mountPath.replace(/\/$/, '')}/`),
  );
  const configMap = volumes.find(({ name }) => name === mount?.name)?.configMap;
  if (mount === undefined || configMap?.name === undefined) return undefined;
  const path = mount.mountPath === file ? mount.subPath : file.slice(file.lastIndexOf('/') + 1);
  return { configMap: configMap.name, key: configMap.items?.find((item) => item.path === path)?.key ?? path };
}

async function lookAt(view: View, { namespace, pod }: OfNamespace): Promise<readonly Line[]> {
  const { spec } = pod.template;
  const falco = findFalco(spec);
  if (falco === undefined || 'code' in falco) return [];
  const at = falco.args.lastIndexOf('-c');
  const file = (at === -1 ? undefined : falco.args[at + 1]) ?? defaultFile;
  const { configMap = '', key = '' } =
    placeOf(spec.volumes ?? [], falco.container.volumeMounts ?? [], file) ?? {};
  const text = configMap === '' ? undefined : (await view.configMap(namespace, configMap))?.[key];
  if (text === undefined) return [];
  const what = `namespace ${namespace}: ${file} of ${pod.workload} (ConfigMap ${configMap})`;
  const wrong = noLists(text);
  if (wrong.length === 0) return [ok('falco_configuration', `${what} accepts our arguments`)];
  const why = `Falco fails to start: ${wrong.map(({ key: one, is }) => `${one} is ${is}`).join(', ')}, and our arguments add to it. Remove the key, or make it a sequence`;
  const fix = `kubectl --namespace ${namespace} edit configmap/${configMap}   # with the chart: falco.${wrong[0]?.key}`;
  return [error('falco_configuration', what, why, fix)];
}

export const falcoConfiguration: Check = {
  name: 'falco_configuration',
  title: "Falco's configuration",
  look: async (view) => (await Promise.all((await podOfEach(view)).map((one) => lookAt(view, one)))).flat(),
};
