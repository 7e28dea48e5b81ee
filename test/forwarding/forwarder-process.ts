/** The forwarder as a process, and a hub for it, for tests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { zstdDecompressSync } from 'node:zlib';
import { temporaryFolder } from '../temporary-folder.ts';

const root = path.join(import.meta.dirname, '../..');
/** Another one, such as the built program, where FEDERATION_PROGRAM says so. */
export const program = process.env.FEDERATION_PROGRAM ?? path.join(root, 'src/main.ts');

export interface Place {
  readonly folder: string;
  readonly settings: string;
  readonly spool: string;
  readonly credentials: string;
  /** Writes other settings. */
  readonly set: (settings: string) => void;
}

export function makePlace(settings: string): Place {
  const folder = temporaryFolder('forwarder-');
  const at = (name: string): string => path.join(folder, name);
  mkdirSync(at('credentials'));
  const place = {
    ...{ folder, settings: at('federation.yaml'), spool: at('spool'), credentials: at('credentials') },
    set: (text: string): void => writeFileSync(at('federation.yaml'), text),
  };
  place.set(settings);
  return place;
}

/** What a forwarder says, one object a line. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly msg?: string };

export interface Started {
  readonly child: ChildProcess;
  readonly port: number;
  readonly healthPort: number;
  readonly metricsPort: number;
  readonly log: readonly LogLine[];
  /** Waits for a line of the log. */
  readonly says: (message: string | RegExp) => Promise<LogLine>;
  readonly metric: (sample: string) => Promise<number>;
  readonly ready: () => Promise<{ readonly status: number; readonly text: string }>;
  /** @returns the exit status, or the signal that ended it */
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | NodeJS.Signals | null>;
}

export type ForwarderProcess = Started;

export interface ForwarderStart {
  readonly flags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

function isLine(value: unknown): value is LogLine {
  return typeof value === 'object' && value !== null;
}

/** Starts a forwarder or a receiver, and waits until it listens. */
async function startProgram(
  command: 'forward' | 'receive',
  { settings, credentials }: Place,
  flags: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Started> {
  const child = spawn(
    process.execPath,
    [
      ...[program, command, '--settings', settings, '--credentials', credentials, '--host', '127.0.0.1'],
      ...['--port', '0', '--health-port', '0', '--metrics-port', '0'],
      ...['--drain-delay', '0s', '--grace-period', '5s', ...flags],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } },
  );
  const exited = once(child, 'exit');
  const log: LogLine[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    const parsed: unknown = JSON.parse(line);
    if (isLine(parsed)) log.push(parsed);
  });
  let complaint = '';
  child.stderr.on('data', (chunk) => {
    complaint += chunk;
  });
  const says = async (message: string | RegExp): Promise<LogLine> => {
    for (let tries = 0; tries < 3_000; tries++) {
      const found = log.find(({ msg = '' }) =>
        typeof message === 'string' ? msg === message : message.test(msg),
      );
      if (found !== undefined) return found;
      if (child.exitCode !== null) break;
      await sleep(20);
    }
    throw new Error(`it never said ${message}: ${JSON.stringify(log)} ${complaint}`);
  };
  const kind = command === 'forward' ? 'forwarder' : 'receiver';
  const { port, healthPort, metricsPort } = await says(command === 'forward' ? 'forwarding' : 'receiving');
  const page = async (where: unknown, name: string) => {
    const answer = await fetch(`http://127.0.0.1:${where}/${name}`);
    return { status: answer.status, text: await answer.text() };
  };
  return {
    ...{ child, log, says },
    ...{ port: Number(port), healthPort: Number(healthPort), metricsPort: Number(metricsPort) },
    metric: async (sample) => {
      const { text: metrics } = await page(metricsPort, 'metrics');
      const line = metrics.split('\n').find((one) => one.startsWith(`falco_federation_${kind}_${sample} `));
      if (line === undefined) throw new Error(`there is no ${sample}`);
      return Number(line.slice(line.lastIndexOf(' ') + 1));
    },
    ready: () => page(healthPort, 'readyz'),
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal);
      const [status, by] = await exited;
      return status ?? by;
    },
  };
}

