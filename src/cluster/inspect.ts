/**
 * What `check` asks of a cluster, with the permissions of whoever runs it. Nothing is changed: the only objects that
 * are created are reviews of access, which are not kept, and a pod as a dry run.
 */
import type { z } from 'zod';
import { ClusterError } from './cluster-error.ts';
import type { ClusterConnection } from './connection.ts';
import {
  accessReview,
  configMapObject,
  eventObject,
  type InspectedNamespace,
  type InspectedPod,
  type InspectedWebhooks,
  type InspectedWorkload,
  inspectedWebhooks,
  listOf,
  namespaceObject,
  podObject,
  selfReview,
  versionAnswer,
  workloadObject,
} from './inspected.ts';
import { endpointSliceList, secretObject } from './objects.ts';
import { readObject } from './read-object.ts';
import { type ProxiedAnswer, requestJson, requestProxied } from './request.ts';
import {
  apps,
  type ClusterRequest,
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

export interface InspectedCluster {
  readonly server: string;
  /** Of the kubeconfig. */
  readonly context: string | undefined;
  /** As `v1.36.3`, and its numbers. */
  readonly version: () => Promise<{ readonly text: string; readonly major: number; readonly minor: number }>;
  /** Name of the user that asks; undefined where the API server does not tell. */
  readonly user: () => Promise<string | undefined>;
  readonly may: (permission: Permission) => Promise<boolean>;
  /** Whether a ServiceAccount may. */
  readonly accountMay: (
    account: { readonly namespace: string; readonly name: string },
    permission: Permission,
  ) => Promise<boolean>;
  readonly webhookConfigurations: () => Promise<readonly InspectedWebhooks[]>;
  readonly storageClasses: () => Promise<readonly { readonly name: string; readonly isDefault: boolean }[]>;
  readonly namespaces: () => Promise<readonly InspectedNamespace[]>;
  /** All of the cluster, or one of them. */
  readonly workloads: (kind: WorkloadKind) => Promise<readonly InspectedWorkload[]>;
  readonly workload: (
    kind: WorkloadKind,
    namespace: string,
    name: string,
  ) => Promise<InspectedWorkload | undefined>;
  readonly pods: (namespace: string, labelSelector?: string) => Promise<readonly InspectedPod[]>;
  /** From Events, the latest last. */
  readonly failedCreates: (namespace: string) => Promise<readonly FailedCreate[]>;
  readonly configMap: (
    namespace: string,
    name: string,
  ) => Promise<Readonly<Record<string, string>> | undefined>;
  readonly secret: (namespace: string, name: string) => Promise<InspectedSecret | undefined>;
  /** How many ready endpoints a Service has; undefined: no EndpointSlice is there. */
  readonly readyEndpoints: (namespace: string, service: string) => Promise<number | undefined>;
  /** GET of a port of a pod, by way of the API server. */
  readonly getFromPod: (namespace: string, pod: string, port: string, path: string) => Promise<ProxiedAnswer>;
  readonly postToPod: (
    namespace: string,
    pod: string,
    port: string,
    path: string,
    body: unknown,
  ) => Promise<ProxiedAnswer>;
  /** Has a pod created as a dry run; the pod as it would be. */
  readonly dryRun: (namespace: string, pod: object) => Promise<InspectedPod>;
}

const pageSize = '500';

function decoded(base64: string): string {
  return Buffer.from(base64, 'base64').toString('utf8');
}

/** @throws ClusterError from each of its functions, as `requestJson` */
export function inspectCluster(connection: ClusterConnection): InspectedCluster {
  async function one<T>(request: ClusterRequest, schema: z.ZodType<T>, kind: string): Promise<T> {
    const found = await readObject(connection, request, { schema, kind, absent: 0 });
    if (found === undefined)
      throw new ClusterError(connection, request, `unexpected answer: not of kind ${kind}`);
    return found;
  }

  async function all<T>(
    resource: Resource,
    item: z.ZodType<T>,
    labelSelector = '',
    fieldSelector = '',
  ): Promise<readonly T[]> {
    const found: T[] = [];
    let next: string | undefined;
    do {
      const query = {
        limit: pageSize,
        ...(labelSelector === '' ? {} : { labelSelector }),
        ...(fieldSelector === '' ? {} : { fieldSelector }),
        ...(next === undefined ? {} : { continue: next }),
      };
      const page = await one({ verb: 'list', resource, query }, listOf(item), 'list');
      found.push(...(page.items ?? []));
      next = page.metadata.continue || undefined;
    } while (next !== undefined);
    return found;
  }

  const review = (group: string, plural: string, kind: string, spec: object | undefined) => ({
    verb: 'create' as const,
    resource: { group, version: 'v1', plural },
    body: { apiVersion: `${group}/v1`, kind, ...(spec === undefined ? {} : { spec }) },
  });

  return {
    server: connection.server,
    context: connection.context,
    version: async () => {
      const request: ClusterRequest = { verb: 'get', resource: { url: '/version' } };
      const { major, minor, gitVersion } = await one(request, versionAnswer, 'version');
      // Managed clusters say `30+`.
      return { text: gitVersion, major: Number.parseInt(major, 10), minor: Number.parseInt(minor, 10) };
    },
    user: async () => {
      const asked = review('authentication.k8s.io', 'selfsubjectreviews', 'SelfSubjectReview', undefined);
      return (await one(asked, selfReview, 'SelfSubjectReview')).status.userInfo.username;
    },
    may: async (resourceAttributes) => {
      const asked = review('authorization.k8s.io', 'selfsubjectaccessreviews', 'SelfSubjectAccessReview', {
        resourceAttributes,
      });
      return (await one(asked, accessReview, 'SelfSubjectAccessReview')).status.allowed;
    },
    accountMay: async ({ namespace, name }, resourceAttributes) => {
      const asked = review('authorization.k8s.io', 'subjectaccessreviews', 'SubjectAccessReview', {
        resourceAttributes,
        user: `system:serviceaccount:${namespace}:${name}`,
        groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
      });
      return (await one(asked, accessReview, 'SubjectAccessReview')).status.allowed;
    },
    webhookConfigurations: () => all(mutatingWebhookConfigurations, inspectedWebhooks),
    storageClasses: async () => {
      const resource = { group: 'storage.k8s.io', version: 'v1', plural: 'storageclasses' };
      return (await all(resource, namespaceObject)).map(({ metadata: { name, annotations } }) => ({
        ...{ name, isDefault: annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true' },
      }));
    },
    namespaces: () => all(namespaces, namespaceObject),
    workloads: (kind) => all(apps(workloadKinds[kind]), workloadObject),
    workload: (kind, namespace, name) =>
      readObject(
        connection,
        { verb: 'get', resource: apps(workloadKinds[kind], namespace, name) },
        { schema: workloadObject, kind, absent: 404 },
      ),
    pods: (namespace, labelSelector) => all(core('pods', namespace), podObject, labelSelector),
    failedCreates: async (namespace) => {
      const events = await all(core('events', namespace), eventObject, '', 'reason=FailedCreate');
      return events.map(({ involvedObject: { kind = '', name = '' }, message }) => ({
        of: { kind, name },
        message: message ?? '',
      }));
    },
    configMap: async (namespace, name) => {
      const found = await readObject(
        connection,
        { verb: 'get', resource: core('configmaps', namespace, name) },
        { schema: configMapObject, kind: 'ConfigMap', absent: 404 },
      );
      return found === undefined ? undefined : (found.data ?? {});
    },
    secret: async (namespace, name) => {
      const found = await readObject(
        connection,
        { verb: 'get', resource: secret(namespace, name) },
        { schema: secretObject, kind: 'Secret', absent: 404 },
      );
      if (found === undefined) return undefined;
      const entries = Object.entries(found.data ?? {}).map(([key, text]) => [key, decoded(text)] as const);
      return { data: new Map(entries) };
    },
    readyEndpoints: async (namespace, service) => {
      const query = { labelSelector: `kubernetes.io/service-name=${service}` };
      const request: ClusterRequest = { verb: 'list', resource: endpointSlices(namespace), query };
      const { items } = await one(request, endpointSliceList, 'EndpointSliceList');
      if (items.length === 0) return undefined;
      return items
        .flatMap(({ endpoints }) => endpoints ?? [])
        .filter(({ conditions }) => conditions?.ready !== false).length;
    },
    getFromPod: (namespace, pod, port, path) =>
      requestProxied(connection, { verb: 'get', resource: podProxy(namespace, pod, port, path) }),
    postToPod: (namespace, pod, port, path, body) =>
      requestProxied(connection, { verb: 'create', resource: podProxy(namespace, pod, port, path), body }),
    dryRun: async (namespace, pod) =>
      podObject.parse(
        await requestJson(connection, {
          verb: 'create',
          resource: core('pods', namespace),
          query: { dryRun: 'All' },
          body: pod,
        }),
      ),
  };
}
