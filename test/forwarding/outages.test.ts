/**
 * What becomes of events while a real falcosidekick is dead, restarted, hanging, slow or full of errors, while a
 * certificate has expired, a spoke is shut out, and the receiver is killed: each by a real forwarder and a real receiver
 * over mutual TLS.
 *
 * `FALCOSIDEKICK_BINARY` names the program. `OUTAGE_EVENTS` (60), `OUTAGE_SECONDS` (2), `OUTAGE_KILLS` (5) and
 * `OUTAGE_BACKLOG` (1,000) make it longer, and `OUTAGE_TABLE=1` prints the table of docs/delivery.md.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { Agent, createServer, request as httpRequest, type Server } from 'node:http';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Issued, makeAuthority, makeClient, makeServing } from '../../src/certificates/issue.ts';
import { portOf } from '../port-of.ts';
import { freePorts } from '../real/free-ports.ts';
import {
  eventNamed,
  makePlace,
  type Place,
  type Started,
  send,
  startForwarder,
  startReceiver,
} from './forwarder-process.ts';

const binary = process.env.FALCOSIDEKICK_BINARY ?? '';
const count = Number(process.env.OUTAGE_EVENTS ?? 60);
const outage = Number(process.env.OUTAGE_SECONDS ?? 2) * 1_000;
const kills = Number(process.env.OUTAGE_KILLS ?? 5);
const backlog = Number(process.env.OUTAGE_BACKLOG ?? 1_000);
const withTable = process.env.OUTAGE_TABLE !== undefined;
const hour = 3_600_000;

async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // Safe: it listens on a port.
  return `http://127.0.0.1:${portOf(server)}/`;
}

async function startFalcosidekick(
  port: number,
  env: Readonly<Record<string, string>> = {},
): Promise<ChildProcess> {
  const child = spawn(binary, [], {
    env: { LISTENADDRESS: '127.0.0.1', LISTENPORT: String(port), ...env },
    stdio: 'ignore',
  });
  for (let tries = 0; tries < 3_000; tries++) {
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

/** What the events of a round have come to, by their names. */
class Arrivals {
  readonly times = new Map<string, number>();

  note(body: string): void {
    const name: unknown = JSON.parse(body).output_fields?.name;
    if (typeof name === 'string') this.times.set(name, (this.times.get(name) ?? 0) + 1);
  }

  get size(): number {
    return this.times.size;
  }

  get twice(): number {
    return [...this.times.values()].filter((times) => times > 1).length;
  }
}

/**
 * A falcosidekick, a door in front of it that notes what it answers 200 to and else does as it does, and an output that
 * takes 200 ms for each event.
 */
class Hub {
  readonly arrived = new Arrivals();
  /** What its output has got. */
  readonly brought = new Arrivals();
  /** What the door answers in its place; undefined: it is asked. */
  answers: ((body: string) => { readonly status: number; readonly text: string } | undefined) | undefined;
  address = '';
  private readonly agent = new Agent({ keepAlive: true });
  private readonly door = createServer(async (request, response) => {
    const body = await buffer(request).catch(() => undefined);
    if (body === undefined) return;
    const instead = request.method === 'POST' ? this.answers?.(body.toString()) : undefined;
    if (instead !== undefined) {
      response.writeHead(instead.status).end(instead.text);
      return;
    }
    const onward = httpRequest(
      {
        ...{ host: '127.0.0.1', port: this.port, method: request.method, path: request.url },
        ...{ agent: this.agent, headers: { 'content-length': body.length } },
      },
      (answer) => {
        if (answer.statusCode === 200 && request.method === 'POST') this.arrived.note(body.toString());
        response.writeHead(answer.statusCode ?? 502);
        answer.pipe(response);
      },
    );
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    onward.end(body);
  });
  private readonly output = createServer(async (request, response) => {
    const body = await buffer(request).catch(() => undefined);
    if (body === undefined) return;
    await sleep(200);
    this.brought.note(body.toString());
    response.end();
  });
  private env: Readonly<Record<string, string>> = {};
  private port = 0;
  private child: ChildProcess | undefined;

  async start(isSlow: boolean): Promise<void> {
    [this.port = 0] = await freePorts(1);
    this.address = await listening(this.door);
    if (isSlow)
      this.env = {
        WEBHOOK_ADDRESS: await listening(this.output),
        // Else one after the other (FACTS 3.20).
        WEBHOOK_MAXCONCURRENTREQUESTS: '100',
      };
    await this.revive();
  }

  async kill(): Promise<void> {
    if (this.child !== undefined) await end(this.child);
  }

  async revive(): Promise<void> {
    this.child = await startFalcosidekick(this.port, this.env);
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.child?.kill(signal);
  }

