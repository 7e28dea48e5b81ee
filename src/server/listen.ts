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

const remedies: Readonly<Record<string, (listener: Listener) => string>> = {
  EADDRINUSE: ({ flag }) => `the port is in use; choose another with ${flag}`,
  EACCES: ({ flag }) => `permission denied; choose a port above 1023 with ${flag}`,
  EADDRNOTAVAIL: () => 'this machine does not have that address; choose another with --host',
  ENOTFOUND: () => 'the name does not resolve; use an IP address with --host',
};

function whyNot(listener: Listener, error: unknown): string {
  const { host, port, flag } = listener;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const remedy = remedies[code]?.(listener);
  return `cannot listen on ${host} port ${port} (${flag}): ${remedy === undefined ? messageOf(error) : `${code}, ${remedy}`}`;
}

/**
 * Listens everywhere or nowhere: where one port is not to be had, those that were opened are closed again.
 *
 * @throws Error that names the address, the flag and the remedy
 */
export async function listenOnAll(listeners: readonly Listener[]): Promise<void> {
  for (const listener of listeners) {
    const { server, host, port } = listener;
    try {
      await server.listen({ host, port });
    } catch (error) {
      await Promise.allSettled(listeners.map((one) => one.server.close()));
      throw new Error(whyNot(listener, error));
    }
  }
}

/** The port that a server got: the one asked for, or the system's choice for 0. */
export function portOf({ server, port }: Listener): number {
  const address = server.server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}
