/** One replica of the webhook: the built program as a process, as its pod's container would run it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { root } from '../real/places.ts';

export const program = join(root, 'dist', 'falco-federation.mjs');

export interface ReplicaOptions {
  /** Name of the pod that it stands for. */
  readonly name: string;
  readonly settings: string;
  /** Of the ServiceAccount, with no more permissions than its RBAC gives. */
  readonly kubeconfig: string;
  /** Beyond those that every replica gets. */
  readonly flags: readonly string[];
}

export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface Replica {
  readonly name: string;
  readonly port: number;
  readonly log: readonly LogLine[];
  /** Whether /readyz says so; false too when nobody answers. */
  readonly isReady: () => Promise<boolean>;
  readonly readiness: () => Promise<string>;
  /** Value of one sample of /metrics, by its name with its labels. */
  readonly metric: (sample: string) => Promise<number | undefined>;
  /** Sends the signal and waits for the end; the exit status, or the signal's name. */
  readonly end: (signal: 'SIGTERM' | 'SIGKILL') => Promise<number | string>;
}

const running = new Set<() => void>();
process.once('exit', () => {
  for (const kill of running) kill();
});

/** Resolves when the replica serves, ready or not. */
export async function startReplica({ name, settings, kubeconfig, flags }: ReplicaOptions): Promise<Replica> {
  const child = spawn(
    process.execPath,
    [
      ...[program, 'serve', '--settings', settings, '--kubeconfig', kubeconfig, '--host', '127.0.0.1'],
      ...['--port', '0', '--health-port', '0', '--metrics-port', '0', ...flags],
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        POD_NAME: name,
        POD_NAMESPACE: 'falco-federation',
        NODE_ENV: 'production',
      },
    },
  );
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  running.add(kill);
  const ended = once(child, 'exit').then(([status, signal]: (number | string)[]) => {
    running.delete(kill);
    return status ?? signal ?? 'unknown';
  });
  const log: LogLine[] = [];
  const errors: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => errors.push(line));
  const serving = new Promise<LogLine>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (text) => {
      // Safe: the program's log is pino's, whose lines have these fields.
      const line = JSON.parse(text) as LogLine;
      log.push(line);
      if (line.msg === 'serving') resolve(line);
    });
    void ended.then((how) => reject(new Error(`${name} ended (${how}): ${errors.join('\n')}`)));
  });
  const { port, healthPort, metricsPort } = await serving;
  const get = (at: unknown, path: string) =>
    fetch(`http://127.0.0.1:${Number(at)}${path}`, { signal: AbortSignal.timeout(2_000) });
  return {
    name,
    port: Number(port),
    log,
    isReady: () =>
      get(healthPort, '/readyz').then(
        ({ ok }) => ok,
        () => false,
      ),
    readiness: async () => (await get(healthPort, '/readyz')).text(),
    metric: async (sample) => {
      const lines = (await (await get(metricsPort, '/metrics')).text()).split('\n');
      const line = lines.find((one) => one.startsWith(`${sample} `));
      return line === undefined ? undefined : Number(line.slice(sample.length + 1));
    },
    end: (signal) => {
      child.kill(signal);
      return ended;
    },
  };
}

/** Waits until something is so. Throws with what was waited for when it takes longer than `patience` milliseconds. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  patience = 30_000,
): Promise<number> {
  const from = performance.now();
  while (!(await isSo())) {
    if (performance.now() - from > patience) throw new Error(`waited ${patience} ms in vain until ${what}`);
    await wait(50);
  }
  return performance.now() - from;
}
