/** Posting to a hub over real TLS: what each of its moods comes to. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Credentials,
  type CredentialsResult,
  followCredentials,
  noCredentials,
} from '../../src/events/credentials.ts';
import { type HubAccess, type HubClient, hubClient } from '../../src/forwarding/hub-client.ts';
import { type TlsHub, tlsHub } from './tls-hub.ts';

const event = '{"rule": "R"}';

describe('a hub with a private authority', () => {
  let hub: TlsHub;
  let client: HubClient;
  const access = (more: Partial<HubAccess> = {}): HubAccess => ({
    address: hub.address,
    checkCertificate: true,
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
    for (let at = 0; at < 3; at++) assert.deepEqual(await with_.post(event), { is: 'delivered' });
    with_.close();
    assert.deepEqual(
      hub.received.map(({ body, headers }) => [body, headers['x-token'], headers.authorization]),
      Array.from({ length: 3 }, () => [event, 'a:b', 'Basic x']),
    );
    assert.equal(hub.received[0]?.headers['content-type'], 'application/json');
    assert.equal(new Set(hub.received.map(({ connection }) => connection)).size, 1);
  });

  test('whose authority is not known, or whose name is another: again later, and why', async () => {
    const stranger = hubClient(access({ credentials: noCredentials }));
    const outcome = await stranger.post(event);
    stranger.close();
    assert.equal(outcome.is, 'retry');
    assert.match(outcome.is === 'retry' ? outcome.why : '', /certificate|issuer/);
    const wrongName = hubClient(access({ address: hub.address.replace('localhost', '127.0.0.1') }));
    const named = await wrongName.post(event);
    wrongName.close();
    assert.equal(named.is, 'retry');
  });

  test('is taken without a check where the settings say so', async () => {
    const trusting = hubClient(access({ credentials: noCredentials, checkCertificate: false }));
    assert.deepEqual(await trusting.post(event), { is: 'delivered' });
    trusting.close();
  });

  for (const status of [200, 202, 204]) {
    test(`answers ${status}: delivered`, async () => {
      hub.answers((response) => response.writeHead(status).end());
      assert.deepEqual(await client.post(event), { is: 'delivered' });
    });
  }

  for (const status of [500, 502, 503, 408, 425, 429]) {
    test(`answers ${status}: again later`, async () => {
      hub.answers((response) => response.writeHead(status).end('no'));
      assert.deepEqual(await client.post(event), { is: 'retry', why: `the hub answers ${status}` });
    });
  }

  for (const status of [400, 401, 403, 404, 413, 422]) {
    test(`answers ${status}: refused`, async () => {
      hub.answers((response) => response.writeHead(status).end('no'));
      assert.deepEqual(await client.post(event), {
        is: 'refused',
        status,
        why: `the hub answers ${status}`,
      });
    });
  }

  test('says when to come back, in seconds or as a date', async () => {
    hub.answers((response) => response.writeHead(429, { 'retry-after': '7' }).end());
    assert.deepEqual(await client.post(event), { is: 'retry', why: 'the hub answers 429', after: 7_000 });
    const date = new Date(Date.now() + 60_000).toUTCString();
    hub.answers((response) => response.writeHead(503, { 'retry-after': date }).end());
    const outcome = await client.post(event);
    const wait = outcome.is === 'retry' ? (outcome.after ?? 0) : 0;
    assert.ok(wait > 50_000 && wait <= 60_000, String(wait));
    hub.answers((response) => response.writeHead(503, { 'retry-after': 'soon' }).end());
    assert.deepEqual(await client.post(event), { is: 'retry', why: 'the hub answers 503' });
  });

  test('redirects: not followed, and told', async () => {
    hub.received.length = 0;
    hub.answers((response) => response.writeHead(301, { location: 'https://elsewhere.example/' }).end());
    const outcome = await client.post(event);
    assert.match(
      outcome.is === 'retry' ? outcome.why : '',
      /301, a redirect to https:\/\/elsewhere\.example\//,
    );
    assert.equal(hub.received.length, 1);
  });

  test('hangs: given up after the time for an answer', async () => {
    hub.answers(() => {});
    assert.deepEqual(await client.post(event), { is: 'retry', why: 'no answer within 0.5 s' });
  });

  test('breaks the connection: again later', async () => {
    hub.answers((response) => response.destroy());
    assert.equal((await client.post(event)).is, 'retry');
  });

  test('answers with a body without an end: delivered, and the connection is not kept for it', async () => {
    hub.answers((response) => {
      response.writeHead(200);
      const write = (): void => {
        if (!response.destroyed && response.write('x'.repeat(16 * 1024))) setImmediate(write);
      };
      response.on('drain', write);
      write();
    });
    assert.deepEqual(await client.post(event), { is: 'delivered' });
    hub.answers((response) => response.end('ok'));
    assert.deepEqual(await client.post(event), { is: 'delivered' });
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
      checkCertificate: true,
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
    assert.deepEqual(await post({ client: { cert, key, notAfter: new Date() } }), { is: 'delivered' });
    assert.equal(hub.received.at(-1)?.client, 'staging');
  });

  test('does not let in who has none, or one that has expired: again later, no event is lost', async () => {
    assert.equal((await post({})).is, 'retry');
    const { certificate: cert, key } = await hub.clientFor('staging', -60_000);
    assert.equal((await post({ client: { cert, key, notAfter: new Date() } })).is, 'retry');
  });

  test('the renewed certificate is taken from the folder, without a restart', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'credentials-'));
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
    assert.equal((await post(latest())).is, 'retry');
    await write(60_000);
    for (let tries = 0; tries < 100 && (latest().client?.notAfter.getTime() ?? 0) < Date.now(); tries++)
      await sleep(20);
    stop();
    assert.deepEqual(await post(latest()), { is: 'delivered' });
  });
});

describe('credentials', () => {
  async function read(files: Readonly<Record<string, string>>): Promise<CredentialsResult> {
    const folder = mkdtempSync(path.join(tmpdir(), 'credentials-'));
    for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text);
    let result: CredentialsResult | undefined;
    const stop = await followCredentials(folder, 60_000, (one) => {
      result = one;
    });
    stop();
    rmSync(folder, { recursive: true });
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

test('a proxy of the environment is used, and left out where NO_PROXY says so', async () => {
  const hub = await tlsHub();
  const asked: string[] = [];
  const proxy = createHttpServer();
  proxy.on('connect', (request, socket) => {
    asked.push(request.url ?? '');
    const [, port] = (request.url ?? '').split(':');
    const upstream = connect(Number(port), 'localhost', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on('error', () => socket.destroy());
    socket.on('error', () => upstream.destroy());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const listening = proxy.address();
  const port = typeof listening === 'object' && listening !== null ? listening.port : 0;
  const post = async (env: NodeJS.ProcessEnv) => {
    const client = hubClient({
      address: hub.address,
      checkCertificate: true,
      credentials: { ...noCredentials, ca: hub.authority.certificate },
      env,
    });
    const outcome = await client.post(event);
    client.close();
    return outcome;
  };
  const HTTPS_PROXY = `http://127.0.0.1:${port}`;
  assert.deepEqual(await post({ HTTPS_PROXY }), { is: 'delivered' });
  assert.deepEqual(asked, [new URL(hub.address).host]);
  assert.deepEqual(await post({ HTTPS_PROXY, NO_PROXY: 'localhost' }), { is: 'delivered' });
  assert.equal(asked.length, 1);
  proxy.closeAllConnections();
  proxy.close();
  await hub.close();
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
    checkCertificate: true,
    credentials: noCredentials,
    env: {},
  });
  assert.equal((await client.post(event)).is, 'retry');
  nobody.close();
  await once(nobody, 'close');
  const gone = await client.post(event);
  assert.match(gone.is === 'retry' ? gone.why : '', /ECONNREFUSED/);
  client.close();
});

describe('whatever a hub does, a post has an outcome, and its connection goes', () => {
  /** A server over plain TCP, the number of its open connections, and a client for it. */
  async function plant(
    onConnection: (socket: Socket) => void,
    access: (port: number) => Partial<HubAccess> = () => ({}),
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
        checkCertificate: true,
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
        for (let tries = 0; open > 0 && tries < 150; tries++) await sleep(20);
        assert.equal(open, 0, 'connections stay open');
        server.close();
      },
    };
  }

  const answering =
    (...answers: string[]) =>
    (socket: Socket): void => {
      socket.on('data', () =>
        socket.write(answers.shift() ?? 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'),
      );
    };

  test('a switch of protocols', async () => {
    const { client, closed } = await plant(
      answering('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'),
    );
    assert.equal((await client.post(event)).is, 'retry');
    client.close();
    await closed();
  });

  test('an answer whose body never comes', async () => {
    const { client, closed } = await plant(answering('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'));
    assert.deepEqual(await client.post(event), { is: 'delivered' });
    await closed();
  });

  test('a head that never ends', async () => {
    const { client, closed } = await plant(answering('HTTP/1.1 200 OK\r\nx-a: 1\r\n'));
    assert.deepEqual(await client.post(event), { is: 'retry', why: 'no answer within 0.3 s' });
    await closed();
  });

  test('a head larger than a head may be', async () => {
    const { client, closed } = await plant(
      answering(`HTTP/1.1 200 OK\r\nx-a: ${'a'.repeat(70_000)}\r\n\r\n`),
    );
    assert.match(JSON.stringify(await client.post(event)), /retry.*Header/i);
    await closed();
  });

  test('a proxy that never answers', async () => {
    const { client, closed } = await plant(
      (socket) => socket.resume(),
      (port) => ({
        address: 'https://hub.example',
        env: { HTTPS_PROXY: `http://127.0.0.1:${port}` },
      }),
    );
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => client.post(event)));
    assert.deepEqual(
      [...new Set(outcomes.map((outcome) => JSON.stringify(outcome)))],
      ['{"is":"retry","why":"no answer within 0.3 s"}'],
    );
    client.close();
    await closed();
  });

  test('an idle connection goes', async () => {
    const { client, open, closed } = await plant(answering());
    assert.deepEqual(await client.post(event), { is: 'delivered' });
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
        else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
      });
    });
    assert.deepEqual(await client.post(event), { is: 'delivered' });
    assert.deepEqual(await client.post(event), { is: 'delivered' });
    assert.equal(connections, 2);
    client.close();
    await closed();
  });

  test('a client that is closed lets what is on its way arrive, and takes nothing more', async () => {
    const { client, closed } = await plant((socket) => {
      socket.on('data', () =>
        setTimeout(() => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'), 100),
      );
    });
    const outcome = client.post(event);
    await sleep(30);
    client.close();
    assert.deepEqual(await outcome, { is: 'delivered' });
    assert.equal((await client.post(event)).is, 'retry');
    await closed();
  });

  test('an address of IPv6', async (t) => {
    const server = createHttpServer((request, response) => {
      request.resume();
      response.end();
    });
    server.listen(0, '::1');
    const [failed] = await Promise.race([once(server, 'listening'), once(server, 'error')]);
    if (failed instanceof Error) return t.diagnostic('left out: this machine has no IPv6');
    const listening = server.address();
    const port = typeof listening === 'object' && listening !== null ? listening.port : 0;
    const client = hubClient({
      address: `http://[::1]:${port}/`,
      checkCertificate: true,
      credentials: noCredentials,
      env: {},
    });
    assert.deepEqual(await client.post(event), { is: 'delivered' });
    client.close();
    server.close();
  });
});
