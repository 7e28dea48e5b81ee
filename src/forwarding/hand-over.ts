/** On the way out, what the hub does not take is given to the other replica: the disk may go with the pod. */
import { postBatch } from '../events/batch-client.ts';
import type { HttpClient } from '../events/http-client.ts';
import type { Store } from './store.ts';

/** Events of a batch. */
const most = 500;

/** Failures in a row after which there is nobody to take them. */
const mostFailures = 5;

/**
 * @param until as performance.now()
 * @returns how many events the other replica has taken
 */
export async function handOver(
  store: Pick<Store, 'next' | 'settle'>,
  peer: HttpClient,
  until: number,
): Promise<number> {
  let taken = 0;
  for (let failures = 0; failures < mostFailures && performance.now() < until; ) {
    const batch = await store.next(most, 7);
    if (batch === undefined) break;
    const outcome = await postBatch(peer, batch);
    if (outcome.is === 'taken') {
      failures = 0;
      taken += batch.events - outcome.refused.length - outcome.later.length;
      store.settle(batch.number, outcome);
    } else {
      failures++;
      store.settle(batch.number, 'back');
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
  return taken;
}
