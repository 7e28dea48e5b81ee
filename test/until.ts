import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';

type Condition = () => boolean | Promise<boolean>;

/**
 * Waits until something is so, and gives the milliseconds that it took. The patience is that of a machine which may
 * keep a process waiting for seconds: it only says when a test has failed.
 */
export async function until(what: string, isSo: Condition, patience = 60_000): Promise<number> {
  const from = performance.now();
  while (!(await isSo())) {
    assert.ok(performance.now() - from < patience, `waited in vain until ${what}`);
    await wait(10);
  }
  return performance.now() - from;
}

/** The same where the condition says it all. */
export const untilSo = (isSo: Condition): Promise<number> => until(String(isSo), isSo);
