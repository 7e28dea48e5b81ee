/** A cluster of its own with everything in it: webhook, forwarder, a hub, a namespace with Falco. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import type { V1Pod } from '@kubernetes/client-node';
import { parseAllDocuments } from 'yaml';
import type { Line } from '../../../src/checks/line.ts';
import { check } from '../../../src/commands/check.ts';
import { isRecord } from '../../../src/injection/record.ts';
import { type TlsHub, tlsHub } from '../../forwarding/tls-hub.ts';
import { root } from '../../real/places.ts';
import { type Api, api as apiOf } from '../api.ts';
import { programPath } from '../control-plane/programs.ts';
import { type ControlPlane, startControlPlane } from '../control-plane.ts';
import { applyAndWait, makeNamespace, optedIn, ownChart, podsIn, workloadsIn } from '../created-pods.ts';
import { until } from '../replica.ts';
import { type Egress, startEgress, type Way } from './egress.ts';
import { type Node, startNode } from './node.ts';

export const namespace = 'falco-federation';
export const webhook = 'falco-federation-webhook';
export const forwarder = 'falco-federation-forwarder';
export const webhookPort = 8443;

const overlay = join(root, 'manifests/overlays/spoke');

export interface Found {
  readonly status: number;
  readonly lines: readonly Line[];
  readonly stderr: string;
}

export interface Stage {
  readonly controlPlane: ControlPlane;
  readonly api: Api;
  readonly egress: Egress;
  readonly node: Node;
  readonly hub: TlsHub;
  readonly kubectl: ControlPlane['kubectl'];
  /** The settings that everything begins with. */
  readonly settings: string;
  /** Where addresses lead when no way is cut. */
  readonly open: (address: string) => Way;
  /** Runs `check` with these flags, as the administrator unless they say otherwise. */
  readonly look: (...flags: readonly string[]) => Promise<Found>;
  /** Looks until nothing is wrong. */
  readonly well: () => Promise<void>;
  readonly patch: (kind: string, name: string, patch: object, of?: string) => Promise<void>;
  readonly setSettings: (text: string) => Promise<void>;
  /** Applies objects of a kind of the overlay again, over whatever was done to them. */
  readonly again: (kind: string) => Promise<void>;
  /** Runs a command that check told, with kubectl at hand. */
  readonly run: (command: string) => Promise<void>;
  /** Writes what a kubelet would write of a pod. */
  readonly setPodStatus: (pod: V1Pod, status: object) => Promise<void>;
  /** A pod of a namespace by the beginning of its name. */
  readonly pod: (of: string, beginning: string) => Promise<V1Pod>;
  /** Applies our own small chart to a new namespace. */
  readonly falcoIn: (of: string, isIn: boolean) => Promise<void>;
  /** Plays the kubelet of a namespace until its workloads are as they should be. */
  readonly rolledOut: (of: string) => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** What the forwarder's own manifests are, as far as it counts here; used where the tree has none yet. */
const statefulSet = {
  apiVersion: 'apps/v1',
  kind: 'StatefulSet',
  metadata: { name: forwarder, namespace },
  spec: {
    replicas: 2,
    serviceName: forwarder,
    podManagementPolicy: 'Parallel',
    selector: { matchLabels: { 'app.kubernetes.io/name': forwarder } },
    template: {
      metadata: { labels: { 'app.kubernetes.io/name': forwarder } },
      spec: {
        automountServiceAccountToken: false,
        securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
        containers: [
          {
            name: 'forwarder',
            image: 'falco-federation-webhook:0.1.0',
            args: [
              'forward',
              '--settings=/etc/falco-federation-webhook/federation.yaml',
              '--spool=/var/lib/falco-federation-forwarder',
              '--credentials=/etc/falco-federation-hub',
            ],
            ports: [
              { name: 'events', containerPort: 2801 },
              { name: 'health', containerPort: 8080 },
              { name: 'metrics', containerPort: 9090 },
            ],
            securityContext: {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ['ALL'] },
            },
            volumeMounts: [
              { name: 'settings', mountPath: '/etc/falco-federation-webhook' },
              { name: 'credentials', mountPath: '/etc/falco-federation-hub' },
              { name: 'spool', mountPath: '/var/lib/falco-federation-forwarder' },
            ],
          },
        ],
        volumes: [
          { name: 'settings', configMap: { name: webhook } },
          { name: 'credentials', secret: { secretName: 'falco-federation-hub', optional: true } },
          { name: 'spool', emptyDir: {} },
        ],
      },
    },
  },
};

