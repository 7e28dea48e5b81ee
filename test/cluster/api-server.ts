import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { TestContext } from 'node:test';
import type { ClusterConnection } from '../../src/cluster/connection.ts';

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
  | ((response: ServerResponse) => void);

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

/** Answers over HTTP as a test says, and keeps what it was asked. The real one is met in the end-to-end tests. */
export async function apiServer(
  t: TestContext,
  answer: (received: Received) => Answer,
): Promise<{ readonly connection: ClusterConnection; readonly received: readonly Received[] }> {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    const asked = await receive(request);
    received.push(asked);
    const answered = answer(asked);
    if (typeof answered === 'function') return answered(response);
    response.statusCode = answered.status ?? 200;
    response.end(JSON.stringify(answered.body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    received,
    connection: {
      server: `http://127.0.0.1:${port}`,
      namespace: undefined,
      access: async () => ({ headers: { authorization: 'Bearer t' } }),
    },
  };
}
