/** What is taken, and what each bad request is answered. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { Kept } from '../../src/forwarding/keeper.ts';
import { buildReceiver, largestEvent, mostAtOnce } from '../../src/forwarding/receiver.ts';
import type { NewEvent } from '../../src/forwarding/spool.ts';
import type { PlainServer } from '../../src/server/plain-server.ts';

type Body = string | Uint8Array<ArrayBuffer>;

const good = {
  rule: 'R',
  priority: 'Warning',
  time: '2026-01-31T12:00:00Z',
  output: 'o',
  output_fields: { a: 'b' },
};
const text = (more: Readonly<Record<string, unknown>> = {}): string => JSON.stringify({ ...good, ...more });

let server: PlainServer;
let port: number;
let kept: NewEvent[] = [];
let refused: string[] = [];
let notWanted = 0;
let lowestPriority = 7;
let draining = false;
let keep: () => Promise<Kept> = async () => 'safe';

/** A server whose events come here; `requestTimeout` in milliseconds. */
async function start(requestTimeout?: number): Promise<{ server: PlainServer; port: number }> {
  const started = buildReceiver(
    {
      marks: () => ({ labels: { env: 'staging' }, tags: ['staging'] }),
      lowestPriority: () => lowestPriority,
      keep: (event) => {
        kept.push(event);
        return keep();
      },
      isDraining: () => draining,
      onReceived: () => {},
      onNotWanted: () => notWanted++,
      onRefused: (reason) => refused.push(reason),
    },
    requestTimeout === undefined ? {} : { requestTimeout },
  );
  await started.listen({ host: '127.0.0.1', port: 0 });
  const address = started.server.address();
  return { server: started, port: typeof address === 'object' && address !== null ? address.port : 0 };
}

before(async () => {
  ({ server, port } = await start());
});
after(() => {
  server.server.closeAllConnections();
  return server.close();
});

function fresh(): void {
  kept = [];
  refused = [];
}

async function post(body: Body, path = '/', init: RequestInit = {}) {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body, ...init });
  return { status: answer.status, text: await answer.text(), headers: answer.headers };
}

/** Sends bytes as they are. @returns all that came back until the other side closed */
async function raw(...parts: readonly (string | number)[]): Promise<string> {
  return rawTo(port, parts);
}

async function rawTo(where: number, parts: readonly (string | number)[]): Promise<string> {
  const socket = connect(where, '127.0.0.1');
  let came = '';
  socket.on('data', (chunk: Buffer) => {
    came += chunk.toString();
  });
  socket.on('error', () => {});
  const closed = once(socket, 'close');
  for (const part of parts) {
    if (typeof part === 'number') await sleep(part);
    else if (!socket.destroyed) socket.write(part);
  }
  await closed;
  return came;
}

const head = (length: number, more = ''): string =>
  `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n${more}\r\n`;

