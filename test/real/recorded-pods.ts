/** Pods as the API server sent them to the webhook, and what our own `inject` makes of them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { V1ConfigMap, V1Container, V1Pod } from '@kubernetes/client-node';
import jsonPatch from 'fast-json-patch';
import { parseAllDocuments } from 'yaml';
import { run } from './machine.ts';
import { root } from './places.ts';

export interface RecordedPod {
  /** The chart and its values, for example `falco-9.1.0-hub`. */
  readonly from: string;
  readonly review: string;
  /** Before the injection. */
  readonly pod: V1Pod;
  readonly configMaps: readonly V1ConfigMap[];
  /** Folder of the rules files that falcoctl would bring. */
  readonly rules: string;
}

/** Every pod below `reviews/` of such a folder, in order of the charts' names. */
export function recordedPods(folder: string): readonly RecordedPod[] {
  return readdirSync(join(folder, 'reviews')).flatMap((from) => {
    const reviews = join(folder, 'reviews', from);
    return readdirSync(reviews)
      .filter((name) => /^pod\..*\.create\.json$/.test(name))
      .map((name) => ({
        from,
        review: join(reviews, name),
        pod: podOf(readFileSync(join(reviews, name), 'utf8')),
        configMaps: configMapsOf(join(folder, 'manifests'), from),
        rules: join(folder, 'rules'),
      }));
  });
}

function podOf(review: string): V1Pod {
  // Safe: these are files that an API server wrote, or are shaped like them.
  return (JSON.parse(review) as { request: { object: V1Pod } }).request.object;
}

/** From `NAME.yaml`, or `NAME-configmap.yaml` where only that was recorded. */
function configMapsOf(manifests: string, from: string): readonly V1ConfigMap[] {
  const file = readdirSync(manifests).find(
    (name) => name === `${from}.yaml` || name === `${from}-configmap.yaml`,
  );
  if (file === undefined) throw new Error(`${manifests} has no ${from}.yaml`);
  return parseAllDocuments(readFileSync(join(manifests, file), 'utf8'))
    .map((document): unknown => document.toJS())
    .filter(isConfigMap);
}

function isConfigMap(value: unknown): value is V1ConfigMap {
  return value !== null && typeof value === 'object' && 'kind' in value && value.kind === 'ConfigMap';
}

export interface InjectedPod {
  readonly pod: V1Pod;
  /** What `inject` said about it. */
  readonly said: string;
}

/** What `falco-federation inject` answers to a review, and what it says about it. Throws if it fails. */
export function injectionOf(
  recorded: RecordedPod,
  settings: string,
): { readonly answer: string; readonly said: string } {
  const { status, stdout, stderr } = run(process.execPath, [
    ...[join(root, 'src/main.ts'), 'inject', '--filename', recorded.review, '--settings', settings],
  ]);
  if (status !== 0) throw new Error(`inject ${recorded.review}: exit ${status}\n${stderr}`);
  return { answer: stdout, said: stderr };
}

/** The pod after the injection, as the API server would make it of the answer. */
export function injected(recorded: RecordedPod, settings: string): InjectedPod {
  const { answer, said } = injectionOf(recorded, settings);
  // Safe: an AdmissionReview's answer has this shape; what is not there fails in the next lines.
  const { response } = JSON.parse(answer) as { response: { allowed: boolean; patch?: string } };
  if (!response.allowed) throw new Error(`inject ${recorded.review}: not allowed`);
  if (response.patch === undefined) return { pod: recorded.pod, said };
  const operations: jsonPatch.Operation[] = JSON.parse(
    Buffer.from(response.patch, 'base64').toString('utf8'),
  );
  return { pod: jsonPatch.applyPatch(recorded.pod, operations, true, false).newDocument, said };
}

/** The containers that the injection added. */
export function addedContainers(before: V1Pod, after: V1Pod): readonly V1Container[] {
  const had = new Set(allContainers(before).map(({ name }) => name));
  return allContainers(after).filter(({ name }) => !had.has(name));
}

export function allContainers({ spec }: V1Pod): readonly V1Container[] {
  return [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
}

/** The container called `name`; throws if the pod has none. */
export function containerOf(pod: V1Pod, name: string): V1Container {
  const found = allContainers(pod).find((container) => container.name === name);
  if (found === undefined) throw new Error(`the pod has no container ${name}`);
  return found;
}
