/** Admissions in a steady stream: Falco pods created as dry runs, each counted. */
import { setTimeout as wait } from 'node:timers/promises';
import type { V1Pod } from '@kubernetes/client-node';
import { until } from '../until.ts';
import type { Api } from './api.ts';

export interface Count {
  /** Pods that the API server answered about. */
  readonly sent: number;
  /** Of these: refused because the webhook could not be called. */
  readonly failed: number;
  /** Of these: created unchanged. */
  readonly unchanged: number;
  /** Milliseconds. */
  readonly longest: number;
  /** Tries that found no API server. */
  readonly unreachable: number;
  /** The first few things that went wrong. */
  readonly messages: readonly string[];
}

export interface Load {
  /** Counts while `during` runs and until so many were sent that they tell something, each of them answered. */
  readonly measure: (during: () => Promise<unknown>) => Promise<Count>;
  readonly stop: () => Promise<void>;
}

interface MutableCount {
  sent: number;
  failed: number;
  unchanged: number;
  longest: number;
  unreachable: number;
  messages: string[];
}

const none = (): MutableCount => ({
  sent: 0,
  failed: 0,
  unchanged: 0,
  longest: 0,
  unreachable: 0,
  messages: [],
});

/** Admissions that tell something of a fault. */
const enough = 50;

/** Milliseconds that a worker rests between two admissions: a stream, not a flood. */
const rest = 10;

function isInjected(pod: unknown): boolean {
  // Safe: 201 means that this is the pod.
  return ((pod as V1Pod).spec?.volumes ?? []).some(({ name }) => name === 'falco-federation');
}

function messageIn(body: unknown): string {
  return typeof body === 'object' && body !== null && 'message' in body ? String(body.message) : String(body);
}

/** Starts `workers` streams of dry-run creations of the pod in a namespace. */
export function startLoad(api: Api, namespace: string, pod: V1Pod, workers = 4): Load {
  let stopped = false;
  let count = none();
  const under = new Set<Promise<void>>();

  function tell(into: MutableCount, message: string): void {
    if (into.messages.length < 5 && !into.messages.includes(message)) into.messages.push(message);
  }

  async function admit(): Promise<void> {
    const into = count;
    try {
      const { status, body, took } = await api.call(
        'POST',
        `/api/v1/namespaces/${namespace}/pods?dryRun=All`,
        pod,
      );
      into.sent += 1;
      into.longest = Math.max(into.longest, took);
      if (status === 201) {
        if (!isInjected(body)) into.unchanged += 1;
        return;
      }
      into.failed += 1;
      tell(into, `${status} ${messageIn(body)}`);
    } catch (error) {
      into.unreachable += 1;
      tell(into, String(error));
      await wait(50);
    }
  }

  const streams = Array.from({ length: workers }, async () => {
    while (!stopped) {
      const one = admit();
      under.add(one);
      await one;
      under.delete(one);
      await wait(rest);
    }
  });
  return {
    measure: async (during) => {
      const mine = none();
      count = mine;
      await during();
      await until('enough admissions were sent', () => mine.sent >= enough);
      count = none();
      await Promise.all(under);
      return mine;
    },
    stop: async () => {
      stopped = true;
      await Promise.all(streams);
    },
  };
}
