/** Posting batches over real TLS: what each of the other side's moods comes to. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createTcpServer, type Socket } from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { zstdCompressSync } from 'node:zlib';
import { type BatchOutcome, postBatch } from '../../src/events/batch-client.ts';
import {
  type Credentials,
  type CredentialsResult,
  followCredentials,
  noCredentials,
} from '../../src/events/credentials.ts';
import {
  type HttpAccess,
  type HttpClient,
  type HttpLimits,
  httpClient,
} from '../../src/events/http-client.ts';
import { proxyFor } from '../../src/events/proxy.ts';
import { type TlsHub, tlsHub } from '../forwarding/tls-hub.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { untilSo } from '../until.ts';

const event = '{"rule": "R"}';
const delivered: BatchOutcome = { is: 'taken', done: 1, later: [], refused: [] };
const taken = JSON.stringify({ accepted: 1, duplicates: 0, refused: 0, later: 0, lines: [] });
const ok = `HTTP/1.1 200 OK\r\ncontent-length: ${taken.length}\r\n\r\n${taken}`;

interface TestClient {
  readonly post: (event: string) => Promise<BatchOutcome>;
  readonly close: () => void;
}

/** A client that posts batches of one event. */
function hubClient(access: HttpAccess, limits: HttpLimits = {}): TestClient {
  const client: HttpClient = httpClient(access, limits);
  return {
    ...client,
    post: (text) => postBatch(client, { body: zstdCompressSync(`${text}\n`), events: 1 }),
  };
}

describe('a hub with a private authority', () => {
  let hub: TlsHub;
  let client: TestClient;
  const access = (more: Partial<HttpAccess> = {}): HttpAccess => ({
    address: hub.address,
    credentials: { ...noCredentials, ca: hub.authority.certificate },
    env: {},
    ...more,
  });
  before(async () => {
    hub = await tlsHub();
    client = hubClient(access(), { answerTime: 500 });
  });
  after(async () => {
    client.close();
    await hub.close();
  });

  test('takes events over one connection, with the headers of the Secret', async () => {
    const with_ = hubClient(
      access({
        credentials: {
          ...noCredentials,
          ca: hub.authority.certificate,
          headers: { 'X-Token': 'a:b', Authorization: 'Basic x' },
        },
      }),
    );
    hub.received.length = 0;
    for (let at = 0; at < 3; at++) assert.deepEqual(await with_.post(event), delivered);
    with_.close();
    assert.deepEqual(
      hub.received.map(({ body, headers }) => [body, headers['x-token'], headers.authorization]),
      Array.from({ length: 3 }, () => [event, 'a:b', 'Basic x']),
    );
    assert.equal(hub.received[0]?.headers['content-type'], 'application/x-ndjson');
    assert.equal(new Set(hub.received.map(({ connection }) => connection)).size, 1);
  });

  test('whose authority is not known, or whose name is another: again later, and why', async () => {
    const stranger = hubClient(access({ credentials: noCredentials }));
    const outcome = await stranger.post(event);
    stranger.close();
    assert.equal(outcome.is, 'failed');
    assert.match(outcome.is === 'failed' ? outcome.why : '', /certificate|issuer/);
    const wrongName = hubClient(access({ address: hub.address.replace('localhost', '127.0.0.1') }));
    const named = await wrongName.post(event);
    wrongName.close();
    assert.equal(named.is, 'failed');
  });

  const [certificate, otherService] = [': see the certificate', ', and not as a receiver does'];
  const remedies: Readonly<Record<number, string>> = {
    ...{ 401: certificate, 403: certificate },
    ...{ 202: otherService, 204: otherService, 404: otherService },
  };
  for (const status of [500, 502, 503, 408, 429, 202, 204, 400, 401, 403, 404, 422]) {
    test(`answers ${status}: again later, whatever it says`, async () => {
      hub.answers((response) => response.writeHead(status).end(status === 204 ? '' : taken));
      const outcome = await client.post(event);
      assert.match(
        outcome.is === 'failed' ? outcome.why : '',
        new RegExp(`^the hub answers ${status}${remedies[status] ?? '$'}`),
      );
    });
  }

  for (const [name, body] of [
    ['a sign-in page', '<html>sign in</html>'],
    ['nothing', ''],
    ['for another number of lines', taken.replace(':1', ':2')],
    [
      'for lines that it does not name',
      taken.replace('"accepted":1', '"accepted":0').replace('"later":0', '"later":1'),
    ],
  ] as const) {
    test(`answers 200 and ${name}: not taken`, async () => {
      hub.answers((response) => response.end(body));
      assert.match(JSON.stringify(await client.post(event)), /"failed".*answers 200, and not as a receiver/);
    });
  }

  test('answers line by line', async () => {
    const lines = [
      { line: 0, outcome: 'refused', reason: 'no' },
      { line: 2, outcome: 'later' },
    ];
    hub.answers((response) =>
      response.end(JSON.stringify({ accepted: 1, duplicates: 1, refused: 1, later: 1, lines })),
    );
    const post = httpClient(access());
    const body = zstdCompressSync(`${event}\n`.repeat(4));
    assert.deepEqual(await postBatch(post, { body, events: 4 }), {
      ...{ is: 'taken', done: 3, later: [2] },
      refused: [{ line: 0, reason: 'no' }],
    });
    post.close();
  });

  test('answers 413: too large', async () => {
    hub.answers((response) => response.writeHead(413).end());
    assert.deepEqual(await client.post(event), { is: 'too large', why: 'the hub answers 413' });
  });

  test('says when to come back, in seconds or as a date', async () => {
    hub.answers((response) => response.writeHead(429, { 'retry-after': '7' }).end());
    assert.deepEqual(await client.post(event), { is: 'failed', why: 'the hub answers 429', after: 7_000 });
    const date = new Date(Date.now() + 60_000).toUTCString();
    hub.answers((response) => response.writeHead(503, { 'retry-after': date }).end());
    const outcome = await client.post(event);
    const wait = outcome.is === 'failed' ? (outcome.after ?? 0) : 0;
    assert.ok(wait > 50_000 && wait <= 60_000, String(wait));
    hub.answers((response) => response.writeHead(503, { 'retry-after': 'soon' }).end());
    assert.deepEqual(await client.post(event), { is: 'failed', why: 'the hub answers 503' });
  });

  test('redirects: not followed, and told', async () => {
    hub.received.length = 0;
    hub.answers((response) => response.writeHead(301, { location: 'https://elsewhere.example/' }).end());
    const outcome = await client.post(event);
    assert.match(
      outcome.is === 'failed' ? outcome.why : '',
      /301, a redirect to https:\/\/elsewhere\.example\//,
    );
    assert.equal(hub.received.length, 1);
  });

  test('hangs: given up after the time for an answer', async () => {
    hub.answers(() => {});
    assert.deepEqual(await client.post(event), { is: 'failed', why: 'no answer within 0.5 s' });
  });

  test('breaks the connection: again later', async () => {
    hub.answers((response) => response.destroy());
    assert.equal((await client.post(event)).is, 'failed');
  });

  test('answers with a body without an end: not taken, and the connection is not kept for it', async () => {
    hub.answers((response) => {
      response.writeHead(200);
      const write = (): void => {
        if (!response.destroyed && response.write('x'.repeat(16 * 1024))) setImmediate(write);
      };
      response.on('drain', write);
      write();
    });
    assert.equal((await client.post(event)).is, 'failed');
    hub.answers((response) => response.end(taken));
    assert.deepEqual(await client.post(event), delivered);
  });
});

