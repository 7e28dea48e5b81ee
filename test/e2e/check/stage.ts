/** A cluster of its own with everything in it: webhook, forwarder, a hub, a namespace with Falco. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import type { V1Pod } from '@kubernetes/client-node';
import type { Line } from '../../../src/checks/line.ts';
import { check } from '../../../src/commands/check.ts';
import { type TlsHub, tlsHub } from '../../forwarding/tls-hub.ts';
import { root } from '../../real/places.ts';
import { temporaryFolder } from '../../temporary-folder.ts';
import { type Api, api as apiOf } from '../api.ts';
import { programPath } from '../control-plane/programs.ts';
import { type ControlPlane, startControlPlane } from '../control-plane.ts';
import { applyAndWait, makeNamespace, optedIn, ownChart, podsIn, workloadsIn } from '../created-pods.ts';
import { program, until } from '../replica.ts';
import { type Egress, startEgress, type Way } from './egress.ts';
import { startLogs } from './logs.ts';
import { type Node, startNode } from './node.ts';

export const namespace = 'falco-federation';
export const webhook = 'falco-federation-webhook';
export const forwarder = 'falco-federation-forwarder';
export const webhookPort = 8443;

/** Milliseconds until something shows: nothing here takes long, unless the machine is busy with something else. */
export const patience = 120_000;

const overlay = join(root, 'manifests/overlays/spoke');

export interface Found {
  readonly status: number;
  readonly lines: readonly Line[];
  readonly stderr: string;
}

/** How somebody runs a command: in a folder, with a script of `sed` for what it edits. */
export interface How {
  readonly cwd?: string;
  readonly script?: string;
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
  /** Looks until nothing is wrong, and there is nothing to look at. */
  readonly well: () => Promise<void>;
  readonly patch: (kind: string, name: string, patch: object, of?: string) => Promise<void>;
  readonly setSettings: (text: string) => Promise<void>;
  /** The folder in which somebody has the federation's certificates: `certs`, with the hub's authority. */
  readonly office: string;
  /** Runs a command that check told, with kubectl and falco-federation at hand. */
  readonly run: (command: string, how?: How) => Promise<void>;
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

/** Somebody's machine, with the authority of the hub and our program. */
function makeOffice({ authority }: TlsHub): string {
  const office = temporaryFolder('office-');
  for (const folder of ['bin', 'certs']) mkdirSync(join(office, folder));
  writeFileSync(join(office, 'certs/federation-ca.crt'), authority.certificate);
  writeFileSync(join(office, 'certs/federation-ca.key'), authority.key, { mode: 0o600 });
  const start = `#!/bin/sh\nexec ${process.execPath} ${program} "$@"\n`;
  writeFileSync(join(office, 'bin/falco-federation'), start, { mode: 0o755 });
  return office;
}

async function install({ kubectl }: ControlPlane, settings: string): Promise<void> {
  await kubectl(['apply', '--server-side', '-k', overlay]);
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
    if (spec?.nodeName === undefined) {
      const target = { apiVersion: 'v1', kind: 'Node', name: 'node-1' };
      await api.call('POST', `${path}/binding`, { metadata: { name: metadata?.name }, target });
    }
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

function runShell(
  command: string,
  kubeconfig: string,
  office: string,
  { script = '', cwd = root }: How = {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    const env = {
      PATH: `${office}/bin:${dirname(programPath('kubectl'))}:${process.env.PATH}`,
      KUBECONFIG: kubeconfig,
      HOME: tmpdir(),
      KUBE_EDITOR: `sed -i '${script}'`,
    };
    execFile('bash', ['-o', 'pipefail', '-c', command], { env, cwd }, (error, _stdout, stderr) =>
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
  const office = makeOffice(hub);
  const run: Stage['run'] = (command, how) => runShell(command, kubeconfig, office, how);
  await install(controlPlane, settings);
  const made = 'certs/spokes/staging/secret.yaml';
  await run(`falco-federation certs spoke staging && kubectl apply -f ${made}`, { cwd: office });
  const node = startNode({
    api,
    namespace,
    folder,
    kubeconfig: await controlPlane.serviceAccountKubeconfig(namespace, webhook),
  });
  const logs = await startLogs(api);
  const ways = waysTo(node);
  const open = (address: string): Way =>
    address === logs.at ? { to: 'port', port: logs.port } : ways(address);
  egress.lead(open);

  const look = (...flags: readonly string[]) => lookWith(kubeconfig, flags);
  const pods = (of: string) => podsIn(api, of);
  const stage: Stage = {
    ...{ controlPlane, api, egress, node, hub, kubectl, settings, open, look, office, run },
    well: async () => {
      let last: Found | undefined;
      const isSo = async (): Promise<boolean> => {
        last = await look();
        return last.lines.every(({ mark }) => mark === 'ok');
      };
      await until('nothing is wrong', isSo, patience).catch((failure: unknown) => {
        const wrong = last?.lines.filter(({ mark }) => mark !== 'ok');
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
      await until(`the workloads of ${of} are rolled out`, () => playKubelet(api, of), patience);
    },
    stop: async () => {
      await node.stop();
      await hub.close();
      logs.close();
      api.close();
      await controlPlane.stop();
      egress.close();
    },
  };
  try {
    await until('the webhook is ready', () => node.readyPorts(webhook, webhookPort).length === 2, patience);
    await until('the forwarder is ready', () => node.readyPorts(forwarder, 2801).length === 2, patience);
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
