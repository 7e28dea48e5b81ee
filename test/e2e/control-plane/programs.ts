/** The control plane's programs: where they lie, and how they run until told otherwise. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, closeSync, constants, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../real/places.ts';

export type ProgramName = 'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kubectl';

/** Where .ci/install-control-plane looks and puts them, in its order. */
function folders(): readonly string[] {
  const given = process.env.KUBEBUILDER_ASSETS;
  return [
    ...(given === undefined || given === '' ? [] : [given]),
    join(root, '.cache', 'control-plane', 'bin'),
    ...(process.env.PATH ?? '').split(':'),
  ];
}

/** The first of its kind, `undefined` where there is none. Of those on the PATH only etcd is the one we mean. */
export function findProgram(name: ProgramName): string | undefined {
  const onPath = (process.env.PATH ?? '').split(':').length;
  const places = name === 'etcd' ? folders() : folders().slice(0, -onPath);
  return places
    .map((folder) => join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

export function programPath(name: ProgramName): string {
  const found = findProgram(name);
  if (found === undefined) throw new Error(`${name} is missing: run .ci/install-control-plane`);
  return found;
}

/** A program of the control plane while it runs. */
export interface RunningProgram {
  /** How it ended, once it has. */
  readonly ended: () => string | undefined;
  /** The end of what it said. */
  readonly lastLines: () => string;
  /** At once: kube-apiserver takes a minute over SIGTERM (FACTS 6.2). Resolves when it is gone. */
  readonly kill: () => Promise<void>;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts a program whose output goes to the end of a file. It ends when this process does, however that may be. */
export function startProgram(name: ProgramName, flags: readonly string[], log: string): RunningProgram {
  const output = openSync(log, 'a');
  // The kernel kills it when this process is gone: a test run that is killed itself has no time to do it.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', programPath(name), ...flags], {
    stdio: ['ignore', output, output],
    env: { PATH: process.env.PATH },
  });
  closeSync(output);
  running.add(child);
  let how: string | undefined;
  const end = (text: string): void => {
    how = text;
    running.delete(child);
  };
  child.once('error', (error) => end(error.message));
  child.once('exit', (status, signal) => end(`exit ${status ?? signal}`));
  return {
    ended: () => how,
    lastLines: () => readFileSync(log, 'utf8').trimEnd().split('\n').slice(-15).join('\n'),
    kill: async () => {
      if (how !== undefined) return;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}
