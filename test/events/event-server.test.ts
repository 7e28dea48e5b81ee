/** What is taken, and what each bad request is answered. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { type LineOutcome, type ReadLine, readLines, type SentEvent } from '../../src/events/batch.ts';
import {
  deepest,
  largestBody,
  largestDecoded,
  largestEvent,
  mostAtOnce,
  mostLines,
} from '../../src/events/bounds.ts';
import { eventServer } from '../../src/events/event-server.ts';
import { Refusal } from '../../src/events/refusal.ts';
import type { PlainServer } from '../../src/server/plain-server.ts';
import { portOf } from '../port-of.ts';
import { processorTime } from '../processor-time.ts';
import { untilSo } from '../until.ts';

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
let kept: SentEvent[] = [];
let refused: string[] = [];
let draining = false;
let keep: (read: ReadLine) => Promise<LineOutcome> = async () => ({ is: 'accepted' });

/** A server whose events come here; `requestTimeout` in milliseconds. */
async function start(requestTimeout = 30_000): Promise<{ server: PlainServer; port: number }> {
  const started = eventServer({
    create: createServer,
    take: async ({ lines }) => {
      const outcomes = await Promise.all(
        [...lines].map(async (read): Promise<[number, LineOutcome]> => {
          if ('reason' in read) return [read.line, { ...read, is: 'refused' }];
          kept.push(read);
          return [read.line, await keep(read)];
        }),
      );
      return new Map(outcomes);
    },
    isDraining: () => draining,
    onRefused: (reason) => refused.push(reason),
    requestTimeout,
  });
  await started.listen({ host: '127.0.0.1', port: 0 });
  return { server: started, port: portOf(started.server) };
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
  // Not `once`, which fails where the server has closed while this one writes.
  const closed = new Promise((resolve) => socket.on('close', resolve));
  for (const part of parts) {
    if (typeof part === 'number') await sleep(part);
    else if (!socket.destroyed && !/ [45]\d\d /.test(came)) socket.write(part);
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
      assert.equal(JSON.parse(kept[0]?.text ?? '').rule, 'R');
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

  test('/ping and a test event', async () => {
    fresh();
    const get = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).text();
    assert.equal(await get('/ping'), 'pong\n');
    assert.equal((await post('', '/test')).status, 200);
    assert.equal(JSON.parse(kept[0]?.text ?? '').rule, 'Falco federation test event');
  });
});

const batch = (body: Body, headers: Readonly<Record<string, string>> = {}) =>
  post(body, '/', { headers: { 'content-type': 'application/x-ndjson', ...headers } });

describe('a batch: an event a line', () => {
  test('each line has its answer, and events keep their bytes', async () => {
    fresh();
    const odd = `{"event": ${text({ rule: 'odd' })}, "key": "b"}`;
    const large = '{"rule":"R","time":"2026-01-31T12:00:00Z","priority":"error","n":12345678901234567890}';
    keep = async (read) => {
      if ('reason' in read || read.line !== 6) return { is: 'accepted' };
      return { is: 'later', message: 'not now' };
    };
    const answer = await batch(
      [
        `{"key":"a/1/2","event":${large}}`,
        '',
        'no JSON',
        odd,
        text(),
        `{"key":"a b","event":${text()}}`,
        text(),
        `{"key":"c","event":{}}`,
        '   ',
      ].join('\n'),
    );
    keep = async () => ({ is: 'accepted' });
    assert.equal(answer.headers.get('content-type'), 'application/json');
    const { lines, ...counts } = JSON.parse(answer.text);
    assert.deepEqual(counts, { accepted: 3, duplicates: 0, refused: 3, later: 1 });
    assert.deepEqual(
      lines.map(({ line, outcome }: { line: number; outcome: string }) => [line, outcome]),
      [
        [2, 'refused'],
        [5, 'refused'],
        [6, 'later'],
        [7, 'refused'],
      ],
    );
    assert.match(lines[0].reason, /^not JSON/);
    assert.deepEqual(refused, ['not_json', 'bad_key', 'no_rule']);
    assert.deepEqual(
      kept.map(({ line, key }) => [line, key]),
      [
        [0, 'a/1/2'],
        [3, 'b'],
        [4, undefined],
        [6, undefined],
      ],
    );
    assert.deepEqual([kept[0]?.text, kept[1]?.text], [large, text({ rule: 'odd' })]);
  });

  test('compressed by gzip and zstd, with CRLF, and empty', async () => {
    for (const [encoding, compress] of [
      ['gzip', gzipSync],
      ['zstd', zstdCompressSync],
    ] as const) {
      fresh();
      const answer = await batch(compress(`${text()}\r\n${text()}\r\n`), { 'content-encoding': encoding });
      assert.deepEqual([JSON.parse(answer.text).accepted, kept.length], [2, 2], encoding);
    }
    assert.deepEqual(JSON.parse((await batch('')).text), {
      ...{ accepted: 0, duplicates: 0, refused: 0, later: 0, lines: [] },
    });
  });

  test('a hundred reasons at most, and every line that was refused', async () => {
    fresh();
    const { lines } = JSON.parse((await batch('x\n'.repeat(150))).text);
    assert.equal(lines.length, 150);
    assert.equal(lines.filter(({ reason }: { reason?: string }) => reason !== undefined).length, 100);
  });

  const bad: readonly (readonly [
    name: string,
    body: Body,
    headers: Record<string, string>,
    status: number,
  ])[] = [
    ['no gzip', 'x', { 'content-encoding': 'gzip' }, 400],
    ['half of it', gzipSync(text()).subarray(0, 40), { 'content-encoding': 'gzip' }, 400],
    ['another encoding', 'x', { 'content-encoding': 'br' }, 415],
    ['one named like a member of Object', 'x', { 'content-encoding': 'constructor' }, 415],
    ['another type', 'x', { 'content-type': 'text/html' }, 415],
    ['too many lines', 'x\n'.repeat(mostLines + 1), {}, 413],
    [
      'bytes that become too many',
      zstdCompressSync(Buffer.alloc(largestDecoded + 1)),
      { 'content-encoding': 'zstd' },
      413,
    ],
  ];
  for (const [name, body, headers, status] of bad) {
    test(`refused as a whole: ${name}`, async () => {
      fresh();
      const answer = await batch(body, headers);
      assert.deepEqual([answer.status, kept], [status, []]);
      assert.match(answer.text, /^[^\n]{10,200}\n$/);
    });
  }

  test('a megabyte of brackets costs no more than reading it', async () => {
    fresh();
    const deep = '{"":'.repeat(largestEvent / 4);
    const plain = Buffer.from(`{"":"${'x'.repeat(largestEvent - 10)}"}`);
    await batch(deep);
    assert.deepEqual(refused, ['too_deep']);
    const [withBrackets, without] = [Buffer.from(deep), plain].map((body) =>
      processorTime(() => void [...readLines(body)]),
    );
    assert.ok((withBrackets ?? 0) < (without ?? 0) * 3, `${withBrackets} ms, and ${without} ms without`);
  });
});

