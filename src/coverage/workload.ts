import type { V1ObjectMeta } from '@kubernetes/client-node';
import { interned } from './interned.ts';

/** What made a pod, as people name it. */
export interface Workload {
  readonly namespace: string;
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  /** Not known of a Deployment: a pod names its ReplicaSet only. */
  readonly uid: string | undefined;
  /** `namespace/kind/name`. */
  readonly key: string;
}

type Owner = Omit<Workload, 'namespace' | 'key'>;

const sharing = interned<Workload>();

/** The Deployment behind a ReplicaSet: the controller makes its name of the Deployment's and of this label. */
function deploymentOf(replicaSet: string, labels: V1ObjectMeta['labels']): string | undefined {
  const end = `-${labels?.['pod-template-hash']}`;
  return replicaSet.endsWith(end) && replicaSet.length > end.length
    ? replicaSet.slice(0, -end.length)
    : undefined;
}

function ownerOf(metadata: V1ObjectMeta): Owner {
  const controller = metadata.ownerReferences?.find((reference) => reference.controller === true);
  if (controller === undefined) {
    return { apiVersion: 'v1', kind: 'Pod', name: metadata.name ?? '', uid: metadata.uid };
  }
  const { apiVersion, kind, name, uid } = controller;
  const deployment = kind === 'ReplicaSet' ? deploymentOf(name, metadata.labels) : undefined;
  return deployment === undefined
    ? { apiVersion, kind, name, uid }
    : { apiVersion: 'apps/v1', kind: 'Deployment', name: deployment, uid: undefined };
}

/**
 * The workload that a pod belongs to: what controls it, or the pod itself. Nothing is asked for: that would take
 * permissions to read workloads.
 */
export function workloadOf(namespace: string, metadata: V1ObjectMeta): Workload {
  const { apiVersion, kind, name, uid } = ownerOf(metadata);
  const key = `${namespace}/${kind}/${name}`;
  return sharing(`${key}/${uid ?? ''}`, () => ({ namespace, apiVersion, kind, name, uid, key }));
}

/** A workload as kubectl's commands name it: `daemonset/falco`. */
export function kubectlName({ kind, name }: Pick<Workload, 'kind' | 'name'>): string {
  return `${kind.toLowerCase()}/${name}`;
}

const restartable = /^(?:daemonset|deployment|statefulset)\//;

/** The command that has the pods of a workload created again. @param workload as kubectl names it */
export function restartCommand(namespace: string, workload: string): string {
  const kubectl = `kubectl --namespace ${namespace}`;
  if (restartable.test(workload)) return `${kubectl} rollout restart ${workload}`;
  return workload.startsWith('pod/')
    ? `${kubectl} delete ${workload}   # and create it again`
    : `${kubectl} delete pod NAME   # each pod of ${workload}`;
}

const revisionLabels = ['pod-template-hash', 'controller-revision-hash'];
const revisions = interned<string>();

/** Which template of its workload a pod was made from; '' where nothing says it. */
export function revisionOf({ labels }: V1ObjectMeta): string {
  const text = revisionLabels.map((label) => labels?.[label]).find((value) => value !== undefined) ?? '';
  return revisions(text, () => text);
}
