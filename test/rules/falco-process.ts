/**
 * A model of a running Falco for tests: what it watches after a start, which changes make it load its rules again, and
 * what it runs then (FACTS 1.7, 1.12). What it loads from given files says the model in falco-model.ts, which is held
 * against the recorded answers of the real engine; what it watches was never recorded, so each sentence of FACTS is an
 * example in falco-process.test.ts.
 */
import { posix } from 'node:path';
import { type FalcoAnswer, type FalcoRun, listedBy, runFalco } from './falco-model.ts';

/** What happened to a path, as Falco sees paths. */
export interface Change {
  readonly path: string;
  /** `written`: closed after writing, in place. `gone`: deleted or moved away. */
  readonly is: 'written' | 'made' | 'moved_in' | 'gone';
}

export class FalcoProcess {
  /** What it runs; undefined: it has exited. */
  running: FalcoAnswer | undefined;
  /** Restarts of itself with other content or the same, and dry runs that failed and changed nothing. */
  reloads = 0;
  failures = 0;
  starts = 0;
  private readonly run: FalcoRun;
  private files = new Set<string>();
  private folders = new Set<string>();
  private isCalled = false;

  constructor(run: FalcoRun) {
    this.run = run;
  }

  /** Starts as its container does. */
  start(): void {
    this.isCalled = false;
    this.starts += 1;
    this.take(runFalco(this.run));
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
  reload(): void {
    if (!this.isCalled || this.running === undefined) return;
    this.isCalled = false;
    const answer = runFalco(this.run);
    if (answer.exit !== 0) {
      this.failures += 1;
      return;
    }
    this.reloads += 1;
    this.take(answer);
  }

  private take(answer: FalcoAnswer): void {
    this.running = answer.exit === 0 ? answer : undefined;
    const { files, folders } = listedBy(this.run);
    this.files = new Set([...files, ...answer.rulesFiles]);
    this.folders = new Set(folders);
  }
}
