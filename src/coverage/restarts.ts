import { messageOf } from '../reasons/message-of.ts';
import { type LeaseAnswer, type LeaseStore, leaseWatch, type StoredLease } from './lease.ts';
import {
  planRestarts,
  type ReplaceableWorkload,
  type RestartPlan,
  type RestartStep,
} from './restart-plan.ts';
import { type RestartRecord, readRecord } from './restart-record.ts';
import type { Workload } from './workload.ts';

/** What came of asking for an eviction: it was granted; nothing is there to evict; or it may not be now. */
export type EvictionAnswer =
  | { readonly kind: 'evicted' | 'gone' }
  | { readonly kind: 'refused'; readonly why: string };

/** What replacing pods needs of the world. */
export interface RestartParts {
  /** Name of this replica. */
  readonly me: string;
  /** So long a pod must have been there, and settings in force, before anything is done about it, milliseconds. */
  readonly delay: number;
  readonly lease: LeaseStore;
  readonly evict: (
    namespace: string,
    pod: { readonly name: string; readonly uid: string },
  ) => Promise<EvictionAnswer>;
  /** Whether this very pod is there and not being deleted, by the API server and no watch. */
  readonly isThere: (
    namespace: string,
    pod: { readonly name: string; readonly uid: string },
  ) => Promise<boolean>;
  /** Milliseconds that only go forward. */
  readonly now: () => number;
  readonly tell: (event: RestartNews) => void;
}

export type RestartNews =
  | { readonly kind: 'evicted'; readonly workload: string; readonly pod: string }
  | { readonly kind: 'refused'; readonly workload: string; readonly pod: string; readonly why: string };

/** What a replica sees when it looks. */
export interface RestartView {
  readonly workloads: readonly ReplaceableWorkload[];
}

/** Who replaces pods, and how far it is. */
export interface RestartState {
  readonly leads: boolean;
  /** What is next for workloads that are not whole, by their keys; empty where another replica leads. */
  readonly steps: ReadonlyMap<string, RestartStep>;
  /** What keeps this replica from it: the API server's words. */
  readonly problem: string | undefined;
}

export interface Restarts {
  /** Looks once, and does what is next. Never throws. */
  readonly look: (view: RestartView) => Promise<void>;
  /** Lets another replica go on. */
  readonly release: () => Promise<void>;
  readonly state: () => RestartState;
}

/** After writing the Lease it is certainly ours so long: half of what others wait, less an eviction's longest answer. */
const surelyOurs = 10_000;
/** So often is looked for what an earlier holder left, where nothing is to do. */
const looksAnyway = 10 * 60_000;
/** So long a workload is left in peace after an eviction was refused. */
const refusedFor = 30_000;

const nothing: RestartState = { leads: false, steps: new Map(), problem: undefined };

/**
 * Replaces pods that are behind. Of several replicas the one that holds the Lease does it; what it is about to do is
 * written there first, so that whoever comes after goes on from it.
 */
export function restarts({ me, delay, lease, evict, isThere, now, tell }: RestartParts): Restarts {
  const mayTake = leaseWatch(me);
  const refused = new Map<string, number>();
  let held: StoredLease | undefined;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let state = nothing;

  /** Reads the Lease, and takes it or makes it last longer. `undefined`: another replica has it. */
  async function lead(): Promise<LeaseAnswer<StoredLease> | undefined> {
    const { lease: stored } = await lease.read();
    lookedAt = now();
    if (!mayTake(stored, now())) return undefined;
    return await lease.write({ holder: me, record: stored?.record ?? '' }, stored);
  }

  async function leave(record: string): Promise<void> {
    if (held !== undefined) await lease.write({ holder: '', record }, held);
    held = undefined;
  }

  /** @param from when the writing of the Lease began */
  async function carryOut({ evictions }: RestartPlan, from: number): Promise<void> {
    for (const { workload, pod } of evictions) {
      if (now() - from > surelyOurs) return;
      const { key } = workload;
      if (now() < (refused.get(key) ?? 0)) continue;
      const answer = await evict(workload.namespace, pod);
      if (answer.kind === 'evicted') tell({ kind: 'evicted', workload: key, pod: pod.name });
      if (answer.kind !== 'refused') continue;
      refused.set(key, now() + refusedFor);
      tell({ kind: 'refused', workload: key, pod: pod.name, why: answer.why });
    }
  }

  /**
   * A pod that was to go and is still seen may be gone: its eviction's answer was lost, or the watch is behind. To ask
   * for it again would set the time after which its successor is looked for too late.
   */
  async function withoutGone(
    workloads: readonly ReplaceableWorkload[],
    record: RestartRecord,
  ): Promise<readonly ReplaceableWorkload[]> {
    const result: ReplaceableWorkload[] = [];
    for (const one of workloads) {
      const { key, namespace } = one.workload;
      const last = one.pods.find(({ uid, ending }) => uid === record[key]?.pod && !ending);
      const isGone = last !== undefined && !(await isThere(namespace, last));
      result.push(isGone ? { ...one, pods: one.pods.filter((pod) => pod !== last) } : one);
    }
    return result;
  }

  async function round({ workloads }: RestartView): Promise<RestartState> {
    const isNeeded = workloads.some(({ pods }) => pods.some(({ behind }) => behind));
    if (!isNeeded && held === undefined && now() - lookedAt < looksAnyway) return nothing;
    const mine = await lead();
    held = mine?.lease;
    if (mine === undefined) return nothing;
    const before = readRecord(mine.lease.record);
    const time = { now: mine.at, clock: now(), delay };
    const plan = planRestarts(await withoutGone(workloads, before), before, time);
    const record = JSON.stringify(plan.record);
    if (plan.evictions.length > 0) {
      const from = now();
      held = (await lease.write({ holder: me, record }, mine.lease))?.lease;
      if (held === undefined) return nothing;
      await carryOut(plan, from);
    } else if (!isNeeded && Object.keys(plan.record).length === 0) {
      await leave(record);
    } else if (record !== JSON.stringify(before)) {
      held = (await lease.write({ holder: me, record }, mine.lease))?.lease;
    }
    const steps = [...plan.steps].filter(([, { kind }]) => kind !== 'whole');
    return { leads: true, steps: new Map(steps), problem: undefined };
  }

  return {
    look: async (view) => {
      try {
        state = await round(view);
      } catch (error) {
        held = undefined;
        state = { ...nothing, problem: messageOf(error) };
      }
    },
    release: async () => {
      const { record = '' } = held ?? {};
      await leave(record).catch(() => {});
      state = nothing;
    },
    state: () => state,
  };
}

/** How a workload's replacement stands, in words; `undefined` where nothing is to be said. */
export function tellStep(key: Workload['key'], step: RestartStep): string | undefined {
  switch (step.kind) {
    case 'whole':
      return undefined;
    case 'wait':
      return `${key} waits: ${step.why}`;
    case 'stopped':
      return `${key} stopped at ${step.pod.name}`;
    case 'evict':
      return `${key}: ${step.pod.name} goes`;
  }
}
