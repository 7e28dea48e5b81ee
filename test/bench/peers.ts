/**
 * Other webhooks, loaded in the same rounds where an environment variable names their program. They answer the Falco
 * pod's review with what they inject: a comparison of what a call costs, not of what it does.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { serviceAccountFolder } from '../../src/cluster/in-cluster.ts';
import { freePorts } from '../real/free-ports.ts';
import { callOnce } from './load.ts';
import { mount, mountServiceAccount } from './mounted.ts';
import { type Started, start } from './processes.ts';
import { type Place, writeKubeconfig } from './webhook.ts';

export interface Peer extends Started {
  readonly name: string;
  readonly port: number;
  /** What is sent instead of the Falco pod's review: the same with what makes the peer inject. */
  readonly body: string;
}

interface Kind {
  readonly name: string;
  /** Of the environment: its program. */
  readonly variable: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** Puts what it wants to find in place, and says how it is started. */
  readonly prepare: (place: Place, ports: { readonly own: number; readonly apiServer: string }) => Command;
}

interface Command {
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const cannotMount = (folder: string): Error =>
  new Error(`${folder} cannot be made for a peer of the benchmark: it is there, or this is not root`);

const kinds: readonly Kind[] = [
  {
    name: 'vault-k8s agent-inject',
    variable: 'VAULT_K8S_BINARY',
    annotations: { 'vault.hashicorp.com/agent-inject': 'true', 'vault.hashicorp.com/role': 'falco' },
    prepare: ({ ca, certificate, key }, { own, apiServer }) => {
      if (!mountServiceAccount(ca)) throw cannotMount("a service account's folder");
      return {
        args: [
          ...['agent-inject', '-listen', `127.0.0.1:${own}`, '-vault-address', 'https://vault.example.org'],
          ...['-tls-cert-file', certificate, '-tls-key-file', key],
        ],
        env: { KUBERNETES_SERVICE_HOST: 'localhost', KUBERNETES_SERVICE_PORT: apiServer, NAMESPACE: 'vault' },
      };
    },
  },
  {
    name: 'linkerd proxy-injector',
    variable: 'LINKERD_CONTROLLER_BINARY',
    annotations: { 'linkerd.io/inject': 'enabled' },
    prepare: ({ folder, ca, certificate, key }, { own, apiServer }) => {
      const base = '/var/run/linkerd';
      const tls = { 'tls.crt': readFileSync(certificate, 'utf8'), 'tls.key': readFileSync(key, 'utf8') };
      const isThere =
        mount(`${base}/tls`, tls) &&
        mount(`${base}/identity/trust-roots`, { 'ca-bundle.crt': ca }) &&
        mount(`${base}/config`, { values: linkerdValues() });
      if (!isThere) throw cannotMount(base);
      const kubeconfig = join(folder, 'linkerd-kubeconfig');
      writeKubeconfig(kubeconfig, `https://localhost:${apiServer}`, ca);
      return {
        args: [
          ...['proxy-injector', '-addr', `127.0.0.1:${own}`, '-metrics-addr', '127.0.0.1:0'],
          ...['-kubeconfig', kubeconfig],
        ],
      };
    },
  },
];

/** The values of linkerd's chart, which a cluster has in a ConfigMap. */
function linkerdValues(): string {
  const file = process.env.LINKERD_VALUES;
  if (file === undefined)
    throw new Error("LINKERD_VALUES: must name the values.yaml of linkerd's control plane chart");
  return readFileSync(file, 'utf8');
}

/** The review with annotations, and with the token's volume that the API server adds before it calls a webhook. */
function prepared(review: string, annotations: Readonly<Record<string, string>>): string {
  const parsed = JSON.parse(review);
  const { metadata, spec } = parsed.request.object;
  metadata.annotations = { ...metadata.annotations, ...annotations };
  const token = { name: 'kube-api-access-bench', mountPath: serviceAccountFolder, readOnly: true };
  spec.volumes = [...(spec.volumes ?? []), { name: token.name, emptyDir: {} }];
  for (const container of spec.containers)
    container.volumeMounts = [...(container.volumeMounts ?? []), token];
  return JSON.stringify(parsed);
}

async function startPeer(kind: Kind, program: string, place: Place, falco: string): Promise<Peer> {
  const apiServer = await start(
    [process.execPath, join(import.meta.dirname, 'peer-api-server.ts'), place.certificate, place.key],
    /port (\d+)/,
  );
  const [port = 0] = await freePorts(1);
  const { args, env } = kind.prepare(place, { own: port, apiServer: apiServer.match[1] ?? '' });
  const { pid, stop } = await start([program, ...args], /./, { GOMAXPROCS: '1', ...env });
  const body = prepared(falco, kind.annotations);
  const answer = await untilAnswered({ port, ca: place.ca, body });
  if (!answer.includes('"patch":')) throw new Error(`${kind.variable}: ${program} did not inject: ${answer}`);
  return {
    ...{ name: kind.name, pid, port, body },
    stop: async () => {
      await stop();
      await apiServer.stop();
    },
  };
}

/** They listen some time before they have read their certificate and their caches. */
async function untilAnswered(called: Parameters<typeof callOnce>[0]): Promise<string> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await callOnce(called);
    } catch (error) {
      if (tries === 100) throw error;
      await wait(100);
    }
  }
}

/** Those whose programs are given. Throws for a program that does not inject. */
export async function startPeers(place: Place, falco: string): Promise<readonly Peer[]> {
  const peers: Peer[] = [];
  for (const kind of kinds) {
    const program = process.env[kind.variable];
    if (program !== undefined) peers.push(await startPeer(kind, program, place, falco));
  }
  return peers;
}

/** What a reader of the figures must know about peers that are not there. */
export const missingPeers: readonly string[] = kinds
  .filter(({ variable }) => process.env[variable] === undefined)
  .map(({ name, variable }) => `${name} was not compared: ${variable} names no program`);
