/** A hub for tests: a real HTTPS server with a certificate of the test's own, which does what it is told. */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { type Issued, makeAuthority, makeClient, makeServing } from '../../src/certificates/issue.ts';
import { linesOf, takeAll } from './forwarder-process.ts';

const day = 86_400_000;

export interface Received {
  readonly body: string;
  readonly headers: IncomingMessage['headers'];
  /** Common name of the client's certificate. */
  readonly client: string | undefined;
  /** A number for each connection. */
  readonly connection: number;
}

export interface TlsHub {
  readonly address: string;
  readonly authority: Issued;
  readonly received: Received[];
  readonly server: Server;
  /** What it answers from now on. */
  readonly answers: (
    respond: (response: ServerResponse, request: IncomingMessage, lines: number) => void,
  ) => void;
  /** A certificate for a spoke; `lifetime` in milliseconds. */
  readonly clientFor: (name: string, lifetime?: number) => Promise<Issued>;
  readonly close: () => Promise<void>;
}

/**
 * @param options.asksForClients whether a client certificate is required
 * @param options.days life of its authority
 */
export async function tlsHub(
  options: { readonly asksForClients?: boolean; readonly days?: number } = {},
): Promise<TlsHub> {
  const authority = await makeAuthority(Date.now(), (options.days ?? 10) * day);
  const own = await makeServing(authority, ['localhost'], Date.now(), day);
  let respond = (response: ServerResponse, _request: IncomingMessage, lines: number): void =>
    takeAll(response, lines);
  const received: Received[] = [];
  const connections = new Map<object, number>();
  const server = createServer(
    {
      cert: own.certificate,
      key: own.key,
      ...(options.asksForClients === true
        ? { ca: authority.certificate, requestCert: true, rejectUnauthorized: true }
        : {}),
    },
    async (request, response) => {
      // Safe: every socket of an HTTPS server is one.
      const socket = request.socket as TLSSocket;
      if (!connections.has(socket)) connections.set(socket, connections.size);
      const lines = await linesOf(request).catch(() => []);
      const body = lines.join('\n');
      const subject = socket.getPeerCertificate()?.subject?.CN;
      received.push({
        body,
        headers: request.headers,
        client: typeof subject === 'string' ? subject : undefined,
        connection: connections.get(socket) ?? 0,
      });
      respond(response, request, lines.length);
    },
  );
  // A handshake that fails is the client's to tell.
  server.on('tlsClientError', () => {});
  server.listen(0, 'localhost');
  await once(server, 'listening');
  const listening = server.address();
  const port = typeof listening === 'object' && listening !== null ? listening.port : 0;
  return {
    address: `https://localhost:${port}/in`,
    authority,
    received,
    server,
    answers: (next) => {
      respond = next;
    },
    clientFor: (name, lifetime = day) => makeClient(authority, name, Date.now(), lifetime),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
