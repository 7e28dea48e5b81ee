import { setTimeout as wait } from 'node:timers/promises';
import type { AnyServer } from './plain-server.ts';

/** Milliseconds. */
export interface Drain {
  /** How long calls may still be sent here after we said that we go away: until every node has heard of it. */
  readonly delay: number;
  /** When all must be over; Kubernetes kills after `terminationGracePeriodSeconds`. */
  readonly grace: number;
}

const lookEvery = 100;

function connections(server: AnyServer): Promise<number> {
  return new Promise((resolve, reject) => {
    server.server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
  });
}

/**
 * Closes a server without failing a call. The API server does not retry a call whose connection was closed on it
 * (FACTS 4.2), so none is closed that it may still use: the server goes on listening and answering, each answer says
 * `Connection: close`, and it is closed when all connections are gone or the grace period ends.
 */
export async function drain(server: AnyServer, { delay, grace }: Drain): Promise<void> {
  const start = performance.now();
  const over = () => performance.now() - start;
  while (over() < grace && (over() < delay || (await connections(server)) > 0)) await wait(lookEvery);
  // What is in the middle of an answer here gets it; a client that never reads it does not hold us.
  await Promise.race([server.close(), wait(1_000, undefined, { ref: false })]);
}
