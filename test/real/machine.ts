/** What these checks need of the machine beside Node, and the one way they run its programs. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

/** The programs, by the Debian package that brings them (.ci/install-tools). */
const programs = ['buildah', 'runc', 'debootstrap'];

/** What is missing here, in words; empty when everything can run. */
export function missing(): readonly string[] {
  const notRoot = process.getuid?.() === 0 ? [] : ['root'];
  return [...notRoot, ...programs.filter((program) => !isOnPath(program))];
}

function isOnPath(program: string): boolean {
  return (process.env.PATH ?? '').split(':').some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export interface Finished {
  /** Exit status; 128 + n would be a shell's word for signal n, here it is -1. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Wall time in milliseconds. */
  readonly took: number;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly input?: string;
  /** Milliseconds; ten minutes if not said. */
  readonly timeout?: number;
}

/** Runs a program to its end, whatever its exit status. Throws only when it cannot be started. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Finished {
  const from = performance.now();
  const { error, status, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    timeout: 600_000,
    killSignal: 'SIGKILL',
    ...options,
  });
  const took = performance.now() - from;
  if (error !== undefined) throw new Error(`${program} ${args.join(' ')}: ${error.message}\n${stderr ?? ''}`);
  return { status: status ?? -1, stdout, stderr, took };
}

/** Runs a program that must succeed and returns its standard output. Throws with the end of what it said. */
export function must(program: string, args: readonly string[], options: RunOptions = {}): string {
  const { status, stdout, stderr } = run(program, args, options);
  if (status === 0) return stdout;
  const said = `${stdout}\n${stderr}`.trim().split('\n').slice(-30).join('\n');
  throw new Error(`${program} ${args.join(' ')}: exit ${status}\n${said}`);
}
