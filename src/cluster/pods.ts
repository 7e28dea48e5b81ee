import { messageOf } from '../reasons/message-of.ts';
import { hasStatus } from './cluster-error.ts';
import type { ClusterConnection } from './connection.ts';
import { objectSource, type ReceivedObject } from './object-source.ts';
import { type Reflected, type ReflectorSource, reflect } from './reflector.ts';
import { core } from './resource.ts';

/** What is known of the pods of some namespaces. */
export interface WatchedPods<T> {
  /** From now on the pods of these namespaces and of no others. */
  readonly follow: (namespaces: ReadonlySet<string>) => void;
  /** Lists a namespace's pods anew: what is kept of them depends on something that has changed. */
  readonly again: (namespace: string) => void;
  /** How many namespaces are followed, those that may not be seen too. */
  readonly followed: () => number;
  readonly all: () => Iterable<T>;
  /** Whether all pods of all namespaces that may be seen were seen once. */
  readonly synced: () => boolean;
  /** Namespaces whose pods may not be seen, and the API server's words. */
  readonly denied: () => ReadonlyMap<string, string>;
  /** What keeps us from following a namespace now; what was known before stays. */
  readonly problem: () => string | undefined;
  readonly stop: () => void;
}

/** A pod is some 18 KB as it is sent (FACTS 4.7): a page is in memory as a whole, as text and as objects. */
const pageSize = 10;

interface Followed<T> {
  pods: Map<string, T>;
  synced: boolean;
  denied: string | undefined;
  problem: string | undefined;
  readonly again: () => void;
  readonly stop: () => void;
}

/** Lets one go after the other: pages of many namespaces at once would be in memory together. */
function oneAtATime(): <R>(work: () => Promise<R>) => Promise<R> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const mine = last.then(work);
    last = mine.catch(() => {});
    return mine;
  };
}

/**
 * Follows pods, and keeps of each what `keep` makes of it. A watch for each namespace: most pods of a cluster are
 * none of ours. Takes list and watch on pods; where that is missing, it asks again, less and less often.
 *
 * @param keep `undefined` for a pod that concerns nobody
 */
export function watchPods<T extends Reflected>(
  connection: ClusterConnection,
  keep: (pod: ReceivedObject, namespace: string) => T | undefined,
): WatchedPods<T> {
  const followed = new Map<string, Followed<T>>();
  const inTurn = oneAtATime();
  const begin = (namespace: string): Followed<T> => {
    const source = objectSource(connection, {
      resource: core('pods', namespace),
      pageSize,
      keep: (pod) => keep(pod, namespace),
    });
    return followNamespace({ ...source, list: (next, signal) => inTurn(() => source.list(next, signal)) });
  };
  const each = () => [...followed.values()];
  return {
    follow: (namespaces) => {
      for (const [namespace, { stop }] of followed) {
        if (namespaces.has(namespace)) continue;
        stop();
        followed.delete(namespace);
      }
      for (const namespace of namespaces) {
        if (!followed.has(namespace)) followed.set(namespace, begin(namespace));
      }
    },
    again: (namespace) => followed.get(namespace)?.again(),
    followed: () => followed.size,
    all: function* () {
      for (const { pods: known } of followed.values()) yield* known.values();
    },
    synced: () => each().every(({ synced, denied }) => synced || denied !== undefined),
    denied: () =>
      new Map(
        [...followed].flatMap(([namespace, { denied }]) =>
          denied === undefined ? [] : [[namespace, denied]],
        ),
      ),
    problem: () =>
      each().find(({ denied, problem }) => denied === undefined && problem !== undefined)?.problem,
    stop: () => {
      for (const { stop } of followed.values()) stop();
    },
  };
}

/** One namespace, until it is stopped. */
function followNamespace<T extends Reflected>(source: ReflectorSource<T>): Followed<T> {
  let running = new AbortController();
  const stop = (): void => running.abort();
  const followed: Followed<T> = {
    ...{ pods: new Map(), synced: false, denied: undefined, problem: undefined },
    again: () => {
      stop();
      begin();
    },
    stop,
  };

  function begin(): void {
    running = new AbortController();
    const watched: ReflectorSource<T> = {
      list: async (next, signal) => {
        try {
          return await source.list(next, signal);
        } catch (error) {
          if (hasStatus(error, 403) && !signal.aborted) followed.denied = messageOf(error);
          throw error;
        }
      },
      watch: source.watch,
    };
    const target = {
      replace: (all: readonly T[]) => {
        followed.pods = new Map(all.map((pod) => [pod.name, pod]));
        followed.synced = true;
        followed.denied = undefined;
      },
      set: (pod: T) => followed.pods.set(pod.name, pod),
      remove: (name: string) => followed.pods.delete(name),
      problem: (next: string | undefined) => {
        followed.problem = next;
      },
    };
    void reflect(watched, target, running.signal);
  }

  begin();
  return followed;
}
