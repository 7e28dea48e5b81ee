/**
 * How many events arrive at a real falcosidekick behind a real receiver while it is up, dead, restarted, hanging and
 * slow, each by the forwarder and mutual TLS.
 *
 * `FALCOSIDEKICK_BINARY` names the program. `OUTAGE_EVENTS` (60) and `OUTAGE_SECONDS` (2) make it longer, and
 * `OUTAGE_TABLE=1` prints the table of docs/delivery.md.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { Agent, createServer, request as httpRequest } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeClient } from '../../src/certificates/issue.ts';
import { stage } from '../receiving/stage.ts';
import { eventNamed, makePlace, send, startForwarder } from './forwarder-process.ts';

const binary = process.env.FALCOSIDEKICK_BINARY ?? '';
const count = Number(process.env.OUTAGE_EVENTS ?? 60);
const outage = Number(process.env.OUTAGE_SECONDS ?? 2) * 1_000;
const withTable = process.env.OUTAGE_TABLE !== undefined;

async function freePort(): Promise<number> {
  const server = createTcpServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function startFalcosidekick(
  port: number,
  env: Readonly<Record<string, string>> = {},
): Promise<ChildProcess> {
  const child = spawn(binary, [], {
    env: { LISTENADDRESS: '127.0.0.1', LISTENPORT: String(port), ...env },
    stdio: 'ignore',
  });
  for (let tries = 0; tries < 500; tries++) {
    const pong = await fetch(`http://127.0.0.1:${port}/ping`).catch(() => undefined);
    if (pong?.ok) return child;
    await sleep(20);
  }
  throw new Error(`${binary} does not listen on ${port}`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGCONT');
  child.kill('SIGKILL');
  await exited;
}

/** A falcosidekick, and a door in front of it that notes what it answers 200 to, and else does as it does. */
class Hub {
  readonly arrived = new Map<string, number>();
  private readonly agent = new Agent({ keepAlive: true });
  private readonly server = createServer(async (request, response) => {
    const body = await buffer(request).catch(() => undefined);
    if (body === undefined) return;
    const onward = httpRequest(
      {
        host: '127.0.0.1',
        port: this.port,
        method: request.method,
        path: request.url,
        agent: this.agent,
        headers: { 'content-length': body.length },
      },
      (answer) => {
        if (answer.statusCode === 200 && request.method === 'POST') this.note(body.toString());
        response.writeHead(answer.statusCode ?? 502);
        answer.pipe(response);
      },
    );
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    onward.end(body);
  });
  private port = 0;
  private child: ChildProcess | undefined;
  address = '';

  async start(): Promise<void> {
    this.port = await freePort();
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    const address = this.server.address();
    this.address = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/`;
    await this.revive();
  }

  private note(body: string): void {
    const name: unknown = JSON.parse(body).output_fields?.name;
    if (typeof name === 'string') this.arrived.set(name, (this.arrived.get(name) ?? 0) + 1);
  }

  async kill(): Promise<void> {
    if (this.child !== undefined) await end(this.child);
  }

  async revive(): Promise<void> {
    this.child = await startFalcosidekick(this.port);
  }

  hang(): void {
    this.child?.kill('SIGSTOP');
  }

  goOn(): void {
    this.child?.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    await this.kill();
    this.agent.destroy();
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** What happens to the hub while events come in; `work` sends them. */
const outages: Readonly<Record<string, (hub: Hub, work: () => Promise<void>) => Promise<void>>> = {
  'is up': (_hub, work) => work(),
  'is dead for a while': async (hub, work) => {
    await hub.kill();
    await Promise.all([work(), sleep(outage)]);
    await hub.revive();
  },
  'is restarted': async (hub, work) => {
    const working = work();
    for (let at = 0; at < 3; at++) {
      await sleep(outage / 6);
      await hub.kill();
      await sleep(outage / 6);
      await hub.revive();
    }
    await working;
  },
  hangs: async (hub, work) => {
    hub.hang();
    await Promise.all([work(), sleep(outage)]);
    hub.goOn();
  },
};

/** One way of events to the hub: where to post them, and what ends it. */
interface Way {
  readonly port: number;
  readonly stop: () => Promise<unknown>;
}

/** A receiver in this process, and a forwarder that sends to it. */
async function wayTo(hub: Hub): Promise<Way> {
  const receiver = await stage({}, { address: hub.address });
  const place = makePlace(`cluster: staging\nhub: { address: "https://localhost:${receiver.port}/" }\n`);
  const { certificate, key } = await makeClient(receiver.authority, 'staging', Date.now(), 86_400_000);
  const files = { 'tls.crt': certificate, 'tls.key': key, 'ca.crt': receiver.authority.certificate };
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(place.credentials, name), text);
  const { port, stop } = await startForwarder(place);
  return {
    port,
    stop: async () => {
      await stop('SIGKILL');
      await receiver.close();
    },
  };
}

/** @returns how many were answered with 200 */
async function sendAll(port: number): Promise<number> {
  let [at, taken] = [0, 0];
  const one = async (): Promise<void> => {
    while (at < count) if ((await send(port, eventNamed(`e${at++}`))) === 200) taken++;
  };
  await Promise.all(Array.from({ length: 16 }, one));
  return taken;
}

/** Waits until all are there, or for so long nothing more has come. */
async function settled(hub: Hub, patience: number): Promise<void> {
  let last = performance.now();
  for (let had = 0; hub.arrived.size < count && performance.now() - last < patience; await sleep(100)) {
    if (hub.arrived.size === had) continue;
    had = hub.arrived.size;
    last = performance.now();
  }
}

const rows: string[] = [];

describe('outages of the hub', { timeout: 3_600_000 }, () => {
  for (const [name, happen] of binary === '' ? [] : Object.entries(outages)) {
    test(`the hub ${name}: ${count} events`, async (t) => {
      const hub = new Hub();
      await hub.start();
      const way = await wayTo(hub);
      let taken = 0;
      try {
        await happen(hub, async () => {
          taken = await sendAll(way.port);
        });
        await settled(hub, 60_000);
        const twice = [...hub.arrived.values()].filter((times) => times > 1).length;
        t.diagnostic(`taken ${taken}, arrived ${hub.arrived.size}, twice ${twice}`);
        rows.push(`| ${name} | ${taken} | ${hub.arrived.size} | ${twice} |`);
        assert.deepEqual([taken, hub.arrived.size], [count, count]);
      } finally {
        await way.stop();
        await hub.stop();
      }
    });
  }

  test('the program is there', (t) => {
    if (binary === '') t.diagnostic('left out: FALCOSIDEKICK_BINARY names no falcosidekick');
    else assert.equal(rows.length, Object.keys(outages).length);
  });

  after(() => {
    if (withTable)
      console.log(['| the hub | taken | arrived | twice |', '| --- | --- | --- | --- |', ...rows].join('\n'));
  });
});
