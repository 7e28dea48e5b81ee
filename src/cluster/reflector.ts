import { setTimeout as wait } from 'node:timers/promises';
import { askedPause, pauseAfter } from '../background/pause-after.ts';
import { messageOf } from '../reasons/message-of.ts';
import { hasStatus } from './cluster-error.ts';
import { deadline } from './deadline.ts';

/** What a reflector has to know of an object; sources keep of it whatever else is needed. */
export interface Reflected {
  readonly name: string;
  readonly resourceVersion: string;
}

/** What is kept of most objects: who it is and its annotations. */
export interface ObjectMeta extends Reflected {
  readonly annotations: Readonly<Record<string, string>>;
}

/** A part of a list; `next` is where to go on. */
export interface Page<T extends Reflected = ObjectMeta> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
  readonly next: string | undefined;
}

export type WatchEvent<T extends Reflected = ObjectMeta> =
  | { readonly type: 'set'; readonly object: T }
  | { readonly type: 'removed'; readonly object: Reflected }
  /** Nothing that concerns us has changed up to this version. */
  | { readonly type: 'bookmark'; readonly resourceVersion: string };

/** One kind of objects at the API server. */
export interface ReflectorSource<T extends Reflected = ObjectMeta> {
  list(next: string | undefined, signal: AbortSignal): Promise<Page<T>>;
  /** The promise is that the watch has begun. */
  watch(resourceVersion: string, seconds: number, signal: AbortSignal): Promise<AsyncIterable<WatchEvent<T>>>;
}

export interface ReflectorTarget<T extends Reflected = ObjectMeta> {
  /** All objects there are; what is not among them is gone. */
  replace(objects: readonly T[]): void;
  set(object: T): void;
  remove(name: string): void;
  /** What keeps us from following; undefined: nothing. Called the first time, and when it changes. */
  problem(problem: string | undefined): void;
}

/** Time and chance, for tests. */
export interface ReflectorPace {
  readonly random: () => number;
  readonly now: () => number;
  readonly wait: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  /** Seconds after which the API server is asked to end a watch; ±10 %, so that they do not end together. */
  readonly watchSeconds: number;
  /** So many milliseconds beyond that a watch is taken for dead. */
  readonly grace: number;
}

const realPace: ReflectorPace = {
  random: Math.random,
  now: () => performance.now(),
  wait: (milliseconds, signal) => wait(milliseconds, undefined, { signal }),
  watchSeconds: 290,
  grace: 15_000,
};

/** A watch that lived so many milliseconds was well. */
const healthyAfter = 10_000;

/**
 * The longest pause, milliseconds, after what may not be done: while an API server starts it refuses for a moment what
 * it allows, and to ask often for a permission that is missing fills audit logs.
 */
const longestRefused = 5 * 60_000;

/** How one round of listing and watching went. */
interface Round {
  /** Whether it lasted. */
  readonly healthy: boolean;
  /** Whether the watch brought anything. */
  readonly brought: boolean;
  /** Undefined: the watch ended by itself. */
  readonly error?: unknown;
}

/** Our resource version is too old for the API server, as an answer or within a watch: only a list helps. */
const isExpired = (error: unknown): boolean => hasStatus(error, 410);

interface Step {
  readonly from: 'where it was' | 'a list';
  readonly wait: boolean;
}

/**
 * | how the watch ended                     | goes on after                         |
 * | --------------------------------------- | ------------------------------------- |
 * | by itself, after some time              | nothing                               |
 * | 410 Gone                                | nothing; a wait if it follows another |
 * | by itself, too soon; broken; not begun  | a wait                                |
 *
 * It goes on where it was if the watch brought anything, a bookmark too; otherwise, and after 410, from a list. That
 * costs little, as a watch lasts minutes, and only a list notices an API server whose data were set back: a watch from
 * a version that is not there yet just brings nothing (ran).
 */
