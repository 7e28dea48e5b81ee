import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';

/** Waits for what comes soon. */
export async function until(isSo: () => boolean): Promise<void> {
  const end = performance.now() + 5_000;
  while (!isSo()) {
    assert.ok(performance.now() < end, 'in vain');
    await wait(2);
  }
}
