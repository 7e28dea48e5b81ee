/** The forwarder: events taken and delivered a second, beside a proxy that keeps nothing; and its memory. */
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { Spool } from '../../src/forwarding/spool.ts';
import { type Section, shown } from './figures.ts';
import { load } from './load.ts';
import { cpuSeconds, memory, onCore, type Started, start } from './processes.ts';
import { launcher, type Place } from './webhook.ts';

export interface ForwardingPlan {
  readonly seconds: number;
  /** Events that wait while memory is measured. */
  readonly waiting: number;
}

/** Milliseconds after which the rest is reckoned. */
const longestDrain = 60_000;

/** As long as Falco's events are, some 700 bytes; it lacks labels and tags, as most do. */
export const body = JSON.stringify({
  hostname: 'node-1',
  output: `17:35:48.518937838: Notice Unexpected connection (command=curl ${'x'.repeat(250)})`,
  output_fields: {
    'container.id': 'host',
    'container.name': 'host',
    'evt.time': 1534527348518937,
    'k8s.ns.name': 'shop',
    'k8s.pod.name': 'cart-5f6d8',
    'proc.name': 'curl',
    'user.name': 'root',
  },
  priority: 'Notice',
  rule: 'Unexpected connection',
  source: 'syscall',
  tags: ['network'],
  time: '2026-01-31T17:35:48.518937838Z',
});

interface Hub extends Started {
  readonly address: string;
  readonly port: string;
  readonly events: () => Promise<number>;
}

/** On the client's core: what is measured has the other one for itself. */
async function startHub({ certificate, key, ca }: Place, delay: number, port = '0'): Promise<Hub> {
  const file = join(import.meta.dirname, 'hub-server.ts');
  const { match, ...started } = await start(
    onCore(1, [process.execPath, file, certificate, key, String(delay), port]),
    /port (\d+)/,
  );
  const address = `https://localhost:${match[1]}/`;
  const events = () =>
    new Promise<number>((resolve, reject) => {
      get(address, { ca, agent: false }, async (answer) => resolve(Number(await text(answer)))).on(
        'error',
        reject,
      );
    });
  return { ...started, address, port: match[1] ?? '', events };
}

interface Target extends Started {
  readonly port: number;
}

async function startProxy(place: Place, hub: string): Promise<Target> {
  const authority = join(place.folder, 'ca.crt');
  writeFileSync(authority, place.ca);
  const { match, ...started } = await start(
    [process.execPath, join(import.meta.dirname, 'bare-proxy.ts'), hub, authority],
    /port (\d+)/,
  );
  return { ...started, port: Number(match[1]) };
}

interface Forwarder extends Target {
  readonly metricsPort: number;
  readonly spool: string;
}

/** Credentials that trust the bench's own hub. */
function authorityOf(place: Place): string {
  const credentials = newFolder(place, 'credentials-');
  writeFileSync(join(credentials, 'ca.crt'), place.ca);
  return credentials;
}

export async function startForwarder(
  place: Place,
  hub: string,
  spool = newFolder(place, 'spool-'),
  credentials = authorityOf(place),
): Promise<Forwarder> {
  const settings = join(newFolder(place, 'settings-'), 'federation.yaml');
  writeFileSync(settings, `cluster: staging\nhub: { address: "${hub}" }\nforwarder: { spoolSize: 4Gi }\n`);
  const { match, ...started } = await start(
    [
      ...[launcher, 'forward', '--settings', settings, '--spool', spool],
      ...['--credentials', credentials, '--host', '127.0.0.1'],
      ...['--port', '0', '--health-port', '0', '--metrics-port', '0'],
    ],
    /"port":(\d+),"healthPort":\d+,"metricsPort":(\d+)/,
  );
  return { ...started, port: Number(match[1]), metricsPort: Number(match[2]), spool };
}

export function newFolder(place: Place, prefix: string): string {
  return mkdtempSync(join(place.folder, prefix));
}

async function waitingEvents({ metricsPort }: Forwarder): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
  return Number(/^falco_federation_forwarder_waiting_events (\d+)/m.exec(await answer.text())?.[1]);
}

async function untilDrained(forwarder: Forwarder): Promise<void> {
  while ((await waitingEvents(forwarder)) > 0) await wait(100);
}

