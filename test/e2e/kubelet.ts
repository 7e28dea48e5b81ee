/** What a node's kubelet would write of its pods: this control plane has none. */
import { setTimeout as wait } from 'node:timers/promises';
import type { V1Pod } from '@kubernetes/client-node';
import type { Api } from './api.ts';
import { podsIn } from './created-pods.ts';

export interface Kubelet {
  /** From now on these pods of its namespace become ready, and no others. */
  readonly readies: (which: (pod: V1Pod) => boolean) => void;
  /** What was seen: pods as they were created and as they went, in order. */
  readonly history: readonly PodNews[];
  readonly stop: () => Promise<void>;
}

export interface PodNews {
  readonly kind: 'created' | 'ready' | 'gone';
  readonly pod: string;
  readonly at: number;
}

const conditions = (ready: boolean) =>
  ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map((type) => ({
    type,
    status: ready || type === 'PodScheduled' ? 'True' : 'False',
  }));

export const isReady = ({ status }: V1Pod): boolean =>
  status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true;

export async function writeStatus(api: Api, pod: V1Pod, status: unknown): Promise<void> {
  const { namespace, name } = pod.metadata ?? {};
  const path = `/api/v1/namespaces/${namespace}/pods/${name}/status`;
  await api.call('PATCH', path, { status }, 'application/strategic-merge-patch+json');
}

/** Works for one namespace until it is stopped. */
export function startKubelet(api: Api, namespace: string): Kubelet {
  let which: (pod: V1Pod) => boolean = () => true;
  let stopped = false;
  const history: PodNews[] = [];
  const known = new Map<string, { pod: V1Pod; ready: boolean }>();
  const note = (kind: PodNews['kind'], { metadata }: V1Pod): void => {
    history.push({ kind, pod: metadata?.name ?? '', at: performance.now() });
  };

  async function write(pod: V1Pod): Promise<void> {
    const uid = pod.metadata?.uid ?? '';
    const before = known.get(uid);
    if (before === undefined) note('created', pod);
    const ready = which(pod);
    known.set(uid, { pod, ready });
    if (before?.ready === ready) return;
    await writeStatus(api, pod, { phase: 'Running', conditions: conditions(ready) });
    if (ready) note('ready', pod);
  }

  async function look(): Promise<void> {
    const pods = await podsIn(api, namespace);
    const uids = new Set(pods.map(({ metadata }) => metadata?.uid));
    for (const [uid, { pod }] of known) {
      if (uids.has(uid)) continue;
      note('gone', pod);
      known.delete(uid);
    }
    for (const pod of pods) await write(pod);
  }

  const working = (async () => {
    while (!stopped) {
      // An API server that is away is asked again.
      await look().catch(() => {});
      await wait(100);
    }
  })();
  return {
    readies: (next) => {
      which = next;
    },
    history,
    stop: async () => {
      stopped = true;
      await working;
    },
  };
}