describe('a hub that asks for client certificates', () => {
  let hub: TlsHub;
  before(async () => {
    hub = await tlsHub({ asksForClients: true });
  });
  after(() => hub.close());

  async function post(credentials: Partial<Credentials>) {
    const client = hubClient({
      address: hub.address,
      credentials: { ...noCredentials, ca: hub.authority.certificate, ...credentials },
      env: {},
    });
    try {
      return await client.post(event);
    } finally {
      client.close();
    }
  }

  test('lets in who has one, by name', async () => {
    const { certificate: cert, key } = await hub.clientFor('staging');
    assert.deepEqual(await post({ client: { cert, key, notAfter: new Date() } }), delivered);
    assert.equal(hub.received.at(-1)?.client, 'staging');
  });

  test('does not let in who has none, or one that has expired: again later, no event is lost', async () => {
    assert.equal((await post({})).is, 'failed');
    const { certificate: cert, key } = await hub.clientFor('staging', -60_000);
    assert.equal((await post({ client: { cert, key, notAfter: new Date() } })).is, 'failed');
  });

  test('the renewed certificate is taken from the folder, without a restart', async () => {
    const folder = temporaryFolder('credentials-');
    const write = async (lifetime: number): Promise<void> => {
      const { certificate, key } = await hub.clientFor('staging', lifetime);
      writeFileSync(path.join(folder, 'tls.crt'), certificate);
      writeFileSync(path.join(folder, 'tls.key'), key);
    };
    writeFileSync(path.join(folder, 'ca.crt'), hub.authority.certificate);
    await write(-60_000);
    const results: CredentialsResult[] = [];
    const stop = await followCredentials(folder, 20, (result) => results.push(result));
    const latest = (): Credentials => {
      const good = results.findLast((result) => result.ok);
      return good?.ok === true ? good.credentials : noCredentials;
    };
    assert.equal((await post(latest())).is, 'failed');
    await write(60_000);
    await untilSo(() => (latest().client?.notAfter.getTime() ?? 0) >= Date.now());
    stop();
    assert.deepEqual(await post(latest()), delivered);
  });
});

