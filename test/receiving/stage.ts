/** A receiver in this process, with certificates of the test's own and a falcosidekick that does what it is told. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Agent, request } from 'node:https';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { type Issued, makeAuthority, makeClient, makeServing } from '../../src/certificates/issue.ts';
import { Receiver } from '../../src/receiving/receiver.ts';
import { type Settings, settingsSchema } from '../../src/settings/schema.ts';
import { portOf } from '../port-of.ts';

const day = 86_400_000;

export interface FakeFalcosidekick {
  readonly address: string;
  /** Bodies that were answered with 200. */
  readonly taken: Record<string, unknown>[];
  readonly texts: string[];
  /** What it answers from now on, instead of 200; undefined for that. */
  answers: ((response: ServerResponse, request: IncomingMessage, body: string) => void) | undefined;
  /** Of its metrics; undefined: there are none. */
  goroutines: (() => number) | undefined;
  /** Posts at once, the most there were. */
  mostAtOnce: number;
  readonly close: () => Promise<void>;
}

export async function fakeFalcosidekick(): Promise<FakeFalcosidekick> {
  let atOnce = 0;
  const server: Server = createServer(async (incoming, response) => {
    if (incoming.url === '/metrics') {
      if (fake.goroutines === undefined) response.writeHead(404).end();
      else
        response.end(`process_start_time_seconds 1.7e+09\ngo_goroutines ${Math.round(fake.goroutines())}\n`);
      return;
    }
    fake.mostAtOnce = Math.max(fake.mostAtOnce, ++atOnce);
    response.on('close', () => atOnce--);
    const body = await text(incoming).catch(() => undefined);
    if (body === undefined) return;
    if (fake.answers !== undefined) {
      fake.answers(response, incoming, body);
      return;
    }
    fake.texts.push(body);
    fake.taken.push(JSON.parse(body));
    response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const fake: FakeFalcosidekick = {
    // Safe: it listens on a port.
    address: `http://127.0.0.1:${portOf(server)}/`,
    ...{ taken: [], texts: [], answers: undefined, goroutines: () => 7, mostAtOnce: 0 },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return fake;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly retryAfter: string | undefined;
}

export interface Stage {
  readonly receiver: Receiver;
  readonly falcosidekick: FakeFalcosidekick;
  readonly port: number;
  readonly authority: Issued;
  /** The receiver's own certificate. */
  readonly serving: Issued;
  readonly log: string[];
  /** Other settings are in force from now on. */
  readonly set: (receiver: Readonly<Record<string, unknown>>) => void;
  readonly agentOf: (name: string, authority?: Issued) => Promise<Agent>;
  readonly post: (agent: Agent, body: string, headers?: Readonly<Record<string, string>>) => Promise<Answer>;
  readonly close: () => Promise<void>;
}

const settingsOf = (receiver: Readonly<Record<string, unknown>>): Settings =>
  settingsSchema.parse({ cluster: 'obsrv', role: 'hub', receiver });

export async function stage(
  more: Readonly<Record<string, unknown>> = {},
  { address, ...options }: { readonly patience?: number; readonly address?: string } = {},
): Promise<Stage> {
  const authority = await makeAuthority(Date.now(), 10 * day);
  const own = await makeServing(authority, ['localhost'], Date.now(), day);
  const falcosidekick = await fakeFalcosidekick();
  const withAddress = (section: Readonly<Record<string, unknown>>): Settings =>
    settingsOf({ falcosidekick: address ?? falcosidekick.address, ...section });
  let settings = withAddress(more);
  const log: string[] = [];
  const receiver = new Receiver({
    logger: pino({ base: null }, { write: (line: string) => log.push(line) }),
    settings: () => settings,
    settingsValid: () => true,
    ...options,
  });
  receiver.useCredentials({
    ca: authority.certificate,
    client: { cert: own.certificate, key: own.key, notAfter: new Date(Date.now() + day) },
    headers: {},
  });
  const server = receiver.serve(() => false);
  await server.listen({ host: '127.0.0.1', port: 0 });
  // Safe: it listens on a port.
  const port = portOf(server.server);
  const agents: Agent[] = [];
  return {
    ...{ receiver, falcosidekick, port, authority, serving: own, log },
    set: (section) => {
      settings = withAddress(section);
      receiver.settingsChanged();
    },
    agentOf: async (name, by = authority) => {
      const { certificate: cert, key } = await makeClient(by, name, Date.now(), day);
      const agent = new Agent({ keepAlive: true, maxSockets: 8, cert, key, ca: authority.certificate });
      agents.push(agent);
      return agent;
    },
    post: (agent, body, headers = {}) =>
      new Promise((resolve, reject) => {
        const call = request(
          `https://localhost:${port}/`,
          { method: 'POST', agent, headers: { 'content-type': 'application/x-ndjson', ...headers } },
          async (answer) => {
            const body = await text(answer).catch(() => '');
            resolve({
              ...{ status: answer.statusCode ?? 0, text: body },
              retryAfter: answer.headers['retry-after'],
            });
          },
        );
        call.on('error', reject);
        call.end(body);
      }),
    close: async () => {
      for (const agent of agents) agent.destroy();
      receiver.stop();
      server.server.closeAllConnections();
      await server.close();
      await falcosidekick.close();
    },
  };
}

/** An event in its envelope, found again by its name. */
export function line(key: string, more: Readonly<Record<string, unknown>> = {}): string {
  const event = {
    ...{ rule: 'R', priority: 'Notice', time: '2026-01-31T12:00:00.5Z', output: `a test of ${key}` },
    output_fields: { name: key },
    ...more,
  };
  return `{"key":"${key}","event":${JSON.stringify(event)}}\n`;
}