  async stop(): Promise<void> {
    await this.kill();
    this.agent.destroy();
    for (const server of [this.door, this.output]) {
      server.closeAllConnections();
      server.close();
    }
  }
}

function writeCredentials({ credentials }: Place, { certificate, key }: Issued, ca: string): void {
  const files = { 'tls.crt': certificate, 'tls.key': key, 'ca.crt': ca };
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(credentials, name), text);
}

/** A forwarder, and a receiver that can be killed. */
class Way {
  private readonly hub: Hub;
  private readonly authority: Issued;
  private readonly receiverPlace: Place;
  private readonly forwarderPlace: Place;
  private receiver: Started;
  readonly forwarder: Started;

  private constructor(
    hub: Hub,
    authority: Issued,
    [receiver, receiverPlace]: readonly [Started, Place],
    [forwarder, forwarderPlace]: readonly [Started, Place],
  ) {
    [this.hub, this.authority] = [hub, authority];
    [this.receiver, this.receiverPlace] = [receiver, receiverPlace];
    [this.forwarder, this.forwarderPlace] = [forwarder, forwarderPlace];
  }

  static async to(hub: Hub): Promise<Way> {
    const authority = await makeAuthority(Date.now(), 24 * hour);
    const own = await makeServing(authority, ['localhost'], Date.now(), 24 * hour);
    const receiverPlace = makePlace(Way.settings(hub, 'staging'));
    writeCredentials(receiverPlace, own, authority.certificate);
    const receiver = await startReceiver(receiverPlace);
    const address = `https://localhost:${receiver.port}/`;
    const forwarderPlace = makePlace(
      `cluster: staging\nhub: { address: "${address}" }\nforwarder: { spoolSize: 1Gi }\n`,
    );
    const client = await makeClient(authority, 'staging', Date.now(), 24 * hour);
    writeCredentials(forwarderPlace, client, authority.certificate);
    const forwarder = await startForwarder(forwarderPlace);
    return new Way(hub, authority, [receiver, receiverPlace], [forwarder, forwarderPlace]);
  }

  private static settings(hub: Hub, spoke: string): string {
    return `cluster: obsrv\nrole: hub\nreceiver: { falcosidekick: "${hub.address}", spokes: { ${spoke}: {} } }\n`;
  }

  async shutOut(): Promise<void> {
    this.receiverPlace.set(Way.settings(this.hub, 'other'));
    await this.receiver.says('settings reread');
  }

  letIn(): void {
    this.receiverPlace.set(Way.settings(this.hub, 'staging'));
  }

  /** From now on the forwarder's certificate is one that began so long ago, and is valid for an hour. */
  async renew(age: number): Promise<void> {
    const client = await makeClient(this.authority, 'staging', Date.now() - age, hour);
    writeCredentials(this.forwarderPlace, client, this.authority.certificate);
  }

  async killReceiver(): Promise<void> {
    await this.receiver.stop('SIGKILL');
    this.receiver = await startReceiver(this.receiverPlace, this.receiver.port);
  }

  async stop(): Promise<void> {
    await this.forwarder.stop('SIGKILL');
    await this.receiver.stop('SIGKILL');
  }
}

interface Outage {
  /** Events are out while it lasts; `work` sends them. */
  readonly happen: (hub: Hub, work: () => Promise<void>, way: Way) => Promise<void>;
  /** Some may come twice. */
  readonly mayRepeat?: true;
  /** Events that do not arrive, and are told. */
  readonly refused?: number;
  /** What its output has got is what arrived. */
  readonly isSlow?: true;
}