function secretOf(name: string, data: Readonly<Record<string, string>>): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace },
    stringData: data,
  });
}

async function install(kubectl: ControlPlane['kubectl'], hub: TlsHub, settings: string): Promise<void> {
  await kubectl(['apply', '--server-side', '-k', overlay]);
  if (!existsSync(join(root, 'manifests/forwarder'))) {
    await kubectl(['apply', '--server-side', '-f', '-'], JSON.stringify(statefulSet));
  }
  const client = await hub.clientFor('staging', 90 * 86_400_000);
  const credentials = {
    'ca.crt': hub.authority.certificate,
    'tls.crt': client.certificate,
    'tls.key': client.key,
  };
  await kubectl(['apply', '--server-side', '-f', '-'], secretOf('falco-federation-hub', credentials));
  // Old replicas need not wait for new ones here.
  await kubectl([
    ...['patch', 'deployment', webhook, '--namespace', namespace, '--type=merge', '--patch'],
    JSON.stringify({ spec: { strategy: { type: 'Recreate', rollingUpdate: null } } }),
  ]);
  await kubectl([
    ...['patch', 'configmap', webhook, '--namespace', namespace, '--type=merge', '--patch'],
    JSON.stringify({ data: { 'federation.yaml': settings } }),
  ]);
}

interface RolledOut {
  readonly metadata: { readonly generation: number };
  readonly spec: { readonly replicas?: number };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly updatedReplicas?: number;
    readonly updatedNumberScheduled?: number;
    readonly desiredNumberScheduled?: number;
  };
}

function isDone({ metadata, spec, status = {} }: RolledOut): boolean {
  if (status.observedGeneration !== metadata.generation) return false;
  if (status.desiredNumberScheduled !== undefined)
    return status.updatedNumberScheduled === status.desiredNumberScheduled;
  return status.updatedReplicas === spec.replicas && status.replicas === spec.replicas;
}

/** Pods that are being deleted end, and all others become ready. Tells whether the controllers are done. */
export async function playKubelet(api: Api, of: string): Promise<boolean> {
  const pods = await podsIn(api, of);
  for (const { metadata, spec, status } of pods) {
    const path = `/api/v1/namespaces/${of}/pods/${metadata?.name}`;
    if (metadata?.deletionTimestamp !== undefined) await api.call('DELETE', `${path}?gracePeriodSeconds=0`);
    else if (!status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True')) {
      const ready = {
        ...{ phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
        containerStatuses: spec?.containers.map(({ name, image = '' }) => ({
          ...{ name, image, imageID: image, ready: true, restartCount: 0 },
          state: { running: { startedAt: new Date().toISOString() } },
        })),
      };
      await api.call('PATCH', `${path}/status`, { status: ready }, 'application/merge-patch+json');
    }
  }
  const lists = await Promise.all(
    ['daemonsets', 'deployments'].map((kind) => api.call('GET', `/apis/apps/v1/namespaces/${of}/${kind}`)),
  );
  // Safe: lists are what was asked for.
  const all = lists.flatMap(({ body }) => (body as { items: RolledOut[] }).items);
  return all.every(isDone) && pods.every(({ metadata }) => metadata?.deletionTimestamp === undefined);
}

/** Runs the command in this process. */
async function lookWith(kubeconfig: string, flags: readonly string[]): Promise<Found> {
  const out: string[] = [];
  const errors: string[] = [];
  const status = await check(
    ['-o', 'json', ...(flags.includes('--kubeconfig') ? [] : ['--kubeconfig', kubeconfig]), ...flags],
    {
      stdin: Readable.from([]),
      stdout: { write: (text) => out.push(text) },
      stderr: { write: (text) => errors.push(text) },
      env: {},
    },
  );
  const said = out.join('');
  // Safe: the command's own JSON.
  const { groups } = (said === '' ? { groups: [] } : JSON.parse(said)) as { groups: { lines: Line[] }[] };
  return { status, lines: groups.flatMap(({ lines }) => lines), stderr: errors.join('') };
}

function runShell(command: string, kubeconfig: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const env = {
      PATH: `${dirname(programPath('kubectl'))}:${process.env.PATH}`,
      KUBECONFIG: kubeconfig,
      HOME: tmpdir(),
    };
    execFile('bash', ['-c', command], { env, cwd: root }, (error, _stdout, stderr) =>
      error === null ? resolve() : reject(new Error(`${command}: ${stderr}`)),
    );
  });
}

