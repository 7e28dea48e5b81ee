/** Admission against its floor and, where they are given, against other webhooks; in interleaved rounds. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { areRecorded, type Body, bodies } from './bodies.ts';
import { median, type Section, shown, type Target } from './figures.ts';
import { callOnce, type Latencies, load } from './load.ts';
import { missingPeers, startPeers } from './peers.ts';
import { canPin, cpuSeconds, type Started, start } from './processes.ts';
import { type Place, serve } from './webhook.ts';

export interface AdmissionPlan {
  readonly rounds: number;
  /** Of each server in each round. */
  readonly seconds: number;
}

interface Server extends Started {
  readonly name: string;
  readonly port: number;
  /** What is sent to it instead of the review of the round. */
  readonly body?: string;
}

interface Measured extends Omit<Latencies, 'calls'> {
  /** Microseconds of processor time for each call. */
  readonly cpu: number;
}

const connectionCounts = [1, 8, 64];
const falcoPod = 'Falco pod, patched';

/** Answers as long as ours, of fixed content. */
export async function startFloor({ folder, certificate, key }: Place, answer: string): Promise<Server> {
  const file = join(folder, 'answer.json');
  writeFileSync(file, answer);
  const program = join(import.meta.dirname, 'floor-server.ts');
  const { match, ...started } = await start(
    [process.execPath, program, certificate, key, file],
    /port (\d+)/,
  );
  return { ...started, name: 'floor', port: Number(match[1]) };
}

async function once(
  server: Server,
  { ca }: Place,
  review: Body,
  connections: number,
  seconds: number,
): Promise<Measured> {
  const body = server.body ?? review.body;
  const before = cpuSeconds(server.pid);
  const { calls, ...latencies } = await load({ port: server.port, ca, body }, connections, seconds);
  return { ...latencies, cpu: ((cpuSeconds(server.pid) - before) / calls) * 1e6 };
}

function medians(rounds: readonly Measured[]): Measured {
  const of = (key: keyof Measured): number => median(rounds.map((one) => one[key]));
  const { mean, p50, p99, max } = { mean: of('mean'), p50: of('p50'), p99: of('p99'), max: of('max') };
  return { perSecond: of('perSecond'), mean, p50, p99, max, cpu: of('cpu') };
}

export interface AdmissionResult {
  readonly body: string;
  readonly connections: number;
  readonly webhook: Measured;
  readonly floor: Measured;
  readonly peers: Readonly<Record<string, Measured>>;
}

/** The servers in turns: A B A B …, after a warm-up. */
async function compare(
  servers: readonly Server[],
  place: Place,
  body: Body,
  connections: number,
  { rounds, seconds }: AdmissionPlan,
): Promise<AdmissionResult> {
  const measured: [name: string, Measured][] = [];
  for (const server of servers) await once(server, place, body, connections, seconds);
  for (let round = 0; round < rounds; round += 1) {
    for (const server of servers)
      measured.push([server.name, await once(server, place, body, connections, seconds)]);
  }
  const of = (wanted: string) => medians(measured.filter(([name]) => name === wanted).map(([, one]) => one));
  const peers = servers.map(({ name }) => name).filter((name) => name !== 'webhook' && name !== 'floor');
  return {
    ...{ body: body.name, connections, webhook: of('webhook'), floor: of('floor') },
    peers: Object.fromEntries(peers.map((name) => [name, of(name)])),
  };
}

export async function admission(place: Place, plan: AdmissionPlan): Promise<Section> {
  const webhook = await serve(place);
  const results: AdmissionResult[] = [];
  try {
    for (const body of await bodies(webhook.port, place.ca)) {
      const answer = await callOnce({ port: webhook.port, ca: place.ca, body: body.body });
      const floor = await startFloor(place, answer);
      const peers = body.name === falcoPod ? await startPeers(place, body.body) : [];
      const servers: readonly Server[] = [{ ...webhook, name: 'webhook' }, floor, ...peers];
      for (const connections of connectionCounts)
        results.push(await compare(servers, place, body, connections, plan));
      for (const { stop } of [floor, ...peers]) await stop();
    }
  } finally {
    await webhook.stop();
  }
  return section(results);
}

function section(results: readonly AdmissionResult[]): Section {
  return {
    name: 'Admission: the webhook | bare node:https with JSON.parse and a fixed answer',
    table: [
      ['review', 'connections', 'calls/s', 'ratio', 'mean ms', 'ratio', 'p50', 'p99', 'max', 'us CPU/call'],
      ...results.map(({ body, connections, webhook, floor }) => [
        ...[body, String(connections)],
        `${shown(webhook.perSecond)} | ${shown(floor.perSecond)}`,
        shown(webhook.perSecond / floor.perSecond),
        `${shown(webhook.mean)} | ${shown(floor.mean)}`,
        shown(webhook.mean / floor.mean),
        ...(['p50', 'p99', 'max', 'cpu'] as const).map(
          (key) => `${shown(webhook[key])} | ${shown(floor[key])}`,
        ),
      ]),
    ],
    targets: results.flatMap(targetsOf),
    notes: [
      ...results.flatMap(({ peers, connections, webhook }) =>
        Object.entries(peers).map(
          ([name, { perSecond, mean }]) =>
            `${name}, ${connections} connections: ${shown(perSecond)} calls/s, ${shown(mean)} ms; the webhook answers ` +
            `${shown(webhook.perSecond / perSecond)} times as many`,
        ),
      ),
      ...missingPeers,
      ...(canPin ? [] : ['server and client share the cores: taskset or a second core is missing']),
      ...(areRecorded ? [] : ["the repository's own reviews, upstream's are not here (FEDERATION_UPSTREAM)"]),
    ],
    data: results,
  };
}

/** At 8 connections, for the pod that matters. */
function targetsOf({ body, connections, webhook, floor }: AdmissionResult): readonly Target[] {
  if (body !== falcoPod || connections !== 8) return [];
  return [
    {
      ...{ what: 'calls/s of a patched Falco pod', limit: 0.9, unit: 'x floor', atLeast: true },
      is: webhook.perSecond / floor.perSecond,
    },
    { what: 'mean latency of it', limit: 1.15, unit: 'x floor', is: webhook.mean / floor.mean },
  ];
}
