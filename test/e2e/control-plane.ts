/**
 * A real control plane on this machine (FACTS 6): etcd, kube-apiserver and kube-controller-manager, on loopback.
 * There is one node, which nobody works on: pods are created by the controllers and stay Pending.
 */
import { execFile } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { freePorts } from '../real/free-ports.ts';
import { writeKubeconfig } from './control-plane/kubeconfig.ts';
import {
  findProgram,
  type ProgramName,
  programPath,
  type RunningProgram,
  startProgram,
} from './control-plane/programs.ts';

export interface KubectlResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ControlPlane {
  readonly url: string;
  /** PEM. */
  readonly ca: string;
  /** Of an administrator; so is the kubeconfig. */
  readonly token: string;
  readonly kubeconfig: string;
  /** kubectl as the administrator, with `input` as its standard input. Returns what it wrote; throws when it fails. */
  readonly kubectl: (args: readonly string[], input?: string) => Promise<string>;
  /** The same, whatever its exit status. */
  readonly tryKubectl: (args: readonly string[], input?: string) => Promise<KubectlResult>;
  /** A kubeconfig file of a ServiceAccount, with a token of an hour. */
  readonly serviceAccountKubeconfig: (namespace: string, name: string) => Promise<string>;
  /** All that kube-apiserver has written to its log. */
  readonly apiServerLog: () => string;
  /** As a crash: killed, and started again on the same port. Resolves when it is ready. */
  readonly restartApiServer: () => Promise<void>;
  /** Kills all of it. The folder stays, with the logs. */
  readonly stop: () => Promise<void>;
}

/** Programs that are not on this machine; empty when a control plane can be started. */
export function missingPrograms(): readonly string[] {
  const needed: readonly ProgramName[] = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl'];
  return needed.filter((name) => findProgram(name) === undefined);
}

/**
 * Addresses of Services. All of 127.0.0.0/8 is this machine: whoever listens on a Service's cluster address is called
 * by the API server as in a cluster, with the Service in the webhook configuration and its name in the certificate.
 */
const serviceAddresses = '127.96.0.0/16';

/** What creates pods, and what makes and removes things around them. */
const controllers = [
  'daemonset-controller',
  'deployment-controller',
  'replicaset-controller',
  'statefulset-controller',
  'job-controller',
  'cronjob-controller',
  'disruption-controller',
  // Without it claims of the manifests' volumes would never go, nor would their namespace.
  'persistentvolumeclaim-protection-controller',
  'namespace-controller',
  'garbage-collector-controller',
  'serviceaccount-controller',
  // The quota's admission waits for a quota's status, which this one writes.
  'resourcequota-controller',
  'root-ca-certificate-publisher-controller',
];

const patience = 180_000;

/** Waits for something that a program brings about. Throws with the end of the program's log when it does not. */
async function waitFor(what: string, program: RunningProgram, isSo: () => Promise<boolean>): Promise<void> {
  const until = Date.now() + patience;
  while (program.ended() === undefined && Date.now() < until) {
    if (await isSo().catch(() => false)) return;
    await wait(100);
  }
  const why = program.ended() ?? `not within ${patience / 1000} s`;
  throw new Error(`${what}: ${why}\n${program.lastLines()}`);
}

/** Files that the programs share, in one folder. */
function prepare(folder: string) {
  const file = (name: string): string => join(folder, name);
  mkdirSync(folder, { recursive: true });
  // What a run before this one left: its certificate and accounts are not this one's.
  for (const left of ['etcd', 'api-server']) rmSync(file(left), { recursive: true, force: true });
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  writeFileSync(file('service-accounts.pub'), publicKey);
  writeFileSync(file('service-accounts.key'), privateKey, { mode: 0o600 });
  const token = randomBytes(16).toString('hex');
  writeFileSync(file('tokens.csv'), `${token},admin,admin,system:masters\n`, { mode: 0o600 });
  return {
    token,
    file,
    log: (program: ProgramName): string => file(`${program}.log`),
    /** The API server makes it at its first start: its certificate and the authority that signed it. */
    caFile: file('api-server/apiserver.crt'),
  };
}

type Files = ReturnType<typeof prepare>;

async function startEtcd({ file, log }: Files): Promise<{ etcd: RunningProgram; etcdUrl: string }> {
  const [clients, peers] = await freePorts(2);
  const etcdUrl = `http://127.0.0.1:${clients}`;
  const peerUrl = `http://127.0.0.1:${peers}`;
  const etcd = startProgram(
    'etcd',
    [
      ...['--data-dir', file('etcd'), '--logger', 'zap', '--log-level', 'warn'],
      ...['--listen-client-urls', etcdUrl, '--advertise-client-urls', etcdUrl],
      ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
      ...['--initial-cluster', `default=${peerUrl}`],
    ],
    log('etcd'),
  );
  await waitFor('etcd is healthy', etcd, async () => (await fetch(`${etcdUrl}/health`)).ok);
  return { etcd, etcdUrl };
}