const outages: Readonly<Record<string, Outage>> = {
  'is up': { happen: (_hub, work) => work() },
  'is dead for a while': {
    happen: async (hub, work) => {
      await hub.kill();
      await Promise.all([work(), sleep(outage)]);
      await hub.revive();
    },
  },
  'is restarted three times': {
    mayRepeat: true,
    happen: async (hub, work) => {
      const working = work();
      for (let at = 0; at < 3; at++) {
        await sleep(outage / 6);
        await hub.kill();
        await sleep(outage / 6);
        await hub.revive();
      }
      await working;
    },
  },
  hangs: {
    mayRepeat: true,
    happen: async (hub, work) => {
      hub.signal('SIGSTOP');
      await Promise.all([work(), sleep(outage)]);
      hub.signal('SIGCONT');
    },
  },
  'has outputs that take 200 ms': { isSlow: true, happen: (_hub, work) => work() },
  'answers 500': {
    happen: async (hub, work) => {
      hub.answers = () => ({ status: 500, text: '' });
      await Promise.all([work(), sleep(outage)]);
      hub.answers = undefined;
    },
  },
  'refuses one event of all': {
    refused: 1,
    happen: async (hub, work, { forwarder }) => {
      hub.answers = (body) =>
        body.includes('"e7"') ? { status: 400, text: 'Please send a valid request body\n' } : undefined;
      await work();
      while ((await forwarder.metric('events_rejected_total')) === 0) await sleep(100);
    },
  },
  'meets an expired certificate, which is renewed': {
    happen: async (_hub, work, way) => {
      await way.renew(2 * hour);
      await way.forwarder.says('the hub accepts no events; they wait');
      await Promise.all([work(), sleep(outage)]);
      await way.renew(0);
    },
  },
  'shuts the spoke out, and lets it in again': {
    happen: async (_hub, work, way) => {
      await way.shutOut();
      await work();
      await way.forwarder.says('the hub accepts no events; they wait');
      await sleep(outage);
      way.letIn();
    },
  },
  [`has its receiver killed ${kills} times`]: {
    mayRepeat: true,
    happen: async (_hub, work, way) => {
      const working = work();
      for (let at = 0; at < kills; at++) {
        await sleep(Math.random() * 300);
        await way.killReceiver();
      }
      await working;
    },
  },
};

/** @returns how many were answered with 200 */
async function sendAll(port: number, events: number): Promise<number> {
  let [at, taken] = [0, 0];
  const one = async (): Promise<void> => {
    while (at < events) if ((await send(port, eventNamed(`e${at++}`))) === 200) taken++;
  };
  await Promise.all(Array.from({ length: 16 }, one));
  return taken;
}

/** Waits until all are there, or for so long nothing more has come. */
async function settled(arrived: Arrivals, events: number, patience: number): Promise<void> {
  let last = performance.now();
  for (let had = 0; arrived.size < events && performance.now() - last < patience; await sleep(100)) {
    if (arrived.size === had) continue;
    had = arrived.size;
    last = performance.now();
  }
}

const rows: string[] = [];

describe('outages of the hub', { timeout: 3_600_000 }, () => {
  for (const [name, { happen, mayRepeat, refused = 0, isSlow }] of binary === ''
    ? []
    : Object.entries(outages)) {
    test(`the hub ${name}: ${count} events`, async (t) => {
      const hub = new Hub();
      await hub.start(isSlow === true);
      const way = await Way.to(hub);
      const arrived = isSlow === true ? hub.brought : hub.arrived;
      let taken = 0;
      try {
        await happen(
          hub,
          async () => {
            taken = await sendAll(way.forwarder.port, count);
          },
          way,
        );
        await settled(arrived, count - refused, 60_000);
        const { size, twice } = arrived;
        t.diagnostic(`taken ${taken}, arrived ${size}, twice ${twice}`);
        rows.push(`| ${name} | ${taken} | ${size} | ${twice} |`);
        assert.deepEqual([taken, size], [count, count - refused]);
        if (mayRepeat !== true) assert.equal(twice, 0);
      } finally {
        await way.stop();
        await hub.stop();
      }
    });
  }

  test(`${backlog} events wait; their falcosidekick, whose outputs take 200 ms, is killed in the middle`, {
    skip: binary === '',
  }, async (t) => {
    const hub = new Hub();
    await hub.start(true);
    await hub.kill();
    const way = await Way.to(hub);
    try {
      assert.equal(await sendAll(way.forwarder.port, backlog), backlog);
      await hub.revive();
      const from = performance.now();
      await settled(hub.brought, backlog / 2, 60_000);
      await hub.kill();
      await hub.revive();
      await settled(hub.arrived, backlog, 60_000);
      await settled(hub.brought, backlog, 3_000);
      const lost = backlog - hub.brought.size;
      const took = (performance.now() - from) / 1_000;
      t.diagnostic(`${lost} lost with it, ${hub.brought.twice} twice, ${took.toFixed(1)} s`);
      rows.push(
        `| is killed once while ${backlog} wait | ${backlog} | ${hub.brought.size} | ${hub.brought.twice} |`,
      );
      assert.equal(hub.arrived.size, backlog);
      // What it was working on, and what was on its way to it.
      assert.ok(lost <= 250, `${lost}`);
    } finally {
      await way.stop();
      await hub.stop();
    }
  });

  test('the program is there', (t) => {
    if (binary === '') t.diagnostic('left out: FALCOSIDEKICK_BINARY names no falcosidekick');
    else assert.equal(rows.length, Object.keys(outages).length + 1);
  });

  after(() => {
    if (withTable)
      console.log(['| the hub | taken | arrived | twice |', '| --- | --- | --- | --- |', ...rows].join('\n'));
  });
});