test('who holds back its last byte gives way to the others', async () => {
  fresh();
  const large = 3 * 1024 * 1024;
  const slow = Array.from({ length: 6 }, () => rawTo(port, [head(large), 'x'.repeat(large - 1)]));
  const answers: number[] = [];
  for (let at = 0; at < 20; at++) {
    await sleep(20);
    answers.push((await post(text({ output: 'x'.repeat(900_000) }))).status);
  }
  assert.deepEqual([...new Set(answers)], [200]);
  assert.ok(refused.length > 0 && refused.every((reason) => reason === 'too_slow'), refused.join());
  server.server.closeAllConnections();
  const told = await Promise.all(slow);
  assert.equal(told.filter((answer) => answer.startsWith('HTTP/1.1 408')).length, refused.length);
});

describe('refused, with what is wrong, and nothing is kept', () => {
  const bodies: readonly (readonly [name: string, body: Body, status: number, reason: string])[] = [
    ['nothing', '', 400, 'not_json'],
    ['no JSON', 'rule: x', 400, 'not_json'],
    ['half of an event', text().slice(0, -9), 400, 'not_json'],
    ['two events', `${text()}\n${text()}`, 400, 'not_json'],
    ['gzip that does not say so', gzipSync(text()), 400, 'not_json'],
    [
      'deeper than it may be',
      text({ output_fields: { a: JSON.parse('['.repeat(deepest) + ']'.repeat(deepest)) } }),
      400,
      'too_deep',
    ],
    ['brackets without an end', '['.repeat(500_000), 400, 'too_deep'],
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
    ['much too large', 'x'.repeat(largestBody + 1), 413, 'too_large'],
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
    // Closed while more of it comes, it may not hear the answer.
    assert.match(
      await raw(`POST / HTTP/1.1\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`).catch(String),
      /^HTTP\/1\.1 431 Request Header Fields Too Large|ECONNRESET/,
    );
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
  });

  test('what is not safe: 503, and when to come again', async () => {
    keep = async () => {
      throw new Refusal(503, 'unsafe', 'not on disk');
    };
    const answer = await post(text());
    keep = async () => ({ is: 'accepted' });
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
  const held = new Promise<LineOutcome>((resolve) => {
    release = () => resolve({ is: 'accepted' });
  });
  keep = () => held;
  const body = text({ output: 'x'.repeat(900_000) });
  const fits = Math.floor(mostAtOnce / body.length);
  const first = Array.from({ length: fits }, () => post(body));
  await untilSo(() => kept.length >= fits);
  assert.equal(kept.length, fits);
  const beyond = await post(body);
  assert.deepEqual([beyond.status, beyond.headers.get('retry-after'), refused], [503, '1', ['too_many']]);
  release();
  assert.deepEqual([...new Set((await Promise.all(first)).map(({ status }) => status))], [200]);
  keep = async () => ({ is: 'accepted' });
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

test('while draining events are still taken, and connections asked to close', async () => {
  draining = true;
  const answer = await post(text());
  draining = false;
  assert.deepEqual([answer.status, answer.headers.get('connection')], [200, 'close']);
});
