import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import Fastify from 'fastify';
import { drain } from '../../src/server/drain.ts';
import { portOf } from '../port-of.ts';

async function serving() {
  let draining = false;
  const server = Fastify({ return503OnClosing: false, keepAliveTimeout: 120_000 });
  server.addHook('onSend', async (_request, reply) => {
    if (draining) reply.header('connection', 'close');
  });
  server.get('/', async () => 'ok');
  const asked = Promise.withResolvers<void>();
  server.get('/slow', async () => {
    asked.resolve();
    await wait(600);
    return 'ok';
  });
  await server.listen({ host: '127.0.0.1', port: 0 });
  const port = portOf(server.server);
  return {
    server,
    port,
    /** Once somebody waits for the slow answer. */
    asked: asked.promise,
    drain: (delay: number, grace: number) => {
      draining = true;
      return drain(server, { delay, grace });
    },
  };
}

async function ask(port: number, agent: Agent, path = '/'): Promise<IncomingMessage> {
  const outgoing = get({ host: '127.0.0.1', port, path, agent });
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
  assert.equal(await text(answer), 'ok');
  return answer;
}

test('a drained server answers old and new connections, asks them to close, and ends when they are gone', async () => {
  const { port, drain: start } = await serving();
  const old = new Agent({ keepAlive: true, maxSockets: 1 });
  assert.equal((await ask(port, old)).headers.connection, 'keep-alive');

  const from = performance.now();
  const ended = start(400, 30_000);
  const fresh = new Agent({ keepAlive: true });
  assert.equal((await ask(port, fresh)).headers.connection, 'close', 'a new connection');
  await wait(500);
  // The delay is over, but the connection of before is still there, and may be used once more.
  assert.equal((await ask(port, old)).headers.connection, 'close');
  await ended;
  const took = performance.now() - from;
  assert.ok(took >= 450 && took < 20_000, `ended after ${took} ms`);
  await assert.rejects(ask(port, fresh), /ECONNREFUSED/);
});

test('an answer that is on its way when the grace period ends still arrives', async () => {
  const { port, asked, drain: start } = await serving();
  const slow = ask(port, new Agent(), '/slow');
  await asked;
  await start(0, 200);
  await slow;
});

test('a connection that nobody uses is closed when the grace period ends', async () => {
  const { port, drain: start } = await serving();
  const idle = connect(port, '127.0.0.1');
  await once(idle, 'connect');
  const from = performance.now();
  await start(0, 300);
  const took = performance.now() - from;
  assert.ok(took >= 250 && took < 20_000, `ended after ${took} ms`);
  idle.destroy();
});
