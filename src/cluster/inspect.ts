/**
 * What `check` asks of a cluster, with the permissions of whoever runs it. Nothing is changed: the only objects that
 * are created are reviews of access, which are not kept, and a pod as a dry run.
 */
import type {
  CoreV1Event,
  V1ConfigMap,
  V1EndpointSliceList,
  V1Secret,
  V1SelfSubjectReview,
  V1StorageClass,
  V1SubjectAccessReview,
  VersionInfo,
} from '@kubernetes/client-node';
import type { ClusterConnection } from './connection.ts';
import type { InspectedNamespace, InspectedPod, InspectedWebhooks, InspectedWorkload } from './inspected.ts';
import { readObject } from './read-object.ts';
import { requestJson, requestProxied } from './request.ts';
import {
  apps,
  core,
  endpointSlices,
  mutatingWebhookConfigurations,
  namespaces,
  podProxy,
  type Resource,
  secret,
} from './resource.ts';

/** One permission, as a rule of RBAC says it. */
export interface Permission {
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly verb: string;
  /** Of the one object that it is about. */
  readonly name?: string;
  /** Undefined: in the whole cluster. */
  readonly namespace?: string;
}

/** Kinds with pods of their own that Falco and falcosidekick come as. */
export type WorkloadKind = 'DaemonSet' | 'Deployment' | 'StatefulSet';

const workloadKinds: Readonly<Record<WorkloadKind, string>> = {
  DaemonSet: 'daemonsets',
  Deployment: 'deployments',
  StatefulSet: 'statefulsets',
};

/** Data of a Secret, decoded. Never to be shown. */
export interface InspectedSecret {
  readonly data: ReadonlyMap<string, string>;
}

/** A pod that a controller could not create: whose it would be, and why, in the API server's words. */
export interface FailedCreate {
  readonly of: { readonly kind: string; readonly name: string };
  readonly message: string;
}

export type InspectedCluster = ReturnType<typeof inspectCluster>;

const pageSize = '500';
const authorization = 'authorization.k8s.io';

function decoded(base64: string): string {
  return Buffer.from(base64, 'base64').toString('utf8');
}

type Query = Readonly<Record<string, string>>;

