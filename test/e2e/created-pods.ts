/** Workloads applied to a namespace, and the pods that the cluster's controllers made of them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { V1Pod, V1PodList } from '@kubernetes/client-node';
import { parseAllDocuments, stringify } from 'yaml';
import type { recordedReviews } from '../injection/reviews.ts';
import type { Api } from './api.ts';
import type { ControlPlane } from './control-plane.ts';
import { until } from './replica.ts';

/** A chart with values, rendered; or workloads that an operator made. */
export interface Workloads {
  readonly name: string;
  readonly objects: readonly KubernetesObject[];
}

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: {
    readonly replicas?: number;
    readonly template?: {
      readonly spec: { readonly serviceAccountName?: string; readonly containers?: unknown };
    };
  };
}

function objectsIn(text: string): readonly KubernetesObject[] {
  // 1.1 as kubectl: charts write modes as 0555.
  return (
    parseAllDocuments(text, { version: '1.1' })
      .map((document): unknown => document.toJS())
      // Safe: these are manifests; the API server refuses what is not one.
      .filter((value): value is KubernetesObject => value !== null && typeof value === 'object')
  );
}

export function workloadsIn(file: string, name: string): Workloads {
  return { name, objects: objectsIn(readFileSync(file, 'utf8')) };
}

/** What falco-operator created, as its reviews recorded it. */
export function operatorWorkloads(reviews: ReturnType<typeof recordedReviews>): Workloads {
  const objects = reviews
    .filter(({ name }) => /^falco-operator\/(daemonset|deployment|statefulset)\./.test(name))
    .map(({ text }) => {
      // Safe: recorded from an API server.
      const { object } = (JSON.parse(text) as { request: { object: KubernetesObject } }).request;
      const { name, labels, annotations } = object.metadata;
      return {
        apiVersion: object.apiVersion,
        kind: object.kind,
        metadata: { name, labels: labels ?? {}, annotations: annotations ?? {} },
        spec: object.spec ?? {},
      };
    });
  const accounts = new Set(objects.flatMap(({ spec }) => spec.template?.spec.serviceAccountName ?? []));
  const made = [...accounts].map((name) => ({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name },
  }));
  return { name: 'falco-operator', objects: [...made, ...objects] };
}

/** The same objects in another namespace. */
export function inNamespace({ name, objects }: Workloads, namespace: string): Workloads {
  return {
    name,
    objects: objects.map((object) => ({ ...object, metadata: { ...object.metadata, namespace } })),
  };
}

export function asYaml({ objects }: Workloads): string {
  return objects.map((object) => stringify(object)).join('---\n');
}

/** How many pods the controllers will create of them: the cluster has one node. */
function expectedPods({ objects }: Workloads): number {
  return objects.reduce((sum, { kind, spec }) => {
    if (kind === 'DaemonSet' || kind === 'Pod') return sum + 1;
    if (kind === 'Deployment' || kind === 'StatefulSet') return sum + (spec?.replicas ?? 1);
    return sum;
  }, 0);
}

export async function makeNamespace(
  api: Api,
  name: string,
  labels: Readonly<Record<string, string>>,
  annotations: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { status, body } = await api.call('POST', '/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels, annotations },
  });
  if (status !== 201) throw new Error(`namespace ${name}: ${status} ${JSON.stringify(body)}`);
}

export const optedIn = { 'falco-federation.io/inject': 'enabled' } as const;

export async function podsIn(api: Api, namespace: string): Promise<readonly V1Pod[]> {
  const { body } = await api.call('GET', `/api/v1/namespaces/${namespace}/pods`);
  // Safe: a list of pods is what was asked for.
  return (body as V1PodList).items;
}

/** Applies the workloads and waits for their pods. Resolves with these, sorted by what made them. */
export async function applyAndWait(
  controlPlane: ControlPlane,
  api: Api,
  workloads: Workloads,
  namespace: string,
): Promise<readonly V1Pod[]> {
  const moved = inNamespace(workloads, namespace);
  await controlPlane.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], asYaml(moved));
  const count = expectedPods(moved);
  let pods: readonly V1Pod[] = [];
  await until(`${count} pods of ${workloads.name} are in ${namespace}`, async () => {
    pods = await podsIn(api, namespace);
    return pods.length >= count;
  });
  return pods.toSorted((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1));
}

/** A name that is the same in every namespace: without what the controllers drew by lot. */
export function nameOf({ metadata }: V1Pod): string {
  const owner = metadata?.ownerReferences?.[0];
  if (owner === undefined) return metadata?.name ?? '';
  const drawn = ['ReplicaSet', 'Job'].includes(owner.kind) ? /-[0-9a-z]{6,10}$/ : /$/;
  return `${owner.kind}/${owner.name.replace(drawn, '')}`;
}

export const ownChart = join(import.meta.dirname, 'own-chart.yaml');
