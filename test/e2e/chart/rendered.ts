/** What the chart and the kustomizations come to, as objects. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { manifests } from '../../manifests/files.ts';
import { must } from '../../real/machine.ts';
import { root } from '../../real/places.ts';
import { type ClientName, clientPath } from '../clients/programs.ts';

export const chart = join(manifests, 'chart');

export interface Rendered {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly rules?: readonly { readonly verbs: readonly string[] }[];
}

/** By kind and name. Throws where two have the same. */
function byName(text: string): ReadonlyMap<string, Rendered> {
  const all = new Map<string, Rendered>();
  // 1.1, as Kubernetes reads YAML: 0440 is octal.
  for (const document of parseAllDocuments(text, { version: '1.1' })) {
    // Safe: the API server takes it, as other tests show.
    const object = document.toJS() as Rendered | null;
    if (object === null) continue;
    const name = `${object.kind} ${object.metadata.name}`;
    if (all.has(name)) throw new Error(`${name} is there twice`);
    all.set(name, object);
  }
  return all;
}

export interface HelmOptions {
  readonly helm?: ClientName;
  readonly namespace?: string;
  /** Of Kubernetes. */
  readonly version?: string;
}

/** What `helm template` makes of the chart with these values. */
export function renderChart(
  values: object,
  { helm = 'helm-4', namespace = 'falco-federation', version = '1.36.0' }: HelmOptions = {},
): ReadonlyMap<string, Rendered> {
  const args = ['template', 'falco-federation', chart, '--namespace', namespace, '--kube-version', version];
  return byName(must(clientPath(helm), [...args, '--values', '-'], { input: JSON.stringify(values) }));
}

export interface Kustomization {
  readonly resources: readonly string[];
  readonly components?: readonly string[];
}

/** What kustomize makes of a folder beside the manifests, as README has users make one. */
export function renderKustomization({
  resources,
  components = [],
}: Kustomization): ReadonlyMap<string, Rendered> {
  const cache = join(root, '.cache');
  mkdirSync(cache, { recursive: true });
  const folder = realpathSync(mkdtempSync(join(cache, 'kustomization-')));
  const from = (part: string): string => relative(folder, join(manifests, part));
  const kustomization = { resources: resources.map(from), components: components.map(from) };
  writeFileSync(join(folder, 'kustomization.yaml'), stringify(kustomization));
  try {
    return byName(must(clientPath('kustomize'), ['build', folder]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** With what is a text in a ConfigMap, and YAML, as what it says: how it is written is nobody's business. */
export function comparable(object: Rendered | undefined): unknown {
  const text = object?.data?.['federation.yaml'];
  return text === undefined ? object : { ...object, data: { 'federation.yaml': parse(text) } };
}
