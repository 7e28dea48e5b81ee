/** The thread that has the spool: what store.ts asks of it, done by a keeper. */
import { parentPort, workerData } from 'node:worker_threads';
import { Keeper } from './keeper.ts';
import type { Reply, Request, Status, StoreOptions } from './store-messages.ts';

type Said = Reply extends infer One
  ? One extends Reply
    ? Omit<One, 'status'> & { readonly status?: Status }
    : never
  : never;

function say(reply: Said, transfer: ArrayBuffer[] = []): void {
  // Safe: only the status may have been missing.
  parentPort?.postMessage({ status: keeper.status(), ...reply } as Reply, transfer);
}

// Safe: store.ts starts this thread with nothing else.
const keeper = new Keeper(workerData as StoreOptions, {
  // Opening may tell before there is a keeper to ask.
  onDropped: (dropped) => queueMicrotask(() => say({ is: 'dropped', dropped })),
  onDamaged: (saved) => queueMicrotask(() => say({ is: 'damaged', saved })),
  onChange: () => queueMicrotask(() => say({ is: 'status' })),
});

parentPort?.on('message', (request: Request) => {
  switch (request.is) {
    case 'keep':
      keeper.keep(request.events, (kept) => say({ is: 'kept', number: request.number, kept }));
      return;
    case 'next': {
      const batch = keeper.next(request.mostEvents, request.lowest);
      if (batch === undefined) return say({ is: 'next', number: request.number, batch });
      const { body, ...rest } = batch;
      const bytes = new Uint8Array(body);
      return say({ is: 'next', number: request.number, batch: rest, body: bytes }, [bytes.buffer]);
    }
    case 'settle':
      keeper.settle(request.batch, request.settled);
      return;
    case 'resize':
      keeper.resize(request.limit);
      return;
    case 'close':
      say({ is: 'closed', number: request.number, status: keeper.close() });
      parentPort?.close();
  }
});
say({ is: 'status' });
