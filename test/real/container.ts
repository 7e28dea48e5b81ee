/** Runs one of a pod's containers with runc, in our image. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { V1Container, V1Pod } from '@kubernetes/client-node';
import type { BuiltImage } from './built-image.ts';
import { type Finished, must, run } from './machine.ts';
import { cache, scratchFolder } from './places.ts';
import { runtimeConfig } from './runtime-config.ts';

export interface Ran extends Finished {
  /** What the container left in its termination message file. */
  readonly terminationMessage: string;
}

export interface Where {
  readonly image: BuiltImage;
  readonly pod: V1Pod;
  /** The pod's volumes by name, as folders on this machine. */
  readonly volumes: ReadonlyMap<string, string>;
  /** How names are resolved in the pod; by /etc/hosts alone if not said, and only `localhost`. */
  readonly names?: { readonly hosts?: string; readonly resolvConf?: string };
}

/** Runs the container to its end, a minute at most. A container that cannot be created ends with runc's status 1. */
export function runContainer(where: Where, container: V1Container): Promise<Ran> {
  return inBundle(where, container, ({ bundle, id, runc }) => {
    const finished = run('runc', [...runc, 'run', '--bundle', bundle, id], { timeout: 60_000 });
    return { ...finished, terminationMessage: readFileSync(join(bundle, 'termination-log'), 'utf8') };
  });
}

/** Creates the container (all its mounts made, its program found) and takes it away again. Throws if it cannot be. */
export function createContainer(where: Where, container: V1Container): Promise<void> {
  return inBundle(where, container, ({ bundle, id, runc }) => {
    // Its output goes to a file: a created container keeps it open, and waiting for a pipe to close would hang.
    must('sh', [
      ...['-c', 'log="$1"; shift; "$@" > "$log" 2>&1 < /dev/null || { cat "$log" >&2; exit 1; }', 'sh'],
      ...[join(bundle, 'log'), 'runc', ...runc, 'create', '--bundle', bundle, id],
    ]);
    must('runc', [...runc, 'delete', '--force', id]);
  });
}

/** A container that runs. */
export interface Running {
  /** Its first process, as this machine numbers it. Throws while there is none. */
  readonly pid: () => number;
  /** Asks it to stop, as kubelet does (SIGTERM). */
  readonly stop: () => void;
  /** What it has said on standard error so far. */
  readonly said: () => string;
}

/** Runs the container while `use` does, which stops it and returns how it ended. */
export function whileRunning(
  where: Where,
  container: V1Container,
  use: (running: Running) => Promise<void>,
): Promise<Omit<Finished, 'took'>> {
  return inBundle(where, container, async ({ bundle, id, runc }) => {
    const child = spawn('runc', [...runc, 'run', '--bundle', bundle, id], {
      timeout: 3_600_000,
      killSignal: 'SIGKILL',
    });
    let said = '';
    child.stderr.on('data', (chunk) => {
      said += chunk;
    });
    const ended = Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]);
    try {
      const early = ended.then(() => Promise.reject(new Error('it ended before it was asked to')));
      let stopped = false;
      const used = use({
        // Safe: runc prints this object.
        pid: () => (JSON.parse(must('runc', [...runc, 'state', id])) as { pid: number }).pid,
        stop: () => {
          stopped = true;
          must('runc', [...runc, 'kill', id, 'TERM']);
        },
        said: () => said,
      });
      await Promise.race([used, early.catch((error) => (stopped ? used : Promise.reject(error)))]);
    } catch (error) {
      run('runc', [...runc, 'kill', id, 'KILL']);
      const [, stdout, stderr] = await ended;
      throw new Error(`${error instanceof Error ? error.message : String(error)}\n${stdout}${stderr}`, {
        cause: error,
      });
    }
    const [[status], stdout, stderr] = await ended;
    return { status: typeof status === 'number' ? status : -1, stdout, stderr };
  });
}

interface Bundle {
  readonly bundle: string;
  /** The container's id for runc. */
  readonly id: string;
  /** What each runc command begins with. */
  readonly runc: readonly string[];
}

let made = 0;

/** Makes a bundle with its own copy of the image (hard links), as runc makes mount points in it; and removes it. */
async function inBundle<T>(
  { image, pod, volumes, names = {} }: Where,
  container: V1Container,
  use: (bundle: Bundle) => T | Promise<T>,
): Promise<T> {
  const bundle = scratchFolder('bundle-');
  const id = `falco-federation-real-${process.pid}-${made++}`;
  const runc = ['--root', join(cache, 'runc')];
  try {
    const rootfs = join(bundle, 'rootfs');
    must('cp', ['--archive', '--link', image.rootfs, rootfs]);
    const terminationLog = join(bundle, 'termination-log');
    writeFileSync(terminationLog, '');
    chmodSync(terminationLog, 0o666);
    const hosts = join(bundle, 'hosts');
    const resolvConf = join(bundle, 'resolv.conf');
    writeFileSync(hosts, `127.0.0.1 localhost\n${names.hosts ?? ''}`, { mode: 0o644 });
    writeFileSync(resolvConf, names.resolvConf ?? '', { mode: 0o644 });
    const { config } = image;
    const runtime = runtimeConfig({
      pod,
      container,
      image: config,
      rootfs,
      volumes,
      terminationLog,
      files: { '/etc/hosts': hosts, '/etc/resolv.conf': resolvConf },
      resolve,
    });
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(runtime));
    return await use({ bundle, id, runc });
  } finally {
    run('runc', [...runc, 'delete', '--force', id]);
    rmSync(bundle, { recursive: true, force: true });
  }
}

/** As kubelet finds what to mount for a subPath: a folder that is not there is made, links must stay in the volume. */
function resolve(folder: string, subPath: string): string {
  const path = join(folder, subPath);
  if (!existsSync(path)) mkdirSync(path, { recursive: true });
  const found = realpathSync(path);
  if (!found.startsWith(`${realpathSync(folder)}/`)) throw new Error(`subPath ${subPath} leaves its volume`);
  return found;
}
