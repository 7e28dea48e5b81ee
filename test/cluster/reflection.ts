import { ClusterError } from '../../src/cluster/cluster-error.ts';
import {
  type ObjectMeta,
  type Page,
  type ReflectorPace,
  type ReflectorSource,
  type ReflectorTarget,
  reflect,
  type WatchEvent,
} from '../../src/cluster/reflector.ts';
import { namespaces } from '../../src/cluster/resource.ts';

/** 410: the version that was asked for is too old. */
export function expired(why: string): ClusterError {
  const connection = { server: 'https://pretended', namespace: undefined, access: async () => ({}) };
  return new ClusterError(connection, { verb: 'watch', resource: namespaces }, why, 410);
}

export function object(name: string, resourceVersion: string): ObjectMeta {
  return { name, resourceVersion, annotations: {} };
}

export function page(resourceVersion: string, names: readonly string[], next?: string): Page {
  return { items: names.map((name) => object(name, resourceVersion)), resourceVersion, next };
}

export const set = (name: string, version: string): WatchEvent => ({
  type: 'set',
  object: object(name, version),
});
export const removed = (name: string, version: string): WatchEvent => ({
  type: 'removed',
  object: object(name, version),
});
export const bookmark = (resourceVersion: string): WatchEvent => ({ type: 'bookmark', resourceVersion });

/** One watch: what it brings, how long it lasts, how it ends. */
export interface ScriptedWatch {
  readonly brings?: readonly WatchEvent[];
  readonly lasts?: number;
  /** Not even begun: `refuses`. Hangs until it is aborted: 'hangs'. Otherwise it ends by itself. */
  readonly refuses?: Error;
  readonly ends?: Error | 'hangs';
}

async function* play(
  { brings = [], ends }: ScriptedWatch,
  signal: AbortSignal,
  over: () => void,
): AsyncGenerator<WatchEvent> {
  yield* brings;
  over();
  if (ends === 'hangs') {
    await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  }
  if (ends instanceof Error) throw ends;
}

/**
 * What a reflector did with an API server that answers as written, one line a step; it is stopped when the answers
 * are used up. Waits take no time, and are told as fractions of the longest that they may be.
 */
export async function reflection(
  lists: readonly (Page | Error)[],
  watches: readonly ScriptedWatch[],
  pace: Partial<ReflectorPace> = {},
): Promise<readonly string[]> {
  const log: string[] = [];
  const stopped = new AbortController();
  const [listsLeft, watchesLeft] = [[...lists], [...watches]];
  let clock = 0;
  const source: ReflectorSource = {
    list: async (next) => {
      const answer = listsLeft.shift();
      if (answer === undefined) stopped.abort();
      else log.push(next === undefined ? 'list' : `list from ${next}`);
      if (answer === undefined || answer instanceof Error) throw answer ?? new Error('stopped');
      return answer;
    },
    watch: async (resourceVersion, _seconds, signal) => {
      const script = watchesLeft.shift();
      if (script === undefined) stopped.abort();
      else log.push(`watch from ${resourceVersion}`);
      if (script === undefined || script.refuses !== undefined) throw script?.refuses ?? new Error('stopped');
      return play(script, signal, () => {
        clock += script.lasts ?? 0;
      });
    },
  };
  const target: ReflectorTarget = {
    replace: (objects) => log.push(`replace ${objects.map(({ name }) => name).join(' ')}`),
    set: ({ name }) => log.push(`set ${name}`),
    remove: (name) => log.push(`remove ${name}`),
    problem: (problem) => log.push(`problem: ${problem ?? 'none'}`),
  };
  await reflect(source, target, stopped.signal, {
    random: () => 0.5,
    now: () => clock,
    wait: async (milliseconds) => {
      if (!stopped.signal.aborted) log.push(`wait ${milliseconds}`);
    },
    watchSeconds: 290,
    grace: 15_000,
    ...pace,
  });
  return log;
}
