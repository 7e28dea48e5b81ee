import { setTimeout as wait } from 'node:timers/promises';
import type { Logger } from 'pino';
import { askedPause } from '../../background/pause-after.ts';
import {
  type ClusterConnection,
  hasStatus,
  tellEvent,
  type WatchedPods,
  watchPods,
} from '../../cluster/index.ts';
import { type Announcement, announcementsOf, telling } from '../../coverage/announce.ts';
import { countsOf } from '../../coverage/counts.ts';
import { rememberedSettings } from '../../coverage/remembered-settings.ts';
import { type SeenPod, seePod } from '../../coverage/seen-pod.ts';
import { type EffectiveFor, survey } from '../../coverage/survey.ts';
import type { Annotations } from '../../federation/effective-settings.ts';
import { messageOf } from '../../reasons/message-of.ts';
import type { Condition } from '../../server/health.ts';
import type { PodCounts } from '../../server/metrics.ts';
import type { Settings } from '../../settings/schema.ts';
import type { KnownNamespaces } from './namespaces.ts';

/** Which pods are federated, told in every way there is. */
export interface KnownCoverage {
  /** For the metrics; `undefined` where no pods can be seen. */
  readonly counts: () => PodCounts | undefined;
  /** Always ready: pods that are not federated are no reason to take the webhook away. */
  readonly check: () => Condition;
  readonly stop: () => Promise<void>;
}

interface Sources {
  readonly connection: ClusterConnection | undefined;
  readonly settings: () => Settings;
  readonly namespaces: Pick<KnownNamespaces, 'annotations' | 'names' | 'isListed'>;
  /** Whether what the settings leave open is known: before, no pod would seem to have today's. */
  readonly isSettled: () => boolean;
}

/** Milliseconds between two looks at what is known; and until namespaces are. */
const lookEvery = 5_000;
const firstLooks = 250;
/** A permission that is missing is asked for again after so long. */
const deniedFor = 5 * 60_000;

/** A survey of thousands of pods is good for so long, milliseconds: one scrape asks for it several times. */
const surveyedFor = 1_000;

/** Makes it anew after so long. */
function remembered<T>(milliseconds: number, make: () => T): () => T {
  let last: { readonly made: T; readonly at: number } | undefined;
  return () => {
    const now = performance.now();
    if (last === undefined || now - last.at >= milliseconds) last = { made: make(), at: now };
    return last.made;
  };
}

const withoutCluster: KnownCoverage = {
  counts: () => undefined,
  check: () => ({ ready: true, detail: 'no cluster' }),
  stop: async () => {},
};

/** Follows the pods of opted-in namespaces, and tells how they are. @param instance which replica tells it */
export function knownCoverage(sources: Sources, instance: string, logger: Logger): KnownCoverage {
  const { connection, settings, namespaces } = sources;
  if (connection === undefined) return withoutCluster;
  const effectiveOf = rememberedSettings();
  const effectiveIn = (namespace: string, annotations: Annotations) =>
    effectiveOf(settings(), namespaces.annotations(namespace), annotations);
  const effectiveFor: EffectiveFor = (namespace, pod) => effectiveIn(namespace, pod.annotations);
  const pods = watchPods(connection, (pod, namespace) =>
    seePod(pod, namespace, (annotations) => effectiveIn(namespace, annotations)),
  );
  const surveyNow = () => survey(pods.all(), effectiveFor, Date.now());
  const surveyedAWhile = remembered(surveyedFor, surveyNow);
  // While pods are still being listed, a moment later there are more.
  const surveyed = () => (isListed() ? surveyedAWhile() : surveyNow());
  const refresh = refresher(sources, pods);
  const events = eventTeller(connection, instance, logger);
  const denied = deniedLog(pods, logger);

  let isBegun = false;
  const isListed = () => isBegun && pods.synced();
  const look = async (): Promise<void> => {
    // Before namespaces are known it would look like none with pods.
    if (!namespaces.isListed() || !sources.isSettled()) return;
    pods.follow(new Set(namespaces.names()));
    isBegun = true;
    refresh();
    denied();
    if (!pods.synced()) return;
    await events.tell(announcementsOf(surveyed()));
  };
  const stopped = new AbortController();
  const looking = (async () => {
    while (!stopped.signal.aborted) {
      await look().catch((error: unknown) => logger.error({ why: messageOf(error) }, 'coverage'));
      await wait(isBegun ? lookEvery : firstLooks, undefined, { signal: stopped.signal, ref: false }).catch(
        () => {},
      );
    }
  })();

  const isBlind = () => pods.followed() > 0 && pods.denied().size === pods.followed();
  return {
    counts: () =>
      isBlind() ? undefined : { synced: isListed() && pods.problem() === undefined, ...countsOf(surveyed()) },
    check: () => ({
      ready: true,
      detail: [
        isBlind() ? undefined : isListed() ? 'ok' : 'pods not listed yet',
        tellDenied(pods.denied()),
        pods.problem(),
        events.problem(),
      ]
        .filter((one) => one !== undefined)
        .join('; '),
    }),
    stop: async () => {
      stopped.abort();
      pods.stop();
      await looking;
    },
  };
}

