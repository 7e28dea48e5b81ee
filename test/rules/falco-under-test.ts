/** A Falco that scenarios run on: the model, or the real program where FALCO_BINARY names one. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { type FalcoRun, type LoadedRule, sorted } from './falco-model.ts';
import { type Change, FalcoProcess } from './falco-process.ts';

export interface FalcoUnderTest {
  readonly start: () => Promise<void>;
  /** Hears of a change; the real one sees for itself. */
  readonly notice: (change: Change) => void;
  /** Waits until it has done what it was called for. */
  readonly settle: () => Promise<void>;
  /** How often it has loaded its rules since the start. */
  readonly reloads: () => number;
  /** What it runs; for the real one, what it loads from what is there now. */
  readonly rules: () => readonly LoadedRule[];
  readonly stop: () => Promise<void>;
}

export function modelOfFalco(run: FalcoRun): FalcoUnderTest {
  const falco = new FalcoProcess(run);
  return {
    start: async () => falco.start(),
    notice: (change) => falco.notice(change),
    settle: async () => falco.reload(),
    reloads: () => falco.reloads,
    rules: () => falco.running?.rules ?? [],
    stop: async () => {},
  };
}

/** Milliseconds in which the real one has heard of a change and restarted. */
const patience = 3_000;

/** Without a driver: it runs, watches and reloads, and sees no events. */
const withoutDriver = ['-o', 'engine.kind=nodriver', '-o', 'log_stderr=true', '-o', 'log_syslog=false'];

/** The real one says this whenever it loads its rules. */
const loading = /Loading rules from/;

export function realFalco(binary: string, { args, env }: FalcoRun): FalcoUnderTest {
  let child: ChildProcess | undefined;
  let loads = 0;
  const all = [...args, ...withoutDriver];
  return {
    start: async () => {
      child = spawn(binary, all, { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
      let isLoading = false;
      let said = '';
      child.stderr?.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        for (let end = said.indexOf('\n'); end !== -1; end = said.indexOf('\n')) {
          const line = said.slice(0, end);
          said = said.slice(end + 1);
          if (loading.test(line) && !isLoading) loads += 1;
          // Files of one load follow each other, indented or each with the same words.
          isLoading = loading.test(line) || /\.ya?ml/.test(line);
        }
      });
      await wait(patience);
    },
    notice: () => {},
    settle: () => wait(patience),
    reloads: () => Math.max(0, loads - 1),
    rules: () => {
      const listed = execFileSync(binary, [...all, '-L', '-o', 'json_output=true'], { encoding: 'utf8' });
      // Safe: what `falco -L` prints with JSON output (FACTS 1.11); a missing member fails in the scenario.
      const { rules } = JSON.parse(listed) as {
        rules: { info: { name: string; tags: string[] } }[];
      };
      return rules.map(({ info }) => ({ name: info.name, tags: sorted(info.tags) }));
    },
    stop: async () => {
      if (child === undefined || child.exitCode !== null) return;
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}

/** The real program of the environment, or the model; and which of them. */
export function falcoUnderTest(run: FalcoRun): FalcoUnderTest {
  const binary = process.env.FALCO_BINARY;
  return binary === undefined ? modelOfFalco(run) : realFalco(binary, run);
}
