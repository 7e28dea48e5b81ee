/** Tagging again and again: what the side container does when something brings rules while Falco runs. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FileSystem } from './file-system.ts';
import type { RulesReport } from './publication-plan.ts';
import { type TagAndPublish, tagAndPublish } from './tag-and-publish.ts';

export interface Following {
  readonly run: TagAndPublish;
  /** A text that changes whenever the file or folder at a path does; looks, but reads nothing. */
  readonly signature: (path: string) => string;
  /** Called with each report worth telling: the first one, and every one after a change. */
  readonly tell: (report: RulesReport) => void;
  readonly stop: AbortSignal;
  /** Milliseconds between two looks. */
  readonly every: number;
}

/** Every path that a look at the rules touched, with its signature from before it was touched. */
type Seen = ReadonlyMap<string, string>;

/** A file system that notes what is asked of it, each path's signature first: a later change cannot be missed. */
function noting(
  fileSystem: FileSystem,
  signature: Following['signature'],
  seen: Map<string, string>,
): FileSystem {
  const note = (path: string): string => {
    if (!seen.has(path)) seen.set(path, signature(path));
    return path;
  };
  return {
    look: (path) => fileSystem.look(note(path)),
    list: (path) => fileSystem.list(note(path)),
    read: (path, limit) => fileSystem.read(note(path), limit),
  };
}

function isChanged(seen: Seen, signature: Following['signature']): boolean {
  return [...seen].some(([path, before]) => signature(path) !== before);
}

/** Waits for a change, and then until nothing changes any more: falcoctl writes in place (FACTS 2.6). */
async function settledChange(seen: Seen, { signature, every, stop }: Following): Promise<void> {
  while (!isChanged(seen, signature)) await sleep(every, undefined, { signal: stop });
  let before: string;
  let now = '';
  do {
    before = now;
    await sleep(every, undefined, { signal: stop });
    now = [...seen.keys()].map(signature).join('\n');
  } while (now !== before);
}

/** Tags now, and again after every change of what Falco reads, until it is stopped. */
export async function follow(following: Following): Promise<void> {
  const { run, signature, tell, stop } = following;
  let first = true;
  while (!stop.aborted) {
    const seen = new Map<string, string>();
    const noted = { ...run, fileSystem: noting(run.fileSystem, signature, seen) };
    const report = tagAndPublish(noted, first ? 'withdraw' : 'keep');
    first = false;
    tell(report);
    // What could not be written is tried again without waiting for a change.
    if (report.outcome.code === 'rules_output_unwritable') seen.set(run.output, 'unwritable');
    try {
      await settledChange(seen, following);
    } catch (error) {
      if (!stop.aborted) throw error;
    }
  }
}
