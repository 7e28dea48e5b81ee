import { messageOf } from '../reasons/message-of.ts';
import type { AnyServer } from './plain-server.ts';

/** A server, and where it is to listen. */
export interface Listener {
  readonly server: AnyServer;
  readonly host: string;
  readonly port: number;
  /** The flag that says the port: errors name it. */
  readonly flag: string;
}

/**
 * Listens everywhere or nowhere: where one port is not to be had, those that were opened are closed again.
 *
 * @throws Error that names the address and the flag
 */
export async function listenOnAll(listeners: readonly Listener[]): Promise<void> {
  for (const { server, host, port, flag } of listeners) {
    try {
      await server.listen({ host, port });
    } catch (error) {
      await Promise.allSettled(listeners.map((one) => one.server.close()));
      throw new Error(`cannot listen on ${host} port ${port} (${flag}): ${messageOf(error)}`);
    }
  }
}

/** The port that a server got: the one asked for, or the system's choice for 0. */
export function portOf({ server, port }: Listener): number {
  const address = server.server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}
