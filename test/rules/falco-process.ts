/**
 * A model of a running Falco for tests: what it watches after a start, which changes make it load its rules again, and
 * what it runs then (FACTS 1.7, 1.12). What it loads from given files says the model in falco-model.ts, which is held
 * against the recorded answers of the real engine; what it watches was never recorded, so each sentence of FACTS is an
 * example in falco-process.test.ts.
 */
import { existsSync } from 'node:fs';
import { join, posix } from 'node:path';
import { type FalcoAnswer, type FalcoRun, listedBy, runFalco } from './falco-model.ts';

/** What happened to a path, as Falco sees paths. */
export interface Change {
  readonly path: string;
  /** `written`: closed after writing, in place. `gone`: deleted or moved away. */
  readonly is: 'written' | 'made' | 'moved_in' | 'gone';
}

/**
 * Between reading its configuration and setting its watches Falco hears of nothing (FACTS 1.7, the blind window). What
 * happens to the disk in it does what is given for it; most tests have no time there.
 */
type Meanwhile = () => void;

export class FalcoProcess {
  /** What it runs; undefined: it has exited. */
  running: FalcoAnswer | undefined;
  /** Restarts of itself with other content or the same, and dry runs that failed and changed nothing. */
  reloads = 0;
  failures = 0;
  starts = 0;
  /** How often it has opened its configuration: at a start, in a dry run, in a restart of itself. */
  reads = 0;
  /** What was gone when it was to be watched: then Falco exits ("could not watch"). */
  vanished: string | undefined;
  private readonly run: FalcoRun;
  private files = new Set<string>();
  private folders = new Set<string>();
  private isCalled = false;
  private isBlind = false;

  constructor(run: FalcoRun) {
    this.run = run;
  }

  /** Starts as its container does. */
  start(meanwhile?: Meanwhile): void {
    this.starts += 1;
    this.load(meanwhile);
  }

  /** Hears of a change. What follows of it comes with the next `reload`: Falco may be late. */
  notice({ path, is }: Change): void {
    const parent = posix.dirname(path);
    // A folder's watch does not see what is written in place; that of a loaded file in it does.
    const heard = this.files.has(path) || (is !== 'written' && this.folders.has(parent));
    if (heard) this.isCalled = true;
    // Whatever is at the path now, it is another file than the one that was watched.
    if (is === 'gone' || is === 'moved_in') this.files.delete(path);
    if (is === 'gone') this.folders.delete(path);
  }

  /** Loads again, if something has called for it: first in a dry run, which must go well. */
  reload(meanwhile?: Meanwhile): void {
    if (!this.isCalled || this.running === undefined || this.isBlind) return;
    this.isCalled = false;
    this.reads += 1;
    if (runFalco(this.run).exit !== 0) {
      this.failures += 1;
      return;
    }
    this.reloads += 1;
    this.load(meanwhile);
  }

  private load(meanwhile: Meanwhile = () => {}): void {
    this.isCalled = false;
    this.reads += 1;
    this.vanished = undefined;
    this.files.clear();
    this.folders.clear();
    const answer = runFalco(this.run);
    const { files, folders } = listedBy(this.run);
    this.running = answer.exit === 0 ? answer : undefined;
    if (this.running === undefined) return;
    this.isBlind = true;
    try {
      meanwhile();
    } finally {
      this.isBlind = false;
    }
    this.watch([...files, ...answer.rulesFiles], folders);
  }

  private watch(files: readonly string[], folders: readonly string[]): void {
    this.vanished = [...files, ...folders].find((path) => !existsSync(join(this.run.root, path)));
    if (this.vanished !== undefined) {
      this.running = undefined;
      return;
    }
    this.files = new Set(files);
    this.folders = new Set(folders);
  }
}