/** Where the API server's calls of pods lead, and those of the webhook's Service, which go to one replica after the other. */
export function waysTo(node: Node): (address: string) => Way {
  let turn = 0;
  return (address) => {
    const port = node.portAt(address);
    if (port !== undefined) return { to: 'port', port };
    if (!address.endsWith(':443')) return { to: 'nobody' };
    const ports = node.readyPorts(webhook, webhookPort);
    turn += 1;
    const chosen = ports[turn % Math.max(1, ports.length)];
    return chosen === undefined ? { to: 'nobody' } : { to: 'port', port: chosen };
  };
}

export async function setStage(folder: string): Promise<Stage> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const egress = await startEgress(folder);
  const controlPlane = await startControlPlane(folder, {
    apiServerFlags: [egress.flag],
    controllers: ['endpointslice-controller'],
  });
  const api = apiOf(controlPlane);
  const { kubectl, kubeconfig } = controlPlane;
  const hub = await tlsHub({ asksForClients: true, days: 100 });
  const settings = `cluster: staging\nhub: {address: "${hub.address}"}\nforwarder: {spoolSize: 1Gi}\n`;
  await install(kubectl, hub, settings);
  const node = startNode({
    api,
    namespace,
    folder,
    kubeconfig: await controlPlane.serviceAccountKubeconfig(namespace, webhook),
  });
  const open = waysTo(node);
  egress.lead(open);

  const look = (...flags: readonly string[]) => lookWith(kubeconfig, flags);
  const pods = (of: string) => podsIn(api, of);
  const stage: Stage = {
    ...{ controlPlane, api, egress, node, hub, kubectl, settings, open, look },
    well: async () => {
      let last: Found | undefined;
      await until('nothing is wrong', async () => {
        last = await look();
        return last.status === 0;
      }).catch((failure: unknown) => {
        const wrong = last?.lines.filter(({ mark }) => mark === 'error');
        throw new Error(`${String(failure)}: ${JSON.stringify(wrong, null, 1)}`);
      });
    },
    patch: async (kind, name, patch, of = namespace) => {
      await kubectl([
        ...['patch', kind, name, '--namespace', of, '--type=strategic'],
        '--patch',
        JSON.stringify(patch),
      ]);
    },
    setSettings: (text) => stage.patch('configmap', webhook, { data: { 'federation.yaml': text } }),
    again: async (kind) => {
      const documents = parseAllDocuments(await kubectl(['kustomize', overlay])).map((one): unknown =>
        one.toJS(),
      );
      const found = documents.filter((one) => isRecord(one) && one.kind === kind);
      const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: found });
      await kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], list);
    },
    run: (command) => runShell(command, kubeconfig),
    setPodStatus: async ({ metadata }, status) => {
      const path = `/api/v1/namespaces/${metadata?.namespace}/pods/${metadata?.name}/status`;
      const { status: code, body } = await api.call(
        'PATCH',
        path,
        { status },
        'application/merge-patch+json',
      );
      assert.equal(code, 200, JSON.stringify(body));
    },
    pod: async (of, beginning) => {
      const named = (await pods(of)).filter(({ metadata }) => metadata?.name?.startsWith(beginning));
      // Falco's own has the shortest: falcosidekick's begin like it.
      const length = ({ metadata }: V1Pod): number => metadata?.name?.length ?? 0;
      const [found] = named.toSorted((one, other) => length(one) - length(other));
      return found ?? assert.fail(`no pod ${beginning}… in ${of}`);
    },
    falcoIn: async (of, isIn) => {
      await makeNamespace(api, of, isIn ? optedIn : {});
      await applyAndWait(controlPlane, api, workloadsIn(ownChart, 'own-chart'), of);
      await stage.rolledOut(of);
    },
    rolledOut: async (of) => {
      await until(`the workloads of ${of} are rolled out`, () => playKubelet(api, of));
    },
    stop: async () => {
      await node.stop();
      await hub.close();
      api.close();
      await controlPlane.stop();
      egress.close();
    },
  };
  try {
    await until('the webhook is ready', () => node.readyPorts(webhook, webhookPort).length === 2, 60_000);
    await until('the forwarder is ready', () => node.readyPorts(forwarder, 2801).length === 2);
    await until('the webhook answers', async () => {
      const { status } = await api.call(
        'GET',
        `/apis/apps/v1/namespaces/${namespace}/deployments/${webhook}`,
      );
      return status === 200;
    });
    await stage.falcoIn('falco', true);
    return stage;
  } catch (error) {
    await stage.stop();
    throw error;
  }
}
