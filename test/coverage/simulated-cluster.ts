import type { LeaseAnswer, StoredLease } from '../../src/coverage/lease.ts';
import type { ReplaceablePod, ReplaceableWorkload } from '../../src/coverage/restart-plan.ts';
import type { EvictionAnswer } from '../../src/coverage/restarts.ts';
import { type Restarts, restarts } from '../../src/coverage/restarts.ts';
import type { Workload } from '../../src/coverage/workload.ts';

/** A cluster of workloads whose pods are replaced by several replicas, with whatever may go wrong. Time is what it says. */

/** Numbers from 0 to below 1. */
export type Chance = () => number;

export function chance(seed: number): Chance {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

interface Eviction {
  /** The settings for which it was. */
  readonly settings: string;
  readonly at: number;
}

interface SimulatedPod {
  readonly uid: string;
  readonly name: string;
  readonly workload: string;
  readonly createdAt: number;
  /** The settings that it was injected with; `undefined`: it was not. */
  readonly settings: string | undefined;
  readonly readyAt: number;
  endsAt: number | undefined;
  /** The pod whose place it took, and how that was evicted. */
  readonly after: (Eviction & { readonly uid: string }) | undefined;
}

interface SimulatedReplica {
  readonly name: string;
  readonly restarts: Restarts;
  readonly startedAt: number;
  /** The settings as it has read them, and when. */
  settings: string;
  readAt: number;
  looking: Promise<void> | undefined;
  dead: boolean;
  /** What it sees of the pods is as old as this. */
  view: readonly ReplaceableWorkload[];
}

/** One request on its way: it may take effect or not, and may be answered or not. */
interface Pending {
  readonly since: number;
  readonly go: (fault: 'none' | 'not done' | 'done, not answered') => void;
}

/** As the runner is used: how long settings must have been in force. Replicas read them within it. */
const delay = 60_000;
const answerTime = 10_000;

export interface Fault {
  readonly what: string;
  readonly at: number;
}

export class SimulatedCluster {
  now = 1_000_000;
  settings = 'settings-0';
  webhookIsCalled = true;
  /** Whether the API server refuses evictions. */
  budgetsHold = false;
  calm = false;
  readonly pods = new Map<string, SimulatedPod>();
  readonly replicas: SimulatedReplica[] = [];
  readonly faults: Fault[] = [];
  readonly log: string[] = [];
  evictions = 0;
  private lease: StoredLease | undefined;
  private readonly pending: Pending[] = [];
  private readonly missing: {
    readonly pod: SimulatedPod;
    readonly eviction: Eviction | undefined;
    readonly at: number;
  }[] = [];
  /** Under way by workload: pods that went by eviction, whose successors are not ready yet. */
  private readonly gone = new Map<string, Map<string, Eviction>>();
  private made = 0;
  private readonly random: Chance;
  private readonly workloads: ReadonlyMap<string, Workload>;

  constructor(random: Chance) {
    this.random = random;
    const kinds = ['DaemonSet', 'Deployment', 'StatefulSet'];
    this.workloads = new Map(
      kinds.map((kind) => {
        const key = `falco/${kind}/${kind}`;
        return [key, { namespace: 'falco', apiVersion: 'apps/v1', kind, name: kind, uid: kind, key }];
      }),
    );
    for (const key of this.workloads.keys()) {
      const count = 1 + Math.floor(random() * 4);
      for (let at = 0; at < count; at += 1)
        this.create(key, random() < 0.5 ? undefined : 'settings-old', undefined);
    }
    this.now += 300_000;
    for (let at = 0; at < 2; at += 1) this.addReplica();
  }

  private int(below: number): number {
    return Math.floor(this.random() * below);
  }

  private create(workload: string, settings: string | undefined, after: SimulatedPod['after']): void {
    this.made += 1;
    const uid = `pod-${this.made}`;
    const isSlow = this.random() < (this.calm ? 0 : 0.1);
    const takes = 1_000 + this.int(isSlow ? 600_000 : 20_000);
    // The API server writes whole seconds.
    const createdAt = Math.floor(this.now / 1_000) * 1_000;
    const pod = {
      uid,
      name: uid,
      workload,
      createdAt,
      settings,
      readyAt: this.now + takes,
      endsAt: undefined,
      after,
    };
    this.pods.set(uid, pod);
    if (after !== undefined) this.log.push(`${this.now} ${uid} after ${after.uid}, ${settings ?? 'missed'}`);
  }

  private makeSuccessors(): void {
    for (const one of this.missing.splice(0)) {
      if (one.at > this.now) {
        this.missing.push(one);
        continue;
      }
      const alive = this.replicas.filter(({ dead }) => !dead);
      const settings = this.webhookIsCalled ? alive[this.int(alive.length)]?.settings : undefined;
      this.create(one.pod.workload, settings, one.eviction && { uid: one.pod.uid, ...one.eviction });
    }
  }

  /** What nodes and controllers do meanwhile. */
  advance(milliseconds: number): void {
    this.now += milliseconds;
    this.endPods();
    this.makeSuccessors();
    for (const { readyAt, after, workload } of this.pods.values()) {
      if (readyAt <= this.now && after !== undefined) this.gone.get(workload)?.delete(after.uid);
    }
    this.readSettings();
    this.giveUpWaiting();
  }

  private endPods(): void {
    for (const pod of [...this.pods.values()]) {
      if (pod.endsAt === undefined || pod.endsAt > this.now) continue;
      this.pods.delete(pod.uid);
      const eviction = this.gone.get(pod.workload)?.get(pod.uid);
      this.missing.push({ pod, eviction, at: this.now + this.int(3_000) });
    }
  }

  private readSettings(): void {
    for (const one of this.replicas) {
      const isLate = this.now - this.settingsSince > delay / 2;
      if (one.settings === this.settings || !(isLate || this.random() < 0.2)) continue;
      one.settings = this.settings;
      one.readAt = this.now;
    }
  }

  private giveUpWaiting(): void {
    for (const one of this.pending.splice(0)) {
      if (this.now - one.since > answerTime) one.go(this.random() < 0.5 ? 'not done' : 'done, not answered');
      else this.pending.push(one);
    }
  }

  private settingsSince = 0;
  private changes = 0;
  /** Whether settings that were in force before come back. */
  settingsReturn = true;

  changeSettings(): void {
    // One change at a time: each is read before the next, as the delay supposes.
    if (this.now - this.settingsSince < delay) return;
    this.changes += 1;
    const next = `settings-${this.settingsReturn ? this.int(3) : this.changes}`;
    if (next === this.settings) return;
    this.settings = next;
    this.settingsSince = this.now;
    this.log.push(`${this.now} ${this.settings}`);
  }

  addReplica(): void {
    const name = `replica-${this.replicas.length}`;
    const parts = {
      ...{ me: name, delay, now: () => this.now, tell: () => {} },
      lease: {
        read: () => this.request(() => this.answer(this.lease)),
        write: (next: { holder: string; record: string }, over: StoredLease | undefined) =>
          this.request(() => this.writeLease(next, over)),
      },
      evict: (_namespace: string, pod: { name: string; uid: string }) =>
        this.request(() => this.evict(replica.name, replica.view[0]?.settings ?? '', pod.uid)),
      isThere: (_namespace: string, pod: { name: string; uid: string }) =>
        this.request(() => this.pods.get(pod.uid)?.endsAt === undefined && this.pods.has(pod.uid)),
    };
    const replica: SimulatedReplica = {
      ...{ name, restarts: restarts(parts), startedAt: this.now, settings: this.settings, readAt: this.now },
      ...{ looking: undefined, dead: false, view: [] },
    };
    this.replicas.push(replica);
  }

  private answer<T>(lease: T): LeaseAnswer<T> {
    return { lease, at: Math.floor(this.now / 1_000) * 1_000 };
  }

  private writeLease(
    next: { readonly holder: string; readonly record: string },
    over: StoredLease | undefined,
  ): LeaseAnswer<StoredLease> | undefined {
    if (this.lease?.version !== over?.version) return undefined;
    this.made += 1;
    this.lease = { ...next, version: String(this.made) };
    return this.answer(this.lease);
  }

  /** Waits for its turn; then it takes effect, or not, and is answered, or not. */
  private request<T>(effect: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.pending.push({
        since: this.now,
        go: (fault) => {
          if (fault === 'not done') return reject(new Error('no answer within 10 s'));
          const result = effect();
          if (fault === 'none') resolve(result);
          else reject(new Error('no answer within 10 s'));
        },
      });
    });
  }

  /** @param settings those that the replica saw when it decided */
  private evict(replica: string, settings: string, uid: string): EvictionAnswer {
    const pod = this.pods.get(uid);
    if (pod === undefined) return { kind: 'gone' };
    if (this.budgetsHold) return { kind: 'refused', why: '429' };
    if (pod.endsAt !== undefined) return { kind: 'evicted' };
    for (const what of this.wrongWith(settings, pod)) {
      this.faults.push({ what: `${replica} evicts ${uid}: ${what}`, at: this.now });
    }
    this.evictions += 1;
    pod.endsAt = this.now + this.int(5_000);
    const gone = this.gone.get(pod.workload) ?? new Map<string, Eviction>();
    // A successor that goes before it was ready leaves its place to its own.
    if (pod.after !== undefined) gone.delete(pod.after.uid);
    gone.set(uid, { settings, at: this.now });
    this.gone.set(pod.workload, gone);
    this.log.push(`${this.now} ${replica} evicts ${uid} for ${settings}`);
    return { kind: 'evicted' };
  }

  /** Holds an eviction against the rules. */
  private wrongWith(settings: string, { after, workload, ...pod }: SimulatedPod): string[] {
    // A pod that is not ready serves nobody: after a change of settings it may go before another has become ready.
    const isReady = pod.readyAt <= this.now;
    const underWay = [...(this.gone.get(workload)?.keys() ?? [])].filter((uid) => uid !== after?.uid);
    return [
      ...(pod.settings === settings ? ['it is what the settings ask for'] : []),
      ...(after?.settings === settings && this.settingsSince < after.at
        ? ['twice for the same settings']
        : []),
      ...(isReady && underWay.length > 0 ? [`${underWay.join()} of its workload is under way`] : []),
    ];
  }

  /** The pods as a replica sees them: its watch may be behind. */
  private viewFor(replica: SimulatedReplica): readonly ReplaceableWorkload[] {
    return [...this.workloads.values()].map((workload) => ({
      workload,
      settings: replica.settings,
      steady: this.now - replica.readAt >= delay,
      changedAt: replica.readAt === replica.startedAt ? undefined : replica.readAt,
      pods: [...this.pods.values()]
        .filter((pod) => pod.workload === workload.key)
        .map(
          (pod): ReplaceablePod => ({
            ...{ name: pod.name, uid: pod.uid, revision: 'r', createdAt: pod.createdAt },
            ready: pod.readyAt <= this.now,
            ending: pod.endsAt !== undefined,
            behind: pod.settings !== replica.settings,
            missed: pod.settings === undefined,
            failing: false,
          }),
        ),
    }));
  }

  look(replica: SimulatedReplica): void {
    if (replica.dead || replica.looking !== undefined) return;
    const isBehind = !this.calm && this.random() < 0.2 && replica.view[0]?.settings === replica.settings;
    if (!isBehind) replica.view = this.viewFor(replica);
    replica.looking = replica.restarts.look({ workloads: replica.view }).then(() => {
      replica.looking = undefined;
    });
  }

  /** Lets one request of those on their way take effect. */
  answerOne(): void {
    const [one] = this.pending.splice(this.int(this.pending.length), 1);
    const fate = this.calm ? 1 : this.random();
    one?.go(fate < 0.05 ? 'not done' : fate < 0.1 ? 'done, not answered' : 'none');
  }

  hasPending(): boolean {
    return this.pending.length > 0;
  }

  kill(replica: SimulatedReplica): void {
    replica.dead = true;
    this.log.push(`${this.now} ${replica.name} dies`);
    this.addReplica();
  }

  /** A node takes a pod with it. */
  lose(): void {
    const there = [...this.pods.values()].filter(({ endsAt }) => endsAt === undefined);
    const pod = there[this.int(there.length)];
    if (pod === undefined) return;
    pod.endsAt = this.now;
    // Had it been a successor, that its place is empty is the node's doing.
    if (pod.after !== undefined) this.gone.get(pod.workload)?.delete(pod.after.uid);
  }

  /** Pods that could have been replaced and were not. */
  left(): readonly SimulatedPod[] {
    return [...this.pods.values()].filter(({ settings }) => settings !== this.settings);
  }
}