describe('taken with 200 and no text, as falcosidekick does', () => {
  const bodies: readonly (readonly [name: string, body: Body, init?: RequestInit])[] = [
    ['an event', text()],
    ['with empty fields, which falcosidekick refuses', text({ output_fields: {} })],
    ['as another type', text(), { headers: { 'content-type': 'application/x-www-form-urlencoded' } }],
    ['without a type', new TextEncoder().encode(text())],
    ['with a byte order mark', `\ufeff${text()}`],
    ['of the largest size', text({ output: 'x'.repeat(largestEvent - text({ output: '' }).length) })],
  ];
  for (const [name, body, init] of bodies) {
    test(name, async () => {
      fresh();
      const answer = await post(body, '/', init);
      assert.deepEqual([answer.status, answer.text, kept.length], [200, '', 1]);
      assert.equal(JSON.parse(kept[0]?.text ?? '').output_fields.env, 'staging');
    });
  }

  test('in chunks', async () => {
    fresh();
    const body = text();
    const [one, two] = [body.slice(0, 20), body.slice(20)];
    const answer = await raw(
      'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n',
      `${one.length.toString(16)}\r\n${one}\r\n`,
      20,
      `${two.length.toString(16)}\r\n${two}\r\n0\r\n\r\n`,
    );
    assert.match(answer, /^HTTP\/1\.1 200 OK/);
    assert.equal(kept.length, 1);
  });

  test('by HTTP/1.0, and with Expect: 100-continue', async () => {
    fresh();
    const body = text();
    assert.match(
      await raw(`POST / HTTP/1.0\r\nContent-Length: ${body.length}\r\n\r\n${body}`),
      /^HTTP\/1\.1 200 OK/,
    );
    const expecting = await raw(head(body.length, 'Expect: 100-continue\r\nConnection: close\r\n'), 30, body);
    assert.match(expecting, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/);
    assert.equal(kept.length, 2);
  });

  test('at any path, as falcosidekick', async () => {
    fresh();
    for (const path of ['/', '/?a=b', '/falco', '/a/b/'])
      assert.equal((await post(text(), path)).status, 200, path);
    assert.equal(kept.length, 4);
  });

  test('/ping, /healthz and a test event', async () => {
    fresh();
    const get = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).text();
    assert.equal(await get('/ping'), 'pong\n');
    assert.equal(await get('/healthz'), '{"status": "ok"}');
    assert.equal((await post('', '/test')).status, 200);
    assert.equal(JSON.parse(kept[0]?.text ?? '').rule, 'Test rule');
  });

  test('below the lowest priority: and not kept', async () => {
    fresh();
    notWanted = 0;
    lowestPriority = 3;
    assert.equal((await post(text())).status, 200);
    lowestPriority = 4;
    assert.equal((await post(text())).status, 200);
    lowestPriority = 7;
    assert.deepEqual([notWanted, kept.length], [1, 1]);
  });
});

describe('refused, with what is wrong, and nothing is kept', () => {
  const bodies: readonly (readonly [name: string, body: Body, status: number, reason: string])[] = [
    ['nothing', '', 400, 'not_json'],
    ['no JSON', 'rule: x', 400, 'not_json'],
    ['half of an event', text().slice(0, -9), 400, 'not_json'],
    ['two events', `${text()}\n${text()}`, 400, 'not_json'],
    ['gzip', gzipSync(text()), 400, 'not_json'],
    ['brackets without an end', '['.repeat(500_000), 400, 'not_json'],
    ['a list', `[${text()}]`, 400, 'not_one_event'],
    ['null', 'null', 400, 'not_one_event'],
    ['no rule', text({ rule: '' }), 400, 'no_rule'],
    ['no time', text({ time: undefined }), 400, 'no_time'],
    ['a time that is none', text({ time: 'yesterday' }), 400, 'no_time'],
    ['no priority', text({ priority: undefined }), 400, 'bad_priority'],
    ['a priority that is none', text({ priority: 'loud' }), 400, 'bad_priority'],
    ['fields that are a list', text({ output_fields: [] }), 400, 'bad_field'],
    ['tags that are no texts', text({ tags: [1] }), 400, 'bad_field'],
    ['too large', text({ output: 'x'.repeat(largestEvent) }), 413, 'too_large'],
    ['much too large', 'x'.repeat(6 * largestEvent), 413, 'too_large'],
  ];
  for (const [name, body, status, reason] of bodies) {
    test(name, async () => {
      fresh();
      const answer = await post(body);
      assert.deepEqual([answer.status, refused, kept], [status, [reason], []]);
      assert.match(answer.text, /^[^\n]{10,200}\n$/);
    });
  }

  test('another method', async () => {
    fresh();
    for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS']) {
      const answer = await fetch(`http://127.0.0.1:${port}/`, { method });
      assert.deepEqual([answer.status, answer.headers.get('allow')], [405, 'POST'], method);
      await answer.text();
    }
    assert.deepEqual(refused, Array(4).fill('method'));
  });

  test('what is no HTTP, and a head without an end', async () => {
    fresh();
    assert.match(await raw('hello\r\n\r\n'), /^HTTP\/1\.1 400 Bad Request/);
    assert.match(
      await raw(`POST / HTTP/1.1\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`),
      /^HTTP\/1\.1 431 Request Header Fields Too Large/,
    );
    assert.deepEqual(refused, ['not_http', 'not_http']);
  });

  test('a sender too slow, in the head or in the body: 408', async () => {
    fresh();
    const slowly = Array.from({ length: 10 }, () => ['x', 100]).flat();
    const impatient = await start(400);
    const [inHead, inBody] = await Promise.all([
      rawTo(impatient.port, ['POST / HTTP/1.1\r\nHost: x\r\nX-Slow: ', ...slowly]),
      rawTo(impatient.port, [head(100), ...slowly]),
    ]);
    await impatient.server.close();
    assert.match(inHead, /^HTTP\/1\.1 408 Request Timeout/);
    assert.match(inBody, /^HTTP\/1\.1 408 Request Timeout/);
    assert.deepEqual(refused, ['too_slow', 'too_slow']);
  });

  test('what is not safe: 503, and when to come again', async () => {
    keep = async () => 'unsafe';
    const answer = await post(text());
    keep = async () => 'safe';
    assert.deepEqual([answer.status, answer.headers.get('retry-after')], [503, '1']);
  });
});

