import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { makeServingCertificate } from '../../src/certificates/self-signed.ts';
import type { ClusterConnection } from '../../src/cluster/connection.ts';
import { requestJson, requestJsonLines } from '../../src/cluster/request.ts';
import { namespaces } from '../../src/cluster/resource.ts';
import { portOf } from '../port-of.ts';
import { type Answer, apiServer } from './api-server.ts';

const list = (connection: ClusterConnection) =>
  requestJson(connection, { verb: 'list', resource: namespaces });

const watch = (connection: ClusterConnection, signal: AbortSignal) =>
  requestJsonLines(connection, { verb: 'watch', resource: namespaces }, signal);

const answer = ({ query }: { readonly query: Readonly<Record<string, string>> }): Answer =>
  query.watch === undefined ? { body: {} } : (response) => response.flushHeaders();

/** A way to the API server that can be made to carry nothing any more, without a word to either side. */
async function wayTo(t: TestContext, { server, ...rest }: ClusterConnection) {
  const sockets: Socket[] = [];
  const way = createServer((from) => {
    const to = connect(Number(new URL(server).port), '127.0.0.1');
    from.pipe(to).pipe(from);
    for (const socket of [from, to]) sockets.push(socket.on('error', () => {}));
  });
  way.listen(0, '127.0.0.1');
  await once(way, 'listening');
  t.after(() => {
    way.close();
    for (const socket of sockets) socket.destroy();
  });
  const port = portOf(way);
  return {
    connection: { ...rest, server: `https://localhost:${port}` },
    block: () => {
      for (const socket of sockets) socket.unpipe().pause();
    },
  };
}

test('watches and all else share a connection, up to a hundred at once', async (t) => {
  const { connection, connections } = await apiServer(t, answer);
  const stopping = new AbortController();
  t.after(() => stopping.abort());
  await Promise.all(Array.from({ length: 90 }, () => watch(connection, stopping.signal)));
  for (let times = 0; times < 3; times++) await list(connection);
  assert.equal(connections(), 1);
  await Promise.all(Array.from({ length: 50 }, () => watch(connection, stopping.signal)));
  await list(connection);
  assert.equal(connections(), 2);
});

test('a server without HTTP/2 is asked by HTTP/1.1', async (t) => {
  const { connection, received } = await apiServer(t, answer, 'HTTP/1.1');
  assert.deepEqual(await Promise.all([list(connection), list(connection)]), [{}, {}]);
  assert.deepEqual(
    received.map(({ headers }) => headers.authorization),
    ['Bearer t', 'Bearer t'],
  );
});

test('after a connection was cut there is another one', async (t) => {
  const { connection, connections, cut } = await apiServer(t, answer);
  const events = await watch(connection, new AbortController().signal);
  cut();
  await assert.rejects(async () => {
    for await (const _ of events);
  }, /: connection closed$/);
  await list(connection);
  assert.equal(connections(), 2);
});

test('a connection that answers nothing any more is given up with the first request that waits in vain', async (t) => {
  const { connection: direct, connections } = await apiServer(t, answer);
  const { connection, block } = await wayTo(t, direct);
  const events = await watch(connection, new AbortController().signal);
  block();
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const waiting = list(connection);
  waiting.catch(() => {});
  await new Promise(setImmediate);
  t.mock.timers.tick(10_000);
  await assert.rejects(waiting, /no answer within 10 s/);
  t.mock.timers.tick(5_000);
  await assert.rejects(async () => {
    for await (const _ of events);
  }, /: connection closed$/);
  t.mock.timers.reset();
  assert.deepEqual(await list(connection), {});
  assert.equal(connections(), 2);
});

test('an authority that was rotated away is not trusted any more, from the next request on', async (t) => {
  const { connection } = await apiServer(t, answer);
  await list(connection);
  const { ca } = await makeServingCertificate(['localhost'], 86_400_000);
  const rotated = { ...connection, access: async () => ({ ca }) };
  await assert.rejects(list(rotated), /certificate/);
  assert.deepEqual(await list(connection), {});
});

test('nobody waits for a connection that does not come about when all is closed', async (t) => {
  const silent = createServer((socket) => t.after(() => socket.destroy()));
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => silent.close());
  const port = portOf(silent);
  const closing = new AbortController();
  const connection: ClusterConnection = {
    server: `https://localhost:${port}`,
    namespace: undefined,
    access: async () => ({}),
    closed: closing.signal,
  };
  const waiting = list(connection);
  waiting.catch(() => {});
  await once(silent, 'connection');
  closing.abort(new Error('stopping'));
  await assert.rejects(waiting, /: stopping$/);
});
