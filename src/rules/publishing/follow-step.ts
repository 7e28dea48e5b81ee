/**
 * One step of following, what the side container does when something brings rules while Falco runs: look, decide and
 * publish. The launcher (src/launcher/follow.c) is all that stays in memory between two steps: it waits until what was
 * looked at changes, and sees whether Falco reads what was published (FACTS 1.7, the blind window).
 */
import type { FileSystem } from '../configuration/file-system.ts';
import { publishedFolders, wouldTakeAway } from './doubt.ts';
import { type Planned, planPublication, type RulesReport, reportingErrors } from './publication-plan.ts';
import type { Draft } from './publish.ts';
import { keptAsBefore, publishPlanned, type TagAndPublish } from './tag-and-publish.ts';

/** Why a step is done: at the start, after a change, or because nothing has changed for the time that was asked for. */
export const wokenWords = ['start', 'changed', 'still'] as const;
export type Woken = (typeof wokenWords)[number];

/** Every path that a look at the rules touched, with its signature from before it was touched. */
export type Seen = ReadonlyMap<string, string>;

/** A text that changes whenever the file or folder at a path does; looks, but reads nothing. */
export type Signature = (path: string) => string;

export interface Step {
  /** What was done; undefined where it is better to look again first. */
  readonly report: RulesReport | undefined;
  /** What to wait for a change of. */
  readonly seen: Seen;
  /** Milliseconds without a change after which the next step is due all the same; 0: never. */
  readonly within: number;
  /** What is to be renamed now; undefined where nothing is, or Falco does not look for changes. */
  readonly left: Draft | undefined;
}

/**
 * Milliseconds for which a source must have been away, or be broken, before Falco is to do without what was published
 * of it. falcoctl truncates a file before it writes it (FACTS 2.6); an update is a matter of milliseconds.
 */
export const doubtFor = 5_000;

/** Milliseconds until what could not be written is tried again. */
export const retryAfter = 30_000;

/**
 * Looks at everything that Falco would load and publishes it, unless what it saw is in doubt. The last rename is left to
 * who calls. Never throws.
 */
export function followStep(run: TagAndPublish, signature: Signature, woken: Woken): Step {
  const seen = new Map<string, string>();
  const noted = { ...run, fileSystem: noting(run.fileSystem, signature, seen) };
  let within = 0;
  let left: Draft | undefined;
  const report = reportingErrors(() => {
    const planned = planPublication(noted);
    // Read while it was being written: whoever waits sees at once that it has changed.
    if (isChanged(seen, signature)) return undefined;
    if (woken !== 'still' && wouldTakeAway(planned.plan, run.disk, run.output)) {
      within = doubtFor;
      return undefined;
    }
    if (isToBeKept(planned, run)) return keptAsBefore(run, planned.report);
    const published = publishPlanned(run, planned, {
      // Falco will not read it before its next start: nobody need wait for that.
      leavesDropIn: !isUnwatched(planned.report),
      // A launcher that was killed has left its mark: who knows what Falco has heard of.
      renewsUnread: woken === 'start',
    });
    left = published.left;
    return published.report;
  });
  if (report?.outcome.code === 'rules_output_unwritable') within = retryAfter;
  return { report, seen, within, left };
}

/** Whether Falco does not look for changes (FACTS 1.15). */
function isUnwatched({ outcome, findings }: RulesReport): boolean {
  return [outcome, ...findings].some(({ code }) => code === 'rules_watch_off');
}

/**
 * Whether what was published stays although there is nothing to put in its place. Falco's own list takes over only
 * where Falco would find something there, if only an empty folder: with none of it left Falco would not start.
 */
function isToBeKept({ plan, report }: Planned, { disk, output }: TagAndPublish): boolean {
  const startsWithout = plan.last.length > 0 || report.kept.some(({ code }) => code === 'rules_entry_empty');
  if (startsWithout || (plan.dropIn?.items ?? []).length > 0) return false;
  return publishedFolders(disk, output).length > 0;
}

/** A file system that notes what is asked of it, each path's signature first: a later change cannot be missed. */
function noting(fileSystem: FileSystem, signature: Signature, seen: Map<string, string>): FileSystem {
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

function isChanged(seen: Seen, signature: Signature): boolean {
  return [...seen].some(([path, before]) => signature(path) !== before);
}
