import { setTimeout as wait } from 'node:timers/promises';
import type { Logger } from 'pino';
import { askedPause, pauseAfter } from '../../background/pause-after.ts';
import { type ClusterConnection, imageOfPod } from '../../cluster/index.ts';
import { webhookContainer } from '../../federation/names.ts';
import { messageOf } from '../../reasons/message-of.ts';
import type { Condition } from '../../server/health.ts';
import { defaultImage } from '../../settings/schema.ts';

/** The image that this program runs from, which is the one that it puts into pods. */
export interface OwnImage {
  readonly current: () => string | undefined;
  /** @param isSet whether the settings name an image, so that nobody needs ours */
  readonly check: (isSet: boolean) => Condition;
  readonly stop: () => void;
}

/** How long a start waits for the answer, milliseconds; then pods are let through without tagging until it comes. */
const patience = 5_000;

/** On a workstation, and wherever the program is not told its pod. */
const asBuilt: OwnImage = {
  current: () => defaultImage,
  check: () => ({ ready: true, detail: `ok, ${defaultImage}` }),
  stop: () => {},
};

/** Which pod this is, as its environment says. */
export interface OwnPod {
  readonly namespace: string;
  readonly name: string;
}

/** Asks for the own pod until there is an answer; an image does not change while its container runs. */
export function ownImage(
  connection: ClusterConnection | undefined,
  pod: OwnPod | undefined,
  logger: Logger,
): OwnImage {
  if (connection === undefined || pod === undefined) return asBuilt;
  const stopped = new AbortController();
  const until = performance.now() + patience;
  let image: string | undefined;
  let problem: string | undefined;
  const ask = async (): Promise<void> => {
    for (let failures = 0; image === undefined && !stopped.signal.aborted; failures++) {
      try {
        image = await imageOfPod(connection, pod.namespace, pod.name, webhookContainer);
        logger.info({ image }, 'own image known');
      } catch (error) {
        const why = messageOf(error);
        if (why !== problem)
          logger.warn({ problem: why }, 'cannot read which image this pod runs; rules stay untagged');
        problem = why;
        const pause = Math.max(pauseAfter(failures), askedPause(error));
        await wait(pause, undefined, { signal: stopped.signal, ref: false }).catch(() => {});
      }
    }
  };
  void ask();
  return {
    current: () => image,
    check: (isSet) => {
      if (isSet) return { ready: true, detail: 'ok, as rules.image says' };
      if (image !== undefined) return { ready: true, detail: `ok, ${image}` };
      const why = problem === undefined ? '' : `: ${problem}`;
      return {
        ready: performance.now() > until,
        detail: `unknown, rules of new pods stay untagged; allow get on pods in this namespace, or set rules.image${why}`,
      };
    },
    stop: () => stopped.abort(),
  };
}