describe('credentials', () => {
  async function read(files: Readonly<Record<string, string>>): Promise<CredentialsResult> {
    const folder = temporaryFolder('credentials-');
    for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text);
    let result: CredentialsResult | undefined;
    const stop = await followCredentials(folder, 60_000, (one) => {
      result = one;
    });
    stop();
    assert.ok(result !== undefined);
    return result;
  }

  test('each of them may be missing', async () => {
    assert.deepEqual(await read({}), { ok: true, credentials: noCredentials });
  });

  test('headers: one a line, values with colons, blank lines', async () => {
    assert.deepEqual(await read({ headers: 'X-A: b:c, d\r\n\nAuthorization:  Bearer x\n' }), {
      ok: true,
      credentials: { ...noCredentials, headers: { 'X-A': 'b:c, d', Authorization: 'Bearer x' } },
    });
  });

  for (const [name, files, why] of [
    ['a header without a colon', { headers: 'X-A: b\nsecret' }, /^headers line 2: must be "Name: value"$/],
    ['a header that is ours', { headers: 'Host: x' }, /^headers line 1: Host cannot be set$/],
    ['a certificate without its key', { 'tls.crt': 'x' }, /^tls\.crt and tls\.key go together$/],
    ['no PEM', { 'tls.crt': 'x', 'tls.key': 'y' }, /^tls\.crt, tls\.key: no PEM/],
    ['an authority that is none', { 'ca.crt': 'x' }, /^ca\.crt: no PEM certificate/],
  ] as const) {
    test(`refused: ${name}`, async () => {
      const result = await read(files);
      assert.ok(!result.ok);
      assert.match(result.why, why);
      assert.doesNotMatch(result.why, /secret/);
    });
  }
});