/** @throws ClusterError from each of its functions, as `requestJson` */
export function inspectCluster(connection: ClusterConnection) {
  const get = <T>(resource: Resource): Promise<T | undefined> => readObject<T>(connection, resource);

  async function all<T>(resource: Resource, selection: Query = {}): Promise<readonly T[]> {
    const found: T[] = [];
    let next: string | undefined;
    do {
      const query: Query = {
        ...selection,
        limit: pageSize,
        ...(next === undefined ? {} : { continue: next }),
      };
      const page = await requestJson<{
        readonly metadata: { readonly continue?: string };
        readonly items: readonly T[] | null;
      }>(connection, { verb: 'list', resource, query });
      found.push(...(page.items ?? []));
      next = page.metadata.continue || undefined;
    } while (next !== undefined);
    return found;
  }

  function reviewed<T>(group: string, plural: string, kind: string, spec?: object): Promise<T> {
    const resource = { group, version: 'v1', plural };
    return requestJson(connection, {
      ...{ verb: 'create', resource },
      body: { apiVersion: `${group}/v1`, kind, ...(spec === undefined ? {} : { spec }) },
    });
  }

  return {
    server: connection.server,
    /** Of the kubeconfig. */
    context: connection.context,
    /** As `v1.36.3`, and its numbers. */
    version: async () => {
      const { gitVersion, major, minor } = await requestJson<VersionInfo>(connection, {
        ...{ verb: 'get', resource: { url: '/version' } },
      });
      // Managed clusters say `30+`.
      return { text: gitVersion, major: Number.parseInt(major, 10), minor: Number.parseInt(minor, 10) };
    },
    /** Name of the user that asks; undefined where the API server does not tell. */
    user: async () => {
      const [group, plural] = ['authentication.k8s.io', 'selfsubjectreviews'];
      const { status } = await reviewed<V1SelfSubjectReview>(group, plural, 'SelfSubjectReview');
      return status?.userInfo?.username;
    },
    may: async (resourceAttributes: Permission): Promise<boolean> => {
      const [plural, kind] = ['selfsubjectaccessreviews', 'SelfSubjectAccessReview'];
      const spec = { resourceAttributes };
      const { status } = await reviewed<V1SubjectAccessReview>(authorization, plural, kind, spec);
      return status?.allowed === true;
    },
    /** Whether a ServiceAccount may. */
    accountMay: async (
      { namespace, name }: { readonly namespace: string; readonly name: string },
      resourceAttributes: Permission,
    ): Promise<boolean> => {
      const [plural, kind] = ['subjectaccessreviews', 'SubjectAccessReview'];
      const spec = {
        resourceAttributes,
        user: `system:serviceaccount:${namespace}:${name}`,
        groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
      };
      const { status } = await reviewed<V1SubjectAccessReview>(authorization, plural, kind, spec);
      return status?.allowed === true;
    },
    webhookConfigurations: () => all<InspectedWebhooks>(mutatingWebhookConfigurations),
    storageClasses: async (): Promise<readonly { readonly name: string; readonly isDefault: boolean }[]> => {
      const resource = { group: 'storage.k8s.io', version: 'v1', plural: 'storageclasses' };
      return (await all<V1StorageClass>(resource)).map(({ metadata }) => ({
        name: metadata?.name ?? '',
        isDefault: metadata?.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true',
      }));
    },
    namespaces: () => all<InspectedNamespace>(namespaces),
    /** All of the cluster. */
    workloads: (kind: WorkloadKind) => all<InspectedWorkload>(apps(workloadKinds[kind])),
    workload: (kind: WorkloadKind, namespace: string, name: string) =>
      get<InspectedWorkload>(apps(workloadKinds[kind], namespace, name)),
    pods: (namespace: string, labelSelector?: string) =>
      all<InspectedPod>(core('pods', namespace), labelSelector === undefined ? {} : { labelSelector }),
    /** From Events, the latest last. */
    failedCreates: async (namespace: string): Promise<readonly FailedCreate[]> => {
      const selection = { fieldSelector: 'reason=FailedCreate' };
      const events = await all<CoreV1Event>(core('events', namespace), selection);
      return events.map(({ involvedObject: { kind = '', name = '' }, message = '' }) => ({
        ...{ of: { kind, name }, message },
      }));
    },
    configMap: async (namespace: string, name: string): Promise<Query | undefined> => {
      const found = await get<V1ConfigMap>(core('configmaps', namespace, name));
      return found && (found.data ?? {});
    },
    secret: async (namespace: string, name: string): Promise<InspectedSecret | undefined> => {
      const found = await get<V1Secret>(secret(namespace, name));
      const entries = Object.entries(found?.data ?? {}).map(([key, text]) => [key, decoded(text)] as const);
      return found && { data: new Map(entries) };
    },
    /** How many ready endpoints a Service has; undefined: no EndpointSlice is there. */
    readyEndpoints: async (namespace: string, service: string): Promise<number | undefined> => {
      const query = { labelSelector: `kubernetes.io/service-name=${service}` };
      const { items } = await requestJson<V1EndpointSliceList>(connection, {
        ...{ verb: 'list', resource: endpointSlices(namespace), query },
      });
      if (items.length === 0) return undefined;
      return items
        .flatMap(({ endpoints }) => endpoints ?? [])
        .filter(({ conditions }) => conditions?.ready !== false).length;
    },
    /** GET of a port of a pod, by way of the API server. */
    getFromPod: (namespace: string, pod: string, port: string, path: string) =>
      requestProxied(connection, { verb: 'get', resource: podProxy(namespace, pod, port, path) }),
    postToPod: (namespace: string, pod: string, port: string, path: string, body: unknown) =>
      requestProxied(connection, { verb: 'create', resource: podProxy(namespace, pod, port, path), body }),
    /** Has a pod created as a dry run; the pod as it would be. */
    dryRun: (namespace: string, pod: object) =>
      requestJson<InspectedPod>(connection, {
        ...{ verb: 'create', resource: core('pods', namespace), query: { dryRun: 'All' }, body: pod },
      }),
  };
}
