/**
 * What a node's kubelet does for the pods of our own namespace: it mounts ConfigMaps and Secrets, starts each
 * container's program with its arguments, probes it, and writes the pod's status. The programs are the built one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { V1Container, V1Pod, V1Volume } from '@kubernetes/client-node';
import type { Api } from '../api.ts';
import { podsIn } from '../created-pods.ts';
import { program } from '../replica.ts';

type Files = Readonly<Record<string, string>>;

/** A folder whose files change all at once, as the kubelet mounts a ConfigMap or a Secret. */
class Mount {
  readonly folder: string;
  private version = 0;
  private now: Files = {};

  constructor(folder: string) {
    this.folder = mkdtempSync(join(folder, 'mount-'));
  }

  bring(files: Files): void {
    if (this.version > 0 && isDeepStrictEqual(files, this.now)) return;
    this.now = files;
    this.version += 1;
    const next = join(this.folder, `..${this.version}`);
    mkdirSync(next);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(next, name), text);
    symlinkSync(`..${this.version}`, join(this.folder, '..data_tmp'));
    renameSync(join(this.folder, '..data_tmp'), join(this.folder, '..data'));
    for (const name of Object.keys(files)) {
      try {
        symlinkSync(join('..data', name), join(this.folder, name));
      } catch {
        // It is there already.
      }
    }
  }
}

interface Running {
  readonly child: ChildProcess;
  readonly mounts: ReadonlyMap<string, Mount>;
  readonly ip: string;
  /** Container port → port on this machine; empty until it listens. */
  ports: ReadonlyMap<number, number>;
  ready: boolean;
  /** It was asked to end. */
  ending: boolean;
}

export interface Node {
  /** The port on this machine behind a pod's address, if its program listens. */
  readonly portAt: (address: string) => number | undefined;
  /** Ports on this machine behind a named port of the ready pods of an app. */
  readonly readyPorts: (app: string, port: number) => readonly number[];
  readonly stop: () => Promise<void>;
}

export interface NodeOptions {
  readonly api: Api;
  readonly namespace: string;
  readonly folder: string;
  /** Of the webhook's ServiceAccount. */
  readonly kubeconfig: string;
  /** That of the pod of `helm test`. */
  readonly testKubeconfig?: () => Promise<string>;
  /** Whether a pod that is deleted is asked to end and waited for; otherwise it is gone at once. */
  readonly graceful?: boolean;
}

const lookEvery = 150;

const started = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of started) child.kill('SIGKILL');
});

