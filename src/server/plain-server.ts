/** Servers over plain HTTP without a framework, which takes memory and time that these do not have. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Server as NetServer } from 'node:net';
import { messageOf } from '../reasons/message-of.ts';

/** What the commands need of a server, a framework's or a plain one. */
export interface AnyServer {
  readonly server: NetServer;
  listen(where: { readonly host: string; readonly port: number }): Promise<unknown>;
  /** The promise is done when the last connection is. */
  close(): Promise<unknown>;
}

export interface PlainServer extends AnyServer {
  readonly server: Server;
}

/** Connections that may wait to be taken: what the kernel allows (net.core.somaxconn). Beyond it they are reset. */
const backlog = 65_535;

export function plainServer(server: Server): PlainServer {
  return {
    server,
    listen: ({ host, port }) =>
      new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ port, host, backlog }, () => {
          server.off('error', reject);
          resolve();
        });
      }),
    // One that never listened is an error to Node, and closed all the same.
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

export interface Page {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

/** Pages by path, for GET; by `POST path` for what does something. */
export type Pages = Readonly<Record<string, (request: IncomingMessage) => Page | Promise<Page>>>;

const type = 'text/plain; charset=utf-8';

/** What makes the answer to a request. */
function pageFor(pages: Pages, { method, url = '' }: IncomingMessage): Pages[string] | undefined {
  const [path = ''] = url.split('?', 1);
  const key = method === 'GET' || method === 'HEAD' ? path : `${method} ${path}`;
  return Object.hasOwn(pages, key) ? pages[key] : undefined;
}

/** A server of a few pages, made anew for each request. */
export function pagesServer(pages: Pages): PlainServer {
  const pageAt = async (request: IncomingMessage): Promise<Page> => {
    const page = pageFor(pages, request);
    if (page === undefined)
      return { status: 404, type, text: `not found: ${request.method} ${request.url}\n` };
    try {
      return await page(request);
    } catch (error) {
      return { status: 500, type, text: `${messageOf(error)}\n` };
    }
  };
  const server = createServer(async (request, response) => {
    request.resume();
    const { status, type, text } = await pageAt(request);
    const body = Buffer.from(text);
    response.writeHead(status, { 'content-type': type, 'content-length': body.length }).end(body);
  });
  return plainServer(server);
}
