/** The thread that has the spool: it does what store.ts asks of a keeper. */
import { parentPort, workerData } from 'node:worker_threads';
import { Keeper, type StoreOptions } from './keeper.ts';
import type { Asked, Said } from './store.ts';

function say(said: Omit<Said, 'status'>): void {
  parentPort?.postMessage({ ...said, status: keeper.status() });
}

// Safe: store.ts starts this thread with nothing else.
const keeper = new Keeper(workerData as StoreOptions, {
  // Opening may tell before there is a keeper to ask.
  onDropped: (dropped) => queueMicrotask(() => say({ dropped })),
  onDamaged: (damaged) => queueMicrotask(() => say({ damaged })),
  onChange: () => queueMicrotask(() => say({})),
});

parentPort?.on('message', ({ number, method, args }: Asked) => {
  // Safe: they are the method's own arguments.
  const call = keeper[method] as (...args: unknown[]) => unknown;
  say({ number, result: call.apply(keeper, [...args]) });
  if (method === 'close') parentPort?.close();
});
say({});