export function startNode(options: NodeOptions): Node {
  const { api, namespace, folder, kubeconfig, testKubeconfig, graceful = false } = options;
  const running = new Map<string, { readonly pod: V1Pod; readonly of: Running }>();
  /** Of pods that end, or never begin: they are looked at once. */
  const ends = new Set<string | undefined>();
  let made = 0;
  let stopped = false;
  const base = `/api/v1/namespaces/${namespace}`;

  /** Files of a volume; undefined where what it needs is not there. */
  async function filesOf({ configMap, secret }: V1Volume): Promise<Files | undefined> {
    const [path, optional] = configMap
      ? [`configmaps/${configMap.name}`, configMap.optional]
      : [`secrets/${secret?.secretName}`, secret?.optional];
    const { status, body } = await api.call('GET', `${base}/${path}`);
    if (status === 404) return optional ? {} : undefined;
    // Safe: a ConfigMap or a Secret is what was asked for.
    const { data = {} } = body as { data?: Record<string, string> };
    if (configMap) return data;
    return Object.fromEntries(
      Object.entries(data).map(([key, text]) => [key, Buffer.from(text, 'base64').toString('utf8')]),
    );
  }

  async function mountsOf(
    pod: V1Pod,
    before?: ReadonlyMap<string, Mount>,
  ): Promise<ReadonlyMap<string, Mount> | undefined> {
    const mounts = new Map<string, Mount>();
    for (const volume of pod.spec?.volumes ?? []) {
      if (volume.projected) continue;
      const mount = before?.get(volume.name) ?? new Mount(folder);
      mounts.set(volume.name, mount);
      if (volume.emptyDir) continue;
      const files = await filesOf(volume);
      if (files === undefined) return undefined;
      mount.bring(files);
    }
    return mounts;
  }

  /** The container's arguments, with the places on this machine that its mounts are. */
  function argsOf(container: V1Container, mounts: ReadonlyMap<string, Mount>): readonly string[] {
    return (container.args ?? []).map((arg) =>
      (container.volumeMounts ?? []).reduce(
        (text, { name, mountPath }) => text.replace(mountPath, mounts.get(name)?.folder ?? mountPath),
        arg.replaceAll('$(POD_NAMESPACE)', namespace),
      ),
    );
  }

  function launch(pod: V1Pod, container: V1Container, mounts: ReadonlyMap<string, Mount>): Running {
    made += 1;
    const args = argsOf(container, mounts);
    const isServing = args[0] === 'serve';
    const child = spawn(
      process.execPath,
      [
        ...[
          program,
          ...args,
          '--host',
          '127.0.0.1',
          '--port',
          '0',
          '--health-port',
          '0',
          '--metrics-port',
          '0',
        ],
        ...(isServing ? ['--kubeconfig', kubeconfig] : []),
      ],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: {
          PATH: process.env.PATH,
          POD_NAME: pod.metadata?.name,
          POD_NAMESPACE: namespace,
          NODE_ENV: 'production',
        },
      },
    );
    started.add(child);
    child.once('exit', () => started.delete(child));
    const one: Running = {
      child,
      mounts,
      ip: `10.0.${made >> 8}.${made & 255}`,
      ports: new Map(),
      ready: false,
      ending: false,
    };
    createInterface({ input: child.stdout }).on('line', (text) => {
      // Safe: the program's log is pino's.
      const line = JSON.parse(text) as { msg: string; port: number; healthPort: number; metricsPort: number };
      if (!['serving', 'forwarding', 'receiving'].includes(line.msg)) return;
      const here: Readonly<Record<string, number>> = { health: line.healthPort, metrics: line.metricsPort };
      one.ports = new Map(
        (container.ports ?? []).map(({ name = '', containerPort }) => [
          containerPort,
          here[name] ?? line.port,
        ]),
      );
    });
    return one;
  }

  async function writeStatus(pod: V1Pod, { ip, ready }: Running): Promise<void> {
    const is = ready ? 'True' : 'False';
    await api.call(
      'PATCH',
      `${base}/pods/${pod.metadata?.name}/status`,
      {
        status: {
          phase: 'Running',
          podIP: ip,
          podIPs: [{ ip }],
          conditions: [
            { type: 'Ready', status: is },
            { type: 'ContainersReady', status: is },
          ],
          containerStatuses: (pod.spec?.containers ?? []).map(({ name, image = '' }) => ({
            ...{ name, image, imageID: image, ready, restartCount: 0, started: true },
            state: { running: { startedAt: new Date().toISOString() } },
          })),
        },
      },
      'application/merge-patch+json',
    );
  }

  /** Said once, as the kubelet does not find it again and again. */
  async function notPulled(pod: V1Pod, { name, image }: V1Container): Promise<void> {
    if (ends.has(pod.metadata?.uid)) return;
    ends.add(pod.metadata?.uid);
    const state = { waiting: { reason: 'ImagePullBackOff', message: 'not found' } };
    await api.call(
      'PATCH',
      `${base}/pods/${pod.metadata?.name}/status`,
      {
        status: {
          ...{ phase: 'Pending', conditions: [{ type: 'Ready', status: 'False' }] },
          containerStatuses: [{ name, image, imageID: '', ready: false, restartCount: 0, state }],
        },
      },
      'application/merge-patch+json',
    );
  }

  /** A pod that ends: that of `helm test`. */
  async function runToItsEnd(pod: V1Pod, args: readonly string[], config: string): Promise<void> {
    const child = spawn(process.execPath, [program, ...args, '--kubeconfig', config], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    started.add(child);
    const code = await new Promise((resolve) => child.once('exit', resolve));
    started.delete(child);
    const status = { phase: code === 0 ? 'Succeeded' : 'Failed' };
    const path = `${base}/pods/${pod.metadata?.name}/status`;
    await api.call('PATCH', path, { status }, 'application/merge-patch+json');
  }

  async function isReady({ ports }: Running, health: number): Promise<boolean> {
    const port = ports.get(health);
    if (port === undefined) return false;
    return await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(1_000) }).then(
      ({ ok }) => ok,
      () => false,
    );
  }

  async function begin(pod: V1Pod): Promise<void> {
    const [container] = pod.spec?.containers ?? [];
    const mounts = await mountsOf(pod);
    const name = pod.metadata?.name ?? '';
    if (pod.spec?.nodeName === undefined) {
      const target = { apiVersion: 'v1', kind: 'Node', name: 'node-1' };
      await api.call('POST', `${base}/pods/${name}/binding`, { metadata: { name }, target });
    }
    // As the kubelet: it waits until what is to be mounted is there.
    if (container === undefined || mounts === undefined) return;
    if (container.image?.endsWith(':missing')) return await notPulled(pod, container);
    if (container.args?.[0] === 'check') {
      if (testKubeconfig === undefined || ends.has(pod.metadata?.uid)) return;
      ends.add(pod.metadata?.uid);
      void runToItsEnd(pod, container.args, await testKubeconfig());
      return;
    }
    const of = launch(pod, container, mounts);
    running.set(name, { pod, of });
    await writeStatus(pod, of);
  }

  async function goOn(pod: V1Pod, of: Running): Promise<void> {
    await mountsOf(pod, of.mounts);
    const health = pod.spec?.containers[0]?.ports?.find(({ name }) => name === 'health')?.containerPort ?? 0;
    const ready = await isReady(of, health);
    if (ready === of.ready) return;
    of.ready = ready;
    await writeStatus(pod, of);
  }

  function end(name: string): void {
    running.get(name)?.of.child.kill('SIGKILL');
    running.delete(name);
  }

  /** Whether a pod that is deleted has ended. */
  function hasEnded(of: Running | undefined): boolean {
    if (of === undefined || !graceful || of.child.exitCode !== null || of.child.signalCode !== null)
      return true;
    if (!of.ending) of.child.kill('SIGTERM');
    of.ending = true;
    return false;
  }

  async function lookAfter(pod: V1Pod, known: Running | undefined): Promise<void> {
    const name = pod.metadata?.name ?? '';
    if (pod.metadata?.deletionTimestamp === undefined) {
      await (known === undefined ? begin(pod) : goOn(pod, known));
    } else if (hasEnded(known)) {
      end(name);
      await api.call('DELETE', `${base}/pods/${name}?gracePeriodSeconds=0`);
    }
  }

  async function look(): Promise<void> {
    const pods = await podsIn(api, namespace);
    for (const pod of pods) await lookAfter(pod, running.get(pod.metadata?.name ?? '')?.of);
    for (const name of running.keys()) if (!pods.some(({ metadata }) => metadata?.name === name)) end(name);
  }

  const looking = (async () => {
    while (!stopped) {
      await look();
      await wait(lookEvery);
    }
  })();

  return {
    portAt: (address) => {
      const [ip, port] = address.split(':');
      return [...running.values()].find(({ of }) => of.ip === ip)?.of.ports.get(Number(port));
    },
    readyPorts: (app, port) =>
      [...running.values()]
        .filter(
          ({ pod, of }) => of.ready && !of.ending && pod.metadata?.labels?.['app.kubernetes.io/name'] === app,
        )
        .flatMap(({ of }) => of.ports.get(port) ?? []),
    stop: async () => {
      stopped = true;
      await looking;
      for (const name of [...running.keys()]) end(name);
    },
  };
}
