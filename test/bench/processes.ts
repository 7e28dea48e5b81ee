/** Processes under measurement, by /proc. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Whether server and client can each have a core of their own. */
export const canPin = availableParallelism() > 1 && spawnSync('taskset', ['--version']).status === 0;

/** The command, on one core where that can be had. */
export function onCore(core: 0 | 1, command: readonly string[]): readonly [string, ...string[]] {
  const [program = '', ...args] = command;
  return canPin ? ['taskset', '--cpu-list', String(core), program, ...args] : [program, ...args];
}

const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

export interface Started {
  readonly pid: number;
  readonly stop: () => Promise<void>;
}

/**
 * Starts a server and waits for a line of its output that matches. Its further output is thrown away, but read: a
 * pipe that is full would stop it.
 */
export async function start(
  command: readonly string[],
  ready: RegExp,
  env: Readonly<Record<string, string>> = {},
): Promise<Started & { readonly match: RegExpExecArray }> {
  const [program, ...args] = onCore(0, command);
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, NODE_ENV: 'production', ...env },
  });
  children.add(child);
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => {
      children.delete(child);
      resolve();
    });
  });
  let said = '';
  const match = await new Promise<RegExpExecArray>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      if (said.length > 100_000) return;
      said += chunk.toString();
      const found = ready.exec(said);
      if (found !== null) resolve(found);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('exit', (status) => reject(new Error(`${command.join(' ')}: exit ${status}\n${said}`)));
  });
  return {
    match,
    pid: child.pid ?? 0,
    stop: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Kilobytes: `VmRSS` now, `VmHWM` the most so far. */
export function memory(pid: number, key: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${key}:\\s*(\\d+)`, 'm').exec(status)?.[1]);
}

/** Seconds of processor time so far, of all threads. */
export function cpuSeconds(pid: number): number {
  // proc(5): utime and stime are the 14th and 15th field, in hundredths of a second.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
