import { setTimeout as wait } from 'node:timers/promises';

/** Waits until a look finds what is wanted; half a minute at most. A look that throws has not found it yet. */
export async function until<T>(what: string, look: () => T, wanted: T): Promise<void> {
  const end = performance.now() + 30_000;
  for (;;) {
    const found = foundOrThrown(look);
    if (found === wanted) return;
    if (performance.now() > end) throw new Error(`${what}: after 30 s ${found}, not ${wanted}`);
    await wait(20);
  }
}

function foundOrThrown<T>(look: () => T): T | string {
  try {
    return look();
  } catch (error) {
    return String(error);
  }
}
