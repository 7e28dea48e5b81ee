/** A Falco that scenarios run on: the model, or the real program where FALCO_BINARY names one. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type FalcoRun, type LoadedRule, sorted } from './falco-model.ts';
import { type Change, FalcoProcess } from './falco-process.ts';
import { rulesFolder } from './temporary-tree.ts';

export interface FalcoUnderTest {
  readonly start: () => Promise<void>;
  /** Hears of a change; the real one sees for itself. */
  readonly notice: (change: Change) => void;
  /** Waits until it has done what it was called for. Throws, with its log, if it has exited. */
  readonly settle: () => Promise<void>;
  /** How often it has loaded its rules since the start. */
  readonly reloads: () => number;
  /** What it runs. */
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

/** Milliseconds without a word in its log after which the real one has done what it was called for. */
const quiet = 2_000;

/** Without a driver: it runs, watches and reloads, and sees no events. Without an output it exits (FACTS 1.11). */
const withoutDriver = [
  ...['-o', 'engine.kind=nodriver', '-o', 'stdout_output.enabled=true'],
  ...['-o', 'log_stderr=true', '-o', 'log_syslog=false', '-o', 'log_level=info'],
];

/**
 * The real one. What it runs is asked of itself: its log names the files that it has loaded, at its start and behind
 * each `SIGHUP received, restarting`; each is copied when it is named, and the copies are listed by `falco -L`. A fresh
 * `falco -L` with its own arguments would tell what is there now, which it may never have noticed.
 */
export function realFalco(binary: string, { args, env }: FalcoRun): FalcoUnderTest {
  let running: RunningFalco | undefined;
  const isRunning = (): RunningFalco => {
    if (running === undefined) throw new Error('Falco was not started');
    running.mustRun();
    return running;
  };
  return {
    start: async () => {
      running = new RunningFalco(binary, [...args, ...withoutDriver], env);
      await running.isLoaded();
    },
    notice: () => {},
    settle: async () => isRunning().isQuiet(),
    reloads: () => isRunning().log.restarts,
    rules: () => listedRules(binary, isRunning().log.loaded),
    stop: async () => running?.stop(),
  };
}

class RunningFalco {
  readonly log = new FalcoLog();
  private readonly child: ChildProcess;
  private readonly ended: Promise<unknown>;
  private said = '';
  private lastSaid = performance.now();

  constructor(binary: string, args: readonly string[], env: FalcoRun['env']) {
    this.child = spawn(binary, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    // Not `exit`: what it has said last must have come.
    this.ended = once(this.child, 'close');
    let unfinished = '';
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.said += chunk.toString();
      this.lastSaid = performance.now();
      const lines = (unfinished + chunk.toString()).split('\n');
      unfinished = lines.pop() ?? '';
      for (const line of lines) this.log.take(line);
    });
  }

  /** Throws, with what it has said, when it has exited. */
  mustRun(): void {
    const { exitCode, signalCode } = this.child;
    if (exitCode !== null || signalCode !== null)
      throw new Error(`Falco has exited (${exitCode ?? signalCode}):\n${this.said}`);
  }

  async isLoaded(): Promise<void> {
    while (!this.log.hasLoaded) await this.pause();
    await this.isQuiet();
  }

  /** Until it says nothing for a while, counted from now at the earliest. */
  async isQuiet(): Promise<void> {
    const from = performance.now();
    while (performance.now() - Math.max(from, this.lastSaid) < quiet) await this.pause();
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGTERM');
    await this.ended;
  }

  private async pause(): Promise<void> {
    await Promise.race([wait(50), this.ended]);
    this.mustRun();
  }
}

/** A file that it has loaded, as it was when its log named it; undefined: it was gone already. */
interface LoadedFile {
  readonly path: string;
  readonly bytes: Buffer | undefined;
}

/** What the real one says in its log, line by line. */
class FalcoLog {
  /** Reloads. It names rules files in its dry runs, too: those are none. */
  restarts = 0;
  hasLoaded = false;
  loaded: LoadedFile[] = [];
  private isDryRun = false;
  private isNaming = false;

  take(line: string): void {
    if (line.includes('SIGHUP received, restarting')) {
      this.restarts += 1;
      this.isDryRun = false;
    } else if (line.includes('Loading rules from:')) {
      this.begin();
    } else if (this.isNaming) {
      const [, path] = /: {4}(\/.*?)(?: \| schema validation: .*)?$/.exec(line) ?? [];
      if (path === undefined) this.end();
      else this.loaded.push({ path, bytes: contentOf(path) });
    }
  }

  private begin(): void {
    if (this.isDryRun) return;
    this.isNaming = true;
    this.hasLoaded = true;
    this.loaded = [];
  }

  /** What it loads from here on is for a dry run, until it restarts. */
  private end(): void {
    this.isNaming = false;
    this.isDryRun = true;
  }
}

function contentOf(path: string): Buffer | undefined {
  return existsSync(path) ? readFileSync(path) : undefined;
}

/**
 * What `falco -L` says of these files; where there is no rule it fails (FACTS 1.11). With a configuration of its own: one
 * that reads the drop-in would look like the Falco that is to read it.
 */
function listedRules(binary: string, files: readonly LoadedFile[]): LoadedRule[] {
  const folder = rulesFolder();
  const config = join(folder, 'falco.yaml');
  writeFileSync(config, 'rules_files: []\n');
  const copies = files.map(({ path, bytes }, index) => {
    if (bytes === undefined) throw new Error(`${path} was gone before it could be copied`);
    const copy = join(folder, `${String(index).padStart(3, '0')}.yaml`);
    writeFileSync(copy, bytes);
    return ['-r', copy];
  });
  if (copies.length === 0) return [];
  const list = ['-c', config, ...withoutDriver, ...copies.flat(), '-L', '-o', 'json_output=true'];
  const { status, stdout, stderr } = spawnSync(binary, list, { encoding: 'utf8' });
  if (status !== 0 && /rules must be loaded before describing/i.test(stderr + stdout)) return [];
  if (status !== 0) throw new Error(`${binary} ${list.join(' ')}: exit ${status}\n${stderr}`);
  // Safe: what `falco -L` prints with JSON output (FACTS 1.11); a missing member fails in the scenario.
  const { rules } = JSON.parse(stdout) as { rules: { info: { name: string; tags: string[] } }[] };
  return rules.map(({ info }) => ({ name: info.name, tags: sorted(info.tags) }));
}

/** The real program of the environment, or the model; and which of them. */
export function falcoUnderTest(run: FalcoRun): FalcoUnderTest {
  const binary = process.env.FALCO_BINARY;
  return binary === undefined ? modelOfFalco(run) : realFalco(binary, run);
}