test('a sender that breaks off in the middle costs nobody anything', async () => {
  fresh();
  for (let at = 0; at < 200; at++) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(head(500_000) + 'x'.repeat(200_000));
    socket.on('connect', () => setTimeout(() => socket.resetAndDestroy(), 5));
    await once(socket, 'close');
  }
  // 40 MB of them, were they still counted.
  assert.equal((await post(text())).status, 200);
  assert.deepEqual(refused, []);
});

test('requests have one bound together: who comes beyond it may come again, the others are kept', async () => {
  fresh();
  let release = (): void => {};
  const held = new Promise<Kept>((resolve) => {
    release = () => resolve('safe');
  });
  keep = () => held;
  const body = text({ output: 'x'.repeat(900_000) });
  const fits = Math.floor(mostAtOnce / body.length);
  const first = Array.from({ length: fits }, () => post(body));
  for (let tries = 0; kept.length < fits && tries < 500; tries++) await sleep(10);
  assert.equal(kept.length, fits);
  const beyond = await post(body);
  assert.deepEqual([beyond.status, beyond.headers.get('retry-after'), refused], [503, '1', ['too_many']]);
  release();
  assert.deepEqual([...new Set((await Promise.all(first)).map(({ status }) => status))], [200]);
  keep = async () => 'safe';
  assert.equal((await post(body)).status, 200);
});

test('a thousand connections at once, idle ones and half requests among them: each event is taken', async () => {
  fresh();
  const idle: Socket[] = [];
  for (let at = 0; at < 500; at++) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    if (at % 2 === 0) socket.write('POST / HTTP/1.1\r\n');
    idle.push(socket);
  }
  const body = text();
  const answers = await Promise.all(
    Array.from({ length: 1_000 }, () => raw(head(body.length, 'Connection: close\r\n') + body)),
  );
  assert.ok(answers.every((answer) => answer.startsWith('HTTP/1.1 200 OK')));
  assert.equal(kept.length, 1_000);
  for (const socket of idle) socket.destroy();
});

test('connections that stay open are bounded: falcosidekick leaves one behind for each event', async () => {
  fresh();
  const body = text();
  const sockets: Socket[] = [];
  const answers: string[] = [];
  for (let at = 0; at < 300; at++) {
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    socket.write(head(body.length) + body);
    const [answer] = await once(socket, 'data');
    answers.push(String(answer));
  }
  assert.ok(answers.every((answer) => answer.startsWith('HTTP/1.1 200 OK')));
  const kept = answers.map((answer) => /connection: close/i.test(answer));
  assert.deepEqual([kept[0], kept.at(-1)], [false, true]);
  for (const socket of sockets) socket.destroy();
});

test('while draining events are still taken, and connections asked to close', async () => {
  draining = true;
  const answer = await post(text());
  draining = false;
  assert.deepEqual([answer.status, answer.headers.get('connection')], [200, 'close']);
});
