/**
 * Two replicas of the built program behind the manifests' webhook configuration. What their nodes and the cluster
 * would do is done here: the kubelet's readiness probes, the ConfigMap's mount, the EndpointSlice and the Service.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { V1Deployment } from '@kubernetes/client-node';
import { type MountedSettings, mountSettings } from '../settings/mounted-settings.ts';
import type { Api } from './api.ts';
import { type Replica, startReplica, until } from './replica.ts';
import { type Service, startService } from './service.ts';

export const namespace = 'falco-federation';
export const appName = 'falco-federation-webhook';

export interface Installation {
  readonly service: Service;
  readonly settings: MountedSettings;
  readonly replicas: () => readonly Replica[];
  /** Starts one more; resolves when it is ready and gets calls. */
  readonly add: () => Promise<Replica>;
  /** As a deleted pod: SIGTERM at once, and no new calls after the cluster has heard of it. */
  readonly remove: (replica: Replica) => Promise<number | string>;
  /** As a crash: no new calls from `noticed` milliseconds after it. */
  readonly kill: (replica: Replica, noticed: number) => Promise<void>;
  /** Flags of replicas that are started from now on. */
  readonly useFlags: (flags: readonly string[]) => void;
  readonly stop: () => Promise<void>;
}

/** Milliseconds between two probes, and until a node hears that an endpoint is going. */
const probeEvery = 250;
const propagation = 1_000;

interface Options {
  readonly folder: string;
  readonly kubeconfig: string;
  readonly api: Api;
  readonly settings: string;
  readonly flags: readonly string[];
  /** Where the API server calls the Service. */
  readonly address: { readonly host: string; readonly port: number };
}

/** Resolves with no replica yet: `add` them. */
export async function startInstallation(options: Options): Promise<Installation> {
  const { folder, kubeconfig, api, settings, flags, address } = options;
  const service = await startService(address.host, address.port);
  const mounted = mountSettings(folder, settings);
  const replicas: Replica[] = [];
  /** Pods that are deleted or dead, and what the cluster has heard of that. */
  const unheard = new Set<Replica>();
  const leaving = new Set<Replica>();
  let ready: readonly Replica[] = [];
  let currentFlags = flags;
  let made = 0;
  let stopped = false;

  const slices = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`;

  /** Addresses are made up (the API server refuses loopback); names are what the program reads. */
  async function writeSlice(): Promise<void> {
    const slice = {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `${appName}-e2e`, namespace, labels: { 'kubernetes.io/service-name': appName } },
      addressType: 'IPv4',
      ports: [{ name: 'webhook', port: 8443 }],
      endpoints: replicas.map((replica) => ({
        addresses: [`10.0.0.${(Number(replica.name.split('-').at(-1)) % 250) + 1}`],
        conditions: { ready: ready.includes(replica), terminating: leaving.has(replica) },
        targetRef: { kind: 'Pod', name: replica.name, namespace },
      })),
    };
    const { status } = await api.call('PUT', `${slices}/${appName}-e2e`, slice);
    if (status === 404) await api.call('POST', slices, slice);
  }

  /** The pod that a replica stands for, as the Deployment makes them: it reads its image there. Nobody runs it. */
  async function makePod(name: string): Promise<void> {
    const { body } = await api.call('GET', `/apis/apps/v1/namespaces/${namespace}/deployments/${appName}`);
    // Safe: it was applied before.
    const { spec } = (body as V1Deployment).spec?.template ?? {};
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace }, spec };
    const { status } = await api.call('POST', `/api/v1/namespaces/${namespace}/pods`, pod);
    if (status !== 201) throw new Error(`pod ${name}: ${status}`);
  }

  async function publish(next: readonly Replica[]): Promise<void> {
    ready = next;
    service.route(next);
    // An API server that is away gets it with the next change.
    await writeSlice().catch(() => {});
  }

  async function probe(): Promise<void> {
    const now: Replica[] = [];
    for (const replica of replicas) {
      const isIn = unheard.has(replica) ? ready.includes(replica) : await replica.isReady();
      if (isIn && !leaving.has(replica)) now.push(replica);
    }
    const isSame = now.length === ready.length && now.every((replica, at) => replica === ready[at]);
    if (!isSame) await publish(now);
  }

  const probing = (async () => {
    while (!stopped) {
      await probe();
      await wait(probeEvery);
    }
  })();

  async function hear(replica: Replica): Promise<void> {
    unheard.delete(replica);
    leaving.add(replica);
    if (ready.includes(replica)) await publish(ready.filter((one) => one !== replica));
  }

  function forget(replica: Replica): void {
    leaving.delete(replica);
    replicas.splice(replicas.indexOf(replica), 1);
  }

  return {
    service,
    settings: mounted,
    replicas: () => replicas,
    add: async () => {
      made += 1;
      const name = `${appName}-e2e-${made}`;
      await makePod(name);
      const replica = await startReplica({
        name,
        settings: mounted.file,
        kubeconfig,
        flags: currentFlags,
      });
      replicas.push(replica);
      await until(`${replica.name} is ready and gets calls`, () => ready.includes(replica)).catch(
        async (error: unknown) => {
          throw new Error(`${String(error)}\n${await replica.readiness()}`);
        },
      );
      return replica;
    },
    remove: async (replica) => {
      unheard.add(replica);
      const ended = replica.end('SIGTERM');
      await wait(propagation);
      await hear(replica);
      const how = await ended;
      forget(replica);
      return how;
    },
    kill: async (replica, noticed) => {
      unheard.add(replica);
      if (noticed === 0) await hear(replica);
      service.passOver(false);
      await replica.end('SIGKILL');
      await wait(noticed);
      await hear(replica);
      service.passOver(true);
      forget(replica);
    },
    useFlags: (next) => {
      currentFlags = next;
    },
    stop: async () => {
      stopped = true;
      await probing;
      await Promise.all(replicas.map((replica) => replica.end('SIGKILL')));
      service.close();
    },
  };
}