function startApiServer(
  { file, log }: Files,
  port: number,
  etcdUrl: string,
  more: readonly string[],
): RunningProgram {
  return startProgram(
    'kube-apiserver',
    [
      `--etcd-servers=${etcdUrl}`,
      ...['--bind-address=127.0.0.1', '--advertise-address=127.0.0.1', `--secure-port=${port}`],
      `--cert-dir=${file('api-server')}`,
      `--service-cluster-ip-range=${serviceAddresses}`,
      // It would write its own address, which must not be a loopback one, into the endpoints of `kubernetes`.
      '--endpoint-reconciler-type=none',
      '--authorization-mode=RBAC',
      `--token-auth-file=${file('tokens.csv')}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${file('service-accounts.pub')}`,
      `--service-account-signing-key-file=${file('service-accounts.key')}`,
      // Falco's pods are.
      '--allow-privileged=true',
      ...more,
    ],
    log('kube-apiserver'),
  );
}

function startControllers(
  { file, log, caFile }: Files,
  kubeconfig: string,
  more: readonly string[],
): RunningProgram {
  return startProgram(
    'kube-controller-manager',
    [
      ...[`--kubeconfig=${kubeconfig}`, '--leader-elect=false', '--secure-port=0'],
      `--controllers=${[...controllers, ...more].join(',')}`,
      `--service-account-private-key-file=${file('service-accounts.key')}`,
      `--root-ca-file=${caFile}`,
    ],
    log('kube-controller-manager'),
  );
}

function runKubectl(kubeconfig: string, cache: string) {
  const always = ['--kubeconfig', kubeconfig, '--cache-dir', cache];
  const run = (args: readonly string[], input = ''): Promise<KubectlResult> =>
    new Promise((resolve) => {
      const child = execFile(
        programPath('kubectl'),
        [...always, ...args],
        {
          maxBuffer: 64 * 1024 * 1024,
          timeout: patience,
          killSignal: 'SIGKILL',
          env: { PATH: process.env.PATH },
        },
        (error, stdout, stderr) => {
          const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
          resolve({ status, stdout, stderr: status === -1 ? `${stderr}${error?.message}` : stderr });
        },
      );
      // kubectl may end before it has read all.
      child.stdin?.on('error', () => {});
      child.stdin?.end(input);
    });
  const must = async (args: readonly string[], input?: string): Promise<string> => {
    const { status, stdout, stderr } = await run(args, input);
    if (status === 0) return stdout;
    throw new Error(`kubectl ${args.join(' ')}: exit ${status}\n${stderr.trim()}`);
  };
  return { run, must };
}

/** A node that takes pods. Without its taint off no DaemonSet makes any (FACTS 6.3). */
async function addNode(kubectl: ControlPlane['kubectl']): Promise<void> {
  const labels = {
    'kubernetes.io/hostname': 'node-1',
    'kubernetes.io/os': 'linux',
    'kubernetes.io/arch': 'amd64',
  };
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-1', labels } };
  await kubectl(['create', '-f', '-'], JSON.stringify(node));
  await kubectl(['patch', 'node', 'node-1', '--patch', '{"spec":{"taints":null}}']);
}

/** What a control plane has beyond the usual. */
export interface MoreOfIt {
  readonly apiServerFlags?: readonly string[];
  readonly controllers?: readonly string[];
}

/** Starts a control plane whose files and logs lie in a folder of its own. */
export async function startControlPlane(folder: string, more: MoreOfIt = {}): Promise<ControlPlane> {
  const files = prepare(folder);
  const programs = new Map<ProgramName, RunningProgram>();
  const stop = async (): Promise<void> => {
    // The database last: the others would tell of nothing else than its absence.
    for (const program of [...programs.values()].reverse()) await program.kill();
  };
  try {
    const { etcd, etcdUrl } = await startEtcd(files);
    programs.set('etcd', etcd);
    const [port = 0] = await freePorts(1);
    const url = `https://127.0.0.1:${port}`;
    const kubeconfig = files.file('admin.kubeconfig');
    writeKubeconfig(kubeconfig, { url, caFile: files.caFile, token: files.token });
    const { run, must } = runKubectl(kubeconfig, files.file('kubectl'));

    const startApi = async (): Promise<void> => {
      const apiServer = startApiServer(files, port, etcdUrl, more.apiServerFlags ?? []);
      programs.set('kube-apiserver', apiServer);
      await waitFor('kube-apiserver is ready', apiServer, async () => {
        return existsSync(files.caFile) && (await run(['get', '--raw', '/readyz'])).status === 0;
      });
    };
    await startApi();
    const controllerManager = startControllers(files, kubeconfig, more.controllers ?? []);
    programs.set('kube-controller-manager', controllerManager);
    await waitFor('kube-controller-manager makes service accounts', controllerManager, async () => {
      return (await run(['get', 'serviceaccount/default', 'configmap/kube-root-ca.crt'])).status === 0;
    });
    await addNode(must);

    return {
      url,
      ca: readFileSync(files.caFile, 'utf8'),
      token: files.token,
      kubeconfig,
      kubectl: must,
      tryKubectl: run,
      serviceAccountKubeconfig: async (namespace, name) => {
        const token = (
          await must(['create', 'token', name, '--namespace', namespace, '--duration=1h'])
        ).trim();
        const file = files.file(`${namespace}-${name}.kubeconfig`);
        writeKubeconfig(file, { url, caFile: files.caFile, token });
        return file;
      },
      apiServerLog: () => readFileSync(files.log('kube-apiserver'), 'utf8'),
      restartApiServer: async () => {
        await programs.get('kube-apiserver')?.kill();
        await startApi();
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