/** What is not seen, and how it could be. */
function tellDenied(denied: ReadonlyMap<string, string>): string | undefined {
  const [first] = denied;
  if (first === undefined) return undefined;
  const [namespace, why] = first;
  const others = denied.size === 1 ? '' : ` and ${denied.size - 1} more namespaces`;
  return `the pods of ${namespace}${others} cannot be listed, so it is unknown whether they are federated: ${why}`;
}

/** Logs once that pods may not be seen, and once that they may again. */
function deniedLog(pods: WatchedPods<SeenPod>, logger: Logger): () => void {
  let was = false;
  return () => {
    const why = tellDenied(pods.denied());
    if ((why !== undefined) === was) return;
    was = !was;
    if (why !== undefined) logger.warn({ why }, 'pods cannot be listed; coverage is unknown');
    else logger.info('pods are listed again');
  };
}

/** What injection would do to a pod depends on the settings and its namespace: pods that it missed are listed anew. */
function refresher({ settings, namespaces }: Sources, pods: WatchedPods<SeenPod>): () => void {
  let known = new Map<string, { readonly settings: Settings; readonly annotations: Annotations }>();
  return () => {
    const now = settings();
    const missed = new Set<string>();
    for (const { seal, workload } of pods.all()) if (seal === undefined) missed.add(workload.namespace);
    const next: typeof known = new Map();
    for (const namespace of namespaces.names()) {
      const before = known.get(namespace);
      const annotations = namespaces.annotations(namespace);
      const isSame = before?.settings === now && before.annotations === annotations;
      if (before !== undefined && !isSame && missed.has(namespace)) pods.again(namespace);
      next.set(namespace, { settings: now, annotations });
    }
    known = next;
  };
}

/** Tells what is due by Events on workloads; where that is not allowed, by nothing but the log, once. */
function eventTeller(connection: ClusterConnection, instance: string, logger: Logger) {
  const tellings = telling();
  let silentUntil = Number.NEGATIVE_INFINITY;
  let problem: string | undefined;

  const tellOne = async (announcement: Announcement): Promise<void> => {
    const { name, workload, reason, note } = announcement;
    const { apiVersion, kind, namespace, name: of, uid } = workload;
    const regarding = { apiVersion, kind, namespace, name: of, uid };
    try {
      await tellEvent(connection, instance, { name, regarding, reason, note });
      tellings.told(announcement, performance.now(), true);
      if (problem !== undefined) logger.info('Events are written again');
      problem = undefined;
    } catch (error) {
      tellings.told(announcement, performance.now(), false);
      if (connection.closed?.aborted) return;
      const why = messageOf(error);
      // What one workload's namespace refuses (it is going away, it has a quota) another's may take.
      const isForbidden = hasStatus(error, 403) && !/terminat|quota/.test(why);
      silentUntil = performance.now() + (isForbidden ? deniedFor : askedPause(error));
      if (problem === undefined) logger.warn({ why }, 'cannot write an Event');
      problem = why;
    }
  };
  return {
    tell: async (announcements: readonly Announcement[]): Promise<void> => {
      for (const one of tellings.due(announcements, performance.now())) {
        if (performance.now() >= silentUntil) await tellOne(one);
      }
    },
    problem: () => (problem === undefined ? undefined : `cannot write Events: ${problem}`),
  };
}