function stepAfter({ healthy, brought, error }: Round, mayListAtOnce: boolean): Step {
  if (isExpired(error)) return { from: 'a list', wait: !mayListAtOnce };
  return { from: brought ? 'where it was' : 'a list', wait: !(healthy && error === undefined) };
}

/**
 * Follows one kind of objects until it is stopped: lists, watches from there, and goes on whatever happens. Failures
 * in a row wait longer and longer.
 */
export async function reflect<T extends Reflected>(
  source: ReflectorSource<T>,
  target: ReflectorTarget<T>,
  signal: AbortSignal,
  pace: ReflectorPace = realPace,
): Promise<void> {
  let failures = 0;
  const tell = teller(target, signal);
  let version: string | undefined;
  let mayListAtOnce = true;

  const round = async (): Promise<Round> => {
    const began = pace.now();
    let brought = false;
    let failure: { readonly error?: unknown } = {};
    try {
      version ??= await list(source, target, signal);
      for await (const reached of watch(source, target, version, signal, pace, () => tell(undefined))) {
        version = reached;
        brought = true;
      }
    } catch (error) {
      failure = { error };
    }
    return { healthy: pace.now() - began >= healthyAfter, brought, ...failure };
  };

  while (!signal.aborted) {
    const last = await round();
    if (last.healthy) failures = 0;
    mayListAtOnce ||= last.healthy;
    const step = stepAfter(last, mayListAtOnce);
    if (isExpired(last.error)) mayListAtOnce = false;
    if (step.from === 'a list') version = undefined;
    if (!step.wait) continue;
    if (last.error !== undefined) tell(messageOf(last.error));
    const longest = hasStatus(last.error, 401, 403) ? longestRefused : undefined;
    const pause = Math.max(pauseAfter(failures++, pace.random, longest), askedPause(last.error));
    await pace.wait(pause, signal).catch(() => {});
  }
}

/** Tells what is the matter when that changes, and at the first time that nothing is. */
function teller(
  target: Pick<ReflectorTarget, 'problem'>,
  signal: AbortSignal,
): (problem: string | undefined) => void {
  let told: { readonly problem: string | undefined } | undefined;
  return (problem) => {
    if (signal.aborted || (told !== undefined && told.problem === problem)) return;
    told = { problem };
    target.problem(problem);
  };
}

/** Lists all pages. @returns the version to watch from */
async function list<T extends Reflected>(
  source: ReflectorSource<T>,
  target: ReflectorTarget<T>,
  signal: AbortSignal,
): Promise<string> {
  const objects: T[] = [];
  let page = await source.list(undefined, signal);
  objects.push(...page.items);
  while (page.next !== undefined) {
    page = await source.list(page.next, signal);
    objects.push(...page.items);
  }
  if (!signal.aborted) target.replace(objects);
  return page.resourceVersion;
}

/** Passes on what one watch brings. @returns the versions that it reached */
async function* watch<T extends Reflected>(
  source: ReflectorSource<T>,
  target: ReflectorTarget<T>,
  version: string,
  signal: AbortSignal,
  pace: ReflectorPace,
  onBegin: () => void,
): AsyncGenerator<string> {
  const seconds = Math.round(pace.watchSeconds * (0.9 + 0.2 * pace.random()));
  // A connection whose other end is gone without a word would otherwise be waited for without end.
  const watchdog = deadline(
    [signal],
    seconds * 1000 + pace.grace,
    `watch timed out: still open after ${seconds} s`,
  );
  try {
    const events = await source.watch(version, seconds, watchdog.signal);
    onBegin();
    for await (const event of events) {
      if (signal.aborted) return;
      yield passOn(event, target);
    }
  } finally {
    watchdog.release();
  }
}

function passOn<T extends Reflected>(event: WatchEvent<T>, target: ReflectorTarget<T>): string {
  if (event.type === 'bookmark') return event.resourceVersion;
  if (event.type === 'set') target.set(event.object);
  else target.remove(event.object.name);
  return event.object.resourceVersion;
}