export function startForwarder(
  place: Place,
  { flags = [], env = {} }: ForwarderStart = {},
): Promise<Started> {
  return startProgram('forward', place, ['--spool', place.spool, ...flags], env);
}

/** @param port another one than 0 to be the same again */
export function startReceiver(place: Place, port = 0): Promise<Started> {
  return startProgram('receive', place, ['--port', String(port)]);
}

let made = 0;

/** An event as falcosidekick posts it; `name` is found again at the hub. */
export function eventNamed(name: string, more: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    rule: `Test ${made++ % 7}`,
    priority: 'Notice',
    time: '2026-01-31T12:00:00.5Z',
    output: `a test of ${name}`,
    output_fields: { name },
    tags: [],
    ...more,
  });
}

/** Posts an event. @returns the status; undefined where there was no answer */
export async function send(port: number, body: string): Promise<number | undefined> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/`, {
      method: 'POST',
      body,
      signal: AbortSignal.timeout(20_000),
    });
    await answer.arrayBuffer();
    return answer.status;
  } catch {
    return undefined;
  }
}

export interface PlainHub {
  readonly address: string;
  /** How often each event came, by its name. */
  readonly received: Map<string, number>;
  /** Everything that came. */
  readonly events: Record<string, unknown>[];
  readonly reports: Record<string, unknown>[];
  /** What it answers from now on, instead of taking all; undefined for that. */
  readonly answers: (
    respond: ((response: ServerResponse, request: IncomingMessage, lines: string[]) => void) | undefined,
  ) => void;
  /** Called for each event that is taken. */
  readonly onEvent: (call: (name: string) => void) => void;
  readonly has: (count: number) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Lines of a batch as it came. */
export async function linesOf(request: IncomingMessage): Promise<string[]> {
  const body = await buffer(request);
  const text = request.headers['content-encoding'] === 'zstd' ? zstdDecompressSync(body) : body;
  return text
    .toString()
    .split('\n')
    .filter((line) => line !== '');
}

/** An answer that takes all lines. */
export function takeAll(response: ServerResponse, lines: number): void {
  response
    .writeHead(200, { 'content-type': 'application/json' })
    .end(JSON.stringify({ accepted: lines, duplicates: 0, refused: 0, later: 0, lines: [] }));
}

/** A hub's receiver over plain HTTP, without falcosidekick. An event counts as received when it is taken. */
export async function plainHub(): Promise<PlainHub> {
  let respond: Parameters<PlainHub['answers']>[0];
  let onEvent: (name: string) => void = () => {};
  const received = new Map<string, number>();
  const events: Record<string, unknown>[] = [];
  const reports: Record<string, unknown>[] = [];
  const server = createServer(async (request, response) => {
    const lines = await linesOf(request).catch(() => undefined);
    if (lines === undefined) return;
    reports.push(JSON.parse(String(request.headers['falco-federation-report'])));
    if (respond !== undefined) {
      respond(response, request, lines);
      return;
    }
    for (const line of lines) {
      // Safe: what the forwarder sends is an object, else the test is to fail here.
      const { event } = JSON.parse(line) as { event: { output_fields: { name?: string } } };
      events.push({ ...event });
      const { name } = event.output_fields;
      if (name === undefined) continue;
      received.set(name, (received.get(name) ?? 0) + 1);
      onEvent(name);
    }
    takeAll(response, lines.length);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const listening = server.address();
  const port = typeof listening === 'object' && listening !== null ? listening.port : 0;
  return {
    address: `http://127.0.0.1:${port}/`,
    ...{ received, events, reports },
    answers: (next) => {
      respond = next;
    },
    onEvent: (call) => {
      onEvent = call;
    },
    has: async (count) => {
      for (let tries = 0; received.size < count; tries++) {
        if (tries === 1_500) throw new Error(`${received.size} of ${count} events arrived`);
        await sleep(20);
      }
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
