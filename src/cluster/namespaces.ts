import { isDeepStrictEqual } from 'node:util';
import { injectLabel, neverInjected, prefix } from '../federation/names.ts';
import type { ClusterConnection } from './connection.ts';
import { metadataSource } from './metadata-source.ts';
import { type ObjectMeta, reflect } from './reflector.ts';
import { namespaces } from './resource.ts';

type Annotations = Readonly<Record<string, string>>;

/** What is known of the namespaces that opted in; all of it answers from memory. */
export interface WatchedNamespaces {
  /** Our own annotations on a namespace, the very same object while they are; undefined: it is not known. */
  readonly annotations: (namespace: string) => Annotations | undefined;
  /** Whether all namespaces were seen once. */
  readonly synced: () => boolean;
  /** What keeps us from following now; what was known before stays. */
  readonly problem: () => string | undefined;
  /** How many are known, and which. */
  readonly known: () => number;
  readonly names: () => Iterable<string>;
  readonly stop: () => void;
}

/** Those that the webhook configuration selects (manifests/base/webhook-configuration.yaml), and no others. */
const optedIn = `${injectLabel}=enabled,kubernetes.io/metadata.name notin (${neverInjected.join(',')})`;

/** Shared by all namespaces that say nothing, which are nearly all. */
const none: Annotations = Object.freeze({});

function ownAnnotations({ annotations }: ObjectMeta): Annotations {
  const own = Object.entries(annotations).filter(([key]) => key.startsWith(prefix));
  return own.length === 0 ? none : Object.fromEntries(own);
}

/**
 * Follows the annotations of the namespaces that opted in.
 *
 * @param onProblem called when what keeps us from following has changed, and the first time that nothing does
 */
export function watchNamespaces(
  connection: ClusterConnection,
  onProblem: (problem: string | undefined) => void = () => {},
): WatchedNamespaces {
  let known = new Map<string, Annotations>();
  let synced = false;
  let problem: string | undefined;
  const annotationsOf = (object: ObjectMeta): Annotations => {
    const next = ownAnnotations(object);
    const last = known.get(object.name);
    return last !== undefined && isDeepStrictEqual(last, next) ? last : next;
  };
  const stopped = new AbortController();
  void reflect(
    metadataSource(connection, namespaces, optedIn),
    {
      replace: (objects) => {
        known = new Map(objects.map((object) => [object.name, annotationsOf(object)]));
        synced = true;
      },
      set: (object) => known.set(object.name, annotationsOf(object)),
      remove: (name) => known.delete(name),
      problem: (next) => {
        problem = next;
        onProblem(next);
      },
    },
    stopped.signal,
  );
  return {
    annotations: (namespace) => known.get(namespace),
    synced: () => synced,
    problem: () => problem,
    known: () => known.size,
    names: () => known.keys(),
    stop: () => stopped.abort(),
  };
}