interface Rate {
  readonly delay: number;
  readonly senders: number;
  /** Events of a request: one, or a batch as Falco's pods send it. */
  readonly lines: number;
  /** Undefined: it takes no batches. */
  readonly proxy: number | undefined;
  /** Its microseconds of processor time for an event. */
  readonly proxyProcessor: number | undefined;
  readonly accepted: number;
  readonly p99: number;
  readonly delivered: number;
  /** Microseconds of processor time for an event, from its taking to the hub's answer. */
  readonly processor: number;
}

/** What a proxy makes of it that keeps nothing. */
async function proxied(place: Place, hub: Hub, senders: number, seconds: number) {
  const proxy = await startProxy(place, hub.address);
  const called = { port: proxy.port, ca: undefined, body, path: '/' };
  await load(called, senders, seconds / 5);
  const cpu = cpuSeconds(proxy.pid);
  const { calls, perSecond } = await load(called, senders, seconds);
  const processor = ((cpuSeconds(proxy.pid) - cpu) / calls) * 1e6;
  await proxy.stop();
  return { perSecond, processor };
}

async function rate(
  place: Place,
  delay: number,
  senders: number,
  lines: number,
  seconds: number,
): Promise<Rate> {
  const hub = await startHub(place, delay);
  const floor = lines === 1 ? await proxied(place, hub, senders, seconds) : undefined;
  const called = (port: number) => ({
    ...{ port, ca: undefined, path: '/', body: lines === 1 ? body : `${body}\n`.repeat(lines) },
    ...(lines === 1 ? {} : { type: 'application/x-ndjson' }),
  });
  const forwarder = await startForwarder(place, hub.address);
  try {
    await load(called(forwarder.port), senders, seconds / 5);
    await untilDrained(forwarder);
    const [before, cpu, from] = [await hub.events(), cpuSeconds(forwarder.pid), performance.now()];
    const taken = await load(called(forwarder.port), senders, seconds);
    await untilDrained(forwarder);
    const over = (performance.now() - from) / 1_000;
    const delivered = (await hub.events()) - before;
    if (delivered !== taken.calls * lines)
      throw new Error(`${taken.calls * lines} events taken, ${delivered} delivered`);
    return {
      ...{ delay, senders, lines, proxy: floor?.perSecond, proxyProcessor: floor?.processor },
      ...{ accepted: taken.perSecond * lines, p99: taken.p99 },
      delivered: delivered / over,
      processor: ((cpuSeconds(forwarder.pid) - cpu) / delivered) * 1e6,
    };
  } finally {
    await forwarder.stop();
    await hub.stop();
  }
}

interface Resident {
  readonly when: string;
  readonly mebibytes: number;
}

/** Fills a spool as the forwarder does. */
function fill(folder: string, events: number): void {
  mkdirSync(folder, { recursive: true });
  const spool = new Spool(folder, 4 * 2 ** 30);
  const event = { text: body, priority: 5, received: Date.now(), sender: '10.0.0.1' };
  for (let left = events; left > 0; left -= 2_000)
    spool.commit({
      keep: Array.from({ length: Math.min(left, 2_000) }, () => event),
      delivered: [],
      rejected: [],
    });
  spool.close();
}

async function residentUnderLoad(place: Place, { seconds }: ForwardingPlan): Promise<Resident[]> {
  const rows: Resident[] = [];
  const hub = await startHub(place, 50);
  const forwarder = await startForwarder(place, hub.address);
  const note = (when: string, key: 'VmRSS' | 'VmHWM' = 'VmRSS'): void => {
    rows.push({ when, mebibytes: memory(forwarder.pid, key) / 1024 });
  };
  await wait(seconds * 1_000);
  note('idle, before any event');
  for (const senders of [1, 64, 256]) {
    await load({ port: forwarder.port, ca: undefined, body, path: '/' }, senders, seconds * 2);
    note(`at the end of load by ${senders} senders`);
  }
  await untilDrained(forwarder);
  note('idle again, all delivered');
  note('the most', 'VmHWM');
  await forwarder.stop();
  await hub.stop();
  return rows;
}

