import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { createServer } from 'node:https';
import type { Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { makeServingCertificate } from '../../src/certificates/self-signed.ts';
import type { ClusterConnection } from '../../src/cluster/connection.ts';
import { portOf } from '../port-of.ts';

/** A request as the API server gets it. */
export interface Received {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
}

/** An answer that is one; a function does it by hand. */
export type Answer =
  | { readonly status?: number; readonly body: unknown }
  | ((response: ServerResponse, cut: () => void) => void);

/** What the API server says when it refuses. */
export function refused(status: number, reason: string, message: string): Answer {
  return { status, body: { kind: 'Status', status: 'Failure', code: status, reason, message } };
}

export const lines =
  (...values: readonly unknown[]): Answer =>
  (response) => {
    response.end(values.map((value) => `${JSON.stringify(value)}\n`).join(''));
  };

async function receive(request: IncomingMessage): Promise<Received> {
  request.setEncoding('utf8');
  let text = '';
  for await (const chunk of request) text += chunk;
  const url = new URL(request.url ?? '', 'http://localhost');
  return {
    method: request.method ?? '',
    path: url.pathname,
    query: Object.fromEntries(url.searchParams),
    headers: request.headers,
    body: text === '' ? undefined : JSON.parse(text),
  };
}

/** One for all tests of a file: what is trusted is not what they are about. */
const serving = await makeServingCertificate(['localhost'], 86_400_000);

interface ApiServer {
  readonly connection: ClusterConnection;
  readonly received: readonly Received[];
  /** How many connections there were, and what cuts those that there are. */
  readonly connections: () => number;
  readonly cut: () => void;
}

/** Answers over TLS as a test says, and keeps what it was asked. The real one is met in the end-to-end tests. */
export async function apiServer(
  t: TestContext,
  answer: (received: Received) => Answer,
  speaks: 'HTTP/2' | 'HTTP/1.1' = 'HTTP/2',
): Promise<ApiServer> {
  const received: Received[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const asked = await receive(request);
    received.push(asked);
    const answered = answer(asked);
    if (typeof answered === 'function') return answered(response, cut);
    response.statusCode = answered.status ?? 200;
    response.end(JSON.stringify(answered.body));
  };
  const pair = { cert: serving.certificate, key: serving.key };
  const server =
    speaks === 'HTTP/1.1'
      ? createServer(pair, respond)
      : // Safe: Node's own classes for HTTP/2 have all of those that is used here.
        createSecureServer(
          pair,
          respond as unknown as (...both: [Http2ServerRequest, Http2ServerResponse]) => void,
        );
  server.on('secureConnection', (socket) => {
    connections += 1;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    cut();
  });
  const port = portOf(server);
  return {
    ...{ received, cut, connections: () => connections },
    connection: {
      server: `https://localhost:${port}`,
      namespace: undefined,
      access: async () => ({ ca: serving.ca, headers: { authorization: 'Bearer t' } }),
    },
  };
}
