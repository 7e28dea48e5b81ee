/** A cluster as `check` asks it, out of objects in memory: what a test does not name is not there. */

import { viewOf } from '../../src/checks/view.ts';
import type { InspectedPod, InspectedWebhooks, InspectedWorkload } from '../../src/cluster/index.ts';
import type { FailedCreate, InspectedCluster, WorkloadKind } from '../../src/cluster/inspect.ts';
import { documentsOf } from '../manifests/files.ts';

export interface Pretended {
  /** federation.yaml. */
  readonly settings: string;
  /** Beside `falco`, which has opted in. */
  readonly namespaces?: readonly {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
  }[];
  /** Of the opted-in namespace `falco`. */
  readonly pods?: readonly object[];
  /** Of the cluster's DNS. */
  readonly dns?: readonly object[];
  /** Of the namespace `falco-federation`. */
  readonly ours?: readonly object[];
  /** By `pod port/path`. */
  readonly pages?: Readonly<Record<string, string>>;
  readonly version?: () => Promise<void>;
  readonly dryRun?: InspectedCluster['dryRun'];
  /** By kind. */
  readonly workloads?: Readonly<Partial<Record<WorkloadKind, readonly object[]>>>;
  readonly failedCreates?: readonly FailedCreate[];
  /** By name of the Service. */
  readonly endpoints?: Readonly<Record<string, number>>;
  /** Of the webhook configuration, one look after the other. */
  readonly generations?: readonly number[];
  /** Resources that neither who asks nor the webhook's ServiceAccount may touch. */
  readonly forbidden?: readonly string[];
  /** Data by name. */
  readonly secrets?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly storageClasses?: readonly { readonly name: string; readonly isDefault: boolean }[];
  readonly postToPod?: InspectedCluster['postToPod'];
}

/** A pod that is ready, with named ports. */
export const podNamed = (
  name: string,
  ports: Readonly<Record<string, number>> = { health: 8080, metrics: 9090 },
) => ({
  metadata: { name },
  spec: {
    containers: [
      {
        name: 'program',
        ports: Object.entries(ports).map(([port, containerPort]) => ({ name: port, containerPort })),
      },
    ],
  },
  status: { conditions: [{ type: 'Ready', status: 'True' }] },
});

// Safe, here and below: what a test writes is what an API server would send.
const configuration = () => documentsOf('base/webhook-configuration.yaml')[0] as unknown as InspectedWebhooks;

export function pretendCluster({
  settings,
  namespaces = [],
  pods = [],
  dns = [],
  ours = [],
  pages = {},
  dryRun,
  workloads = {},
  failedCreates = [],
  endpoints = {},
  secrets = {},
  postToPod,
  version = async () => {},
  storageClasses = [],
  forbidden = [],
  generations = [],
}: Pretended) {
  const workloadsOf = (kind: WorkloadKind) => (workloads[kind] ?? []) as readonly InspectedWorkload[];
  let looks = 0;
  const cluster: InspectedCluster = {
    server: 'https://pretended',
    context: undefined,
    version: async () => {
      await version();
      return { text: 'v1.36.0', major: 1, minor: 36 };
    },
    user: async () => 'somebody',
    may: async ({ resource }) => !forbidden.includes(resource),
    accountMay: async (_, { resource }) => !forbidden.includes(resource),
    webhookConfigurations: async () => {
      const { metadata, ...rest } = configuration();
      const generation = generations[Math.min(looks++, generations.length - 1)];
      const changed =
        generation === undefined ? {} : { generation, managedFields: [{ manager: 'somebody-else' }] };
      return [{ ...rest, metadata: { ...metadata, ...changed } }];
    },
    storageClasses: async () => storageClasses,
    namespaces: async () => [
      { metadata: { name: 'falco', labels: { 'falco-federation.io/inject': 'enabled' } } },
      ...namespaces.map((metadata) => ({ metadata })),
    ],
    workloads: async (kind) => workloadsOf(kind),
    workload: async (kind, _, name) => workloadsOf(kind).find(({ metadata }) => metadata.name === name),
    failedCreates: async () => failedCreates,
    pods: async (namespace, selector = '') => {
      if (namespace === 'falco') return pods as readonly InspectedPod[];
      if (namespace === 'kube-system') return dns as readonly InspectedPod[];
      const [, name] = selector.split('=');
      return (ours as readonly InspectedPod[]).filter(({ metadata }) => metadata.name.startsWith(name ?? ''));
    },
    configMap: async () => ({ 'federation.yaml': settings }),
    secret: async (_, name) => {
      const data = secrets[name];
      return data && { data: new Map(Object.entries(data)) };
    },
    readyEndpoints: async (_, service) => endpoints[service],
    getFromPod: async (_, pod, port, path) => {
      const text = pages[`${pod} ${port}/${path}`];
      if (text === undefined) throw new Error(`${pod} has no ${port}/${path}`);
      return { status: 200, text };
    },
    postToPod:
      postToPod ??
      (async () => {
        throw new Error('nobody listens');
      }),
    dryRun: dryRun ?? (async (_, pod) => ({ ...pod, metadata: { name: 'made' } }) as InspectedPod),
  };
  return viewOf({
    ...{ cluster, namespace: undefined, now: Date.now },
    pause: async () => {},
  });
}
