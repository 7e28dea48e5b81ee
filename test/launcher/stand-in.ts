/** A server in the forwarder's place: keeps events by their keys, and behaves as badly as a test wants. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { TestContext } from 'node:test';
import { portOf } from '../port-of.ts';

/** One request: its lines, and what answers it. */
export interface Posted {
  readonly request: IncomingMessage;
  readonly answer: ServerResponse;
  readonly lines: readonly string[];
  readonly bytes: number;
}

export type Behaviour = (posted: Posted) => void;

/** A well-formed answer to lines of which some are refused. */
export function answerTo(
  lines: number,
  duplicates = 0,
  refused: readonly number[] = [],
  reason = 'not JSON',
): string {
  const accepted = lines - duplicates - refused.length;
  const told = refused.map((line) => ({ line, outcome: 'refused', reason }));
  return JSON.stringify({ accepted, duplicates, refused: refused.length, later: 0, lines: told });
}

export async function standIn(t: TestContext, host = '127.0.0.1', fixedPort = 0) {
  /** By key, the text of its event as it came. */
  const events = new Map<string, string>();
  let lines = 0;
  let requests = 0;

  const take: Behaviour = (posted) => {
    let duplicates = 0;
    for (const line of posted.lines) {
      const [, key = '', event = ''] =
        /^\{"key":"([A-Za-z0-9._/:-]{1,200})","event":(\{.*\})\}$/.exec(line) ??
        assert.fail(`no envelope: ${line.slice(0, 200)}`);
      JSON.parse(event);
      const before = events.get(key);
      assert.ok(before === undefined || before === event, `one key, two events: ${key}`);
      duplicates += before === undefined ? 0 : 1;
      events.set(key, event);
    }
    lines += posted.lines.length;
    posted.answer.setHeader('content-type', 'application/json');
    posted.answer.end(answerTo(posted.lines.length, duplicates));
  };

  let behaviour = take;
  const server = createServer((request, answer) => {
    requests++;
    const chunks: Buffer[] = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('error', () => undefined);
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      assert.deepEqual(
        [request.method, request.url, request.headers['content-type']],
        ['POST', '/', 'application/x-ndjson'],
      );
      behaviour({ request, answer, lines: body.toString().split('\n').slice(0, -1), bytes: body.length });
    });
  });
  const listen = async (port: number) => {
    server.listen(port, host);
    await once(server, 'listening');
    return portOf(server);
  };
  const port = await listen(fixedPort);
  const stop = () => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  };
  t.after(() => (server.listening ? stop() : undefined));
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    server,
    events,
    take,
    /** Lines that came in all, doubles too, and requests. */
    lines: () => lines,
    requests: () => requests,
    behave: (next: Behaviour = take) => {
      behaviour = next;
    },
    stop,
    start: () => listen(port),
    /** The `output` of each event that has come. */
    outputs: () => [...events.values()].map((event) => String(JSON.parse(event).output)),
  };
}