test('a proxy of the environment is used, as Go programs do', async () => {
  const asked: string[] = [];
  const proxy = createHttpServer();
  proxy.on('connect', (request, socket) => {
    asked.push(request.url ?? '');
    socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const listening = proxy.address();
  const port = typeof listening === 'object' && listening !== null ? listening.port : 0;
  const client = hubClient({
    ...{ address: 'https://hub.example/', credentials: noCredentials },
    env: { HTTPS_PROXY: `127.0.0.1:${port}` },
  });
  assert.equal((await client.post(event)).is, 'failed');
  client.close();
  assert.deepEqual(asked, ['hub.example:443']);
  proxy.closeAllConnections();
  proxy.close();
});

describe('NO_PROXY', () => {
  const cases: readonly (readonly [url: string, words: string, isProxied: boolean])[] = [
    ['https://hub.example', '', true],
    ['https://hub.example', '*', false],
    ['https://hub.example', 'other, example', false],
    ['https://hub.example', '.example', false],
    ['https://example', '.example', true],
    ['https://hub.example', 'hub.example:443', false],
    ['https://hub.example', 'hub.example:8443', true],
    ['https://badhub.example', 'hub.example', true],
    ['https://10.1.2.3', '10.0.0.0/8', false],
    ['https://11.1.2.3', '10.0.0.0/8', true],
    ['https://10.1.2.3', '10.1.2.3:443', false],
    ['https://[fd00::1]', 'fd00::/8', false],
    ['https://hub.example', '10.0.0.0/99', true],
    ['https://localhost', '', false],
    ['https://127.0.0.9', '', false],
  ];
  for (const [url, words, isProxied] of cases)
    test(`"${words}" and ${url}: ${isProxied ? 'by the proxy' : 'directly'}`, () => {
      const env = { https_proxy: 'proxy.example:3128', NO_PROXY: words };
      assert.equal(proxyFor(new URL(url), env), isProxied ? 'http://proxy.example:3128' : undefined);
    });
});

test('nobody there, or one who speaks no TLS: again later', async () => {
  const nobody = createTcpServer((socket) => {
    socket.on('error', () => {});
    // Without reading it would never see that the other side has gone, and never be closed.
    socket.resume();
    socket.end('hello');
  });
  nobody.listen(0, '127.0.0.1');
  await once(nobody, 'listening');
  const listening = nobody.address();
  const port = typeof listening === 'object' && listening !== null ? listening.port : 0;
  const client = hubClient({
    address: `https://127.0.0.1:${port}`,
    credentials: noCredentials,
    env: {},
  });
  assert.equal((await client.post(event)).is, 'failed');
  nobody.close();
  await once(nobody, 'close');
  const gone = await client.post(event);
  assert.match(gone.is === 'failed' ? gone.why : '', /ECONNREFUSED/);
  client.close();
});

describe('whatever a hub does, a post has an outcome, and its connection goes', () => {
  /** A server over plain TCP, the number of its open connections, and a client for it. */
  async function plant(
    onConnection: (socket: Socket) => void,
    access: (port: number) => Partial<HttpAccess> = () => ({}),
  ) {
    let open = 0;
    const server = createTcpServer((socket) => {
      open++;
      socket.on('error', () => {});
      socket.on('close', () => open--);
      onConnection(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const listening = server.address();
    const port = typeof listening === 'object' && listening !== null ? listening.port : 0;
    const client = hubClient(
      {
        address: `http://127.0.0.1:${port}`,
        credentials: noCredentials,
        env: {},
        ...access(port),
      },
      { answerTime: 300, idleTime: 400 },
    );
    return {
      client,
      open: () => open,
      closed: async (): Promise<void> => {
        await untilSo(() => open === 0);
        server.close();
      },
    };
  }

  const answering =
    (...answers: string[]) =>
    (socket: Socket): void => {
      socket.on('data', () => socket.write(answers.shift() ?? ok));
    };

  test('a switch of protocols', async () => {
    const { client, closed } = await plant(
      answering('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'),
    );
    assert.equal((await client.post(event)).is, 'failed');
    client.close();
    await closed();
  });

  test('an answer whose body never comes', async () => {
    const { client, closed } = await plant(answering('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'));
    assert.equal((await client.post(event)).is, 'failed');
    await closed();
  });

  test('a head that never ends', async () => {
    const { client, closed } = await plant(answering('HTTP/1.1 200 OK\r\nx-a: 1\r\n'));
    assert.deepEqual(await client.post(event), { is: 'failed', why: 'no answer within 0.3 s' });
    await closed();
  });

  test('a head larger than a head may be', async () => {
    const { client, closed } = await plant(
      answering(`HTTP/1.1 200 OK\r\nx-a: ${'a'.repeat(70_000)}\r\n\r\n`),
    );
    assert.match(JSON.stringify(await client.post(event)), /failed.*Header/i);
    await closed();
  });

  test('a proxy that never answers', async () => {
    const { client, closed } = await plant(
      (socket) => socket.resume(),
      (port) => ({
        address: 'https://hub.example',
        env: { HTTPS_PROXY: `127.0.0.1:${port}` },
      }),
    );
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => client.post(event)));
    assert.deepEqual(
      [...new Set(outcomes.map((outcome) => JSON.stringify(outcome)))],
      ['{"is":"failed","why":"no answer within 0.3 s"}'],
    );
    client.close();
    await closed();
  });

  test('an idle connection goes', async () => {
    const { client, open, closed } = await plant(answering());
    assert.deepEqual(await client.post(event), delivered);
    assert.equal(open(), 1);
    await closed();
  });

  test('a connection that the hub closed as it was used again: another one at once', async () => {
    let connections = 0;
    const { client, closed } = await plant((socket) => {
      const isFirst = ++connections === 1;
      let requests = 0;
      socket.on('data', () => {
        if (isFirst && ++requests === 2) socket.resetAndDestroy();
        else socket.write(ok);
      });
    });
    assert.deepEqual(await client.post(event), delivered);
    assert.deepEqual(await client.post(event), delivered);
    assert.equal(connections, 2);
    client.close();
    await closed();
  });

  test('a client that is closed lets what is on its way arrive, and takes nothing more', async () => {
    const { client, closed } = await plant((socket) => {
      socket.on('data', () => setTimeout(() => socket.write(ok), 100));
    });
    const outcome = client.post(event);
    await sleep(30);
    client.close();
    assert.deepEqual(await outcome, delivered);
    assert.equal((await client.post(event)).is, 'failed');
    await closed();
  });

  test('an address of IPv6', async (t) => {
    const server = createHttpServer((request, response) => {
      request.resume();
      response.end(taken);
    });
    server.listen(0, '::1');
    const [failed] = await Promise.race([once(server, 'listening'), once(server, 'error')]);
    if (failed instanceof Error) return t.diagnostic('left out: this machine has no IPv6');
    const listening = server.address();
    const port = typeof listening === 'object' && listening !== null ? listening.port : 0;
    const client = hubClient({
      address: `http://[::1]:${port}/`,
      credentials: noCredentials,
      env: {},
    });
    assert.deepEqual(await client.post(event), delivered);
    client.close();
    server.close();
  });
});
