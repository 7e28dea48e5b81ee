import type { Logger } from 'pino';
import { type ClusterConnection, watchNamespaces } from '../../cluster/index.ts';
import type { Annotations } from '../../federation/effective-settings.ts';
import type { Condition } from '../../server/health.ts';

/** What is known of the opted-in namespaces. */
export interface KnownNamespaces {
  /** From memory, at once; `undefined` where the namespace is not known. */
  readonly annotations: (namespace: string) => Annotations;
  /** Those that are known. */
  readonly names: () => Iterable<string>;
  readonly check: () => Condition;
  /** Whether all were seen once. */
  readonly isListed: () => boolean;
  /** For the metrics, with whether they are watched now; `undefined` without a cluster. */
  readonly state: () => { readonly known: number; readonly synced: boolean } | undefined;
  readonly stop: () => void;
}

/** How long a start waits for the first list, milliseconds; then the settings alone count until it comes. */
const patience = 5_000;

const withoutCluster: KnownNamespaces = {
  annotations: () => undefined,
  names: () => [],
  check: () => ({ ready: true, detail: 'no cluster; only the settings apply' }),
  isListed: () => false,
  state: () => undefined,
  stop: () => {},
};

/** Keeps the annotations of opted-in namespaces at hand, so that no admission waits for the API server. */
export function knownNamespaces(connection: ClusterConnection | undefined, logger: Logger): KnownNamespaces {
  if (connection === undefined) return withoutCluster;
  const until = performance.now() + patience;
  const namespaces = watchNamespaces(connection, (problem) => {
    if (problem === undefined) logger.info({ known: namespaces.known() }, 'namespaces watched');
    else logger.warn({ problem }, 'cannot watch namespaces; the last known annotations stay in use');
  });
  return {
    annotations: namespaces.annotations,
    names: namespaces.names,
    check: () => {
      const problem = namespaces.problem();
      const told = problem === undefined ? '' : `: ${problem}`;
      return namespaces.synced()
        ? { ready: true, detail: problem === undefined ? 'ok' : `watch interrupted${told}` }
        : { ready: performance.now() > until, detail: `not listed yet, only the settings apply${told}` };
    },
    isListed: namespaces.synced,
    state: () => ({
      known: namespaces.known(),
      synced: namespaces.synced() && namespaces.problem() === undefined,
    }),
    stop: namespaces.stop,
  };
}