async function residentWaiting(place: Place, { seconds, waiting }: ForwardingPlan) {
  const rows: Resident[] = [];
  const spool = newFolder(place, 'full-');
  fill(spool, waiting);
  const gone = await startHub(place, 0);
  await gone.stop();
  const from = performance.now();
  const forwarder = await startForwarder(place, gone.address, spool);
  const startTime = (performance.now() - from) / 1_000;
  const note = (when: string, key: 'VmRSS' | 'VmHWM' = 'VmRSS'): void => {
    rows.push({ when, mebibytes: memory(forwarder.pid, key) / 1024 });
  };
  await wait(seconds * 1_000);
  note(`hub away, ${waiting} events wait`);
  await load({ port: forwarder.port, ca: undefined, body, path: '/' }, 64, seconds);
  note('… and more come in by 64 senders');
  const left = await waitingEvents(forwarder);
  const hub = await startHub(place, 0, gone.port);
  const [back, cpu] = [performance.now(), cpuSeconds(forwarder.pid)];
  while ((await hub.events()) === 0) await wait(50);
  const begun = performance.now();
  while ((await waitingEvents(forwarder)) > 0 && performance.now() - begun < longestDrain) await wait(100);
  const drain = (performance.now() - begun) / 1_000;
  const drained = left - (await waitingEvents(forwarder));
  note('while they are delivered');
  note('the most', 'VmHWM');
  const processor = ((cpuSeconds(forwarder.pid) - cpu) / drained) * 1e6;
  await forwarder.stop();
  await hub.stop();
  rmSync(spool, { recursive: true });
  return { rows, startTime, left, drained, drain, pause: (begun - back) / 1_000, processor };
}

export async function forwarding(place: Place, plan: ForwardingPlan): Promise<Section> {
  const rates: Rate[] = [];
  for (const delay of [0, 50, 200])
    for (const [senders, lines] of [
      [1, 1],
      [64, 1],
      [8, 100],
    ] as const)
      rates.push(await rate(place, delay, senders, lines, plan.seconds));
  const resident = await residentUnderLoad(place, plan);
  const { bavail, bsize } = statfsSync(place.folder);
  const needed = plan.waiting * 1_500;
  if (bavail * bsize < needed) throw new Error(`${place.folder}: ${needed} bytes are needed for the spool`);
  const waiting = await residentWaiting(place, plan);
  const of = (delay: number, lines: number): Rate | undefined =>
    rates.find((one) => one.delay === delay && one.lines === lines && one.senders > 1);
  const fast = of(0, 1);
  const most = Math.max(...[...resident, ...waiting.rows].map(({ mebibytes }) => mebibytes));
  return {
    name: 'Forwarding: events of 700 bytes, the hub over TLS',
    table: [
      [
        'hub answers after',
        'senders',
        'bare proxy',
        'its processor',
        'taken/s',
        '99 % within',
        'delivered/s',
        'processor',
      ],
      ...rates.map((one) => [
        `${one.delay} ms`,
        one.lines === 1 ? String(one.senders) : `${one.senders}, ${one.lines} at once`,
        one.proxy === undefined ? '' : `${shown(one.proxy)}/s`,
        one.proxyProcessor === undefined ? '' : `${shown(one.proxyProcessor)} us`,
        shown(one.accepted),
        `${shown(one.p99)} ms`,
        shown(one.delivered),
        `${shown(one.processor)} us`,
      ]),
      ['resident', 'MiB'],
      ...[...resident, ...waiting.rows].map(({ when, mebibytes }) => [when, shown(mebibytes)]),
      ['start until it listens', `${shown(waiting.startTime)} s`],
      [
        `${waiting.drained} of ${waiting.left} waiting events delivered, hub at 0 ms`,
        `${shown(waiting.drain)} s, ${shown(waiting.drained / waiting.drain)}/s, ${shown(waiting.processor)} us each`,
      ],
      ['all of them, at this pace', `${shown((waiting.left / waiting.drained) * waiting.drain)} s`],
    ],
    targets: [
      {
        ...{
          what: 'events taken, beside the bare proxy, 64 senders',
          limit: 0.5,
          unit: 'times',
          atLeast: true,
        },
        is: (fast?.accepted ?? 0) / (fast?.proxy ?? 1),
      },
      {
        ...{ what: 'delivered to a hub at 200 ms', limit: 5_000, unit: 'a second', atLeast: true },
        is: of(200, 100)?.delivered ?? 0,
      },
      { what: 'resident in every state', limit: 96, unit: 'MiB', is: most },
    ],
    notes: [],
    data: { rates, resident, waiting },
  };
}
