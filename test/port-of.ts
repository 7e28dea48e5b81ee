import assert from 'node:assert/strict';
import type { Server } from 'node:net';

/** The port on which a server listens. */
export function portOf(server: Pick<Server, 'address'>): number {
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null, 'it listens on no port');
  return address.port;
}
