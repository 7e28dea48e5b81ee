/**
 * A falco.yaml in which a key that our arguments add to is no list stops Falco (FACTS 1.13). The webhook cannot see it;
 * who may read the ConfigMap can.
 */
import type { V1Container } from '@kubernetes/client-node';
import { findFalco } from '../injection/falco/find-falco.ts';
import { decodeFile, keyName, type Node, NotYaml, Reader, resolve, TooLarge } from '../yaml/falco-yaml.ts';
import type { Check } from './check.ts';
import type { JudgedPod } from './judge-pod.ts';
import { error, type Line, ok } from './line.ts';
import { podOfEach } from './pods.ts';
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

/** The file that Falco is told to read. */
function configFile(args: readonly string[]): string {
  const at = args.lastIndexOf('-c');
  return (at === -1 ? undefined : args[at + 1]) ?? defaultFile;
}

interface Place {
  readonly configMap: string;
  readonly key: string;
}

/** Which key of which ConfigMap is mounted as a file. */
function mountedFrom({ template }: JudgedPod, container: V1Container, file: string): Place | undefined {
  for (const { name, mountPath, subPath } of (container.volumeMounts ?? []).toReversed()) {
    const inFolder = file.startsWith(`${mountPath.replace(/\/$/, '')}/`);
    if (mountPath !== file && !inFolder) continue;
    const source = template.spec.volumes?.find((volume) => volume.name === name)?.configMap;
    if (source?.name === undefined) continue;
    const path = mountPath === file ? (subPath ?? '') : file.slice(mountPath.replace(/\/$/, '').length + 1);
    const key = source.items?.find((item) => item.path === path)?.key ?? path;
    return { configMap: source.name, key };
  }
  return undefined;
}

async function lookAt(view: View, namespace: string, pod: JudgedPod): Promise<readonly Line[]> {
  const falco = findFalco(pod.template.spec);
  if (falco === undefined || 'code' in falco) return [];
  const file = configFile(falco.args);
  const place = mountedFrom(pod, falco.container, file);
  if (place === undefined) return [];
  const text = (await view.configMap(namespace, place.configMap))?.[place.key];
  if (text === undefined) return [];
  const at = `namespace ${namespace}: ${file} of ${pod.workload} (ConfigMap ${place.configMap})`;
  const wrong = noLists(text);
  if (wrong.length === 0) return [ok('falco_configuration', `${at} accepts our arguments`)];
  const why = `Falco fails to start: ${wrong.map(({ key, is }) => `${key} is ${is}`).join(', ')}, and our arguments add to it. Remove the key, or make it a sequence`;
  return [
    error(
      'falco_configuration',
      at,
      why,
      `kubectl --namespace ${namespace} edit configmap/${place.configMap}   # with the chart: falco.${wrong[0]?.key}`,
    ),
  ];
}

export const falcoConfiguration: Check = {
  name: 'falco_configuration',
  title: "Falco's configuration",
  look: async (view) =>
    (
      await Promise.all((await podOfEach(view)).map(({ namespace, pod }) => lookAt(view, namespace, pod)))
    ).flat(),
};
