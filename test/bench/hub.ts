/** The hub: the receiver with a hundred spokes, and the whole way of an alert from Falco's write to falcosidekick. */
import { randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { zstdCompressSync } from 'node:zlib';
import { type Issued, makeAuthority, makeClient, makeServing } from '../../src/certificates/issue.ts';
import { httpClient } from '../../src/events/http-client.ts';
import { compression } from '../../src/forwarding/keeper.ts';
import { portOf } from '../port-of.ts';
import { median, percentile, type Section, shown } from './figures.ts';
import { body, newFolder, startForwarder } from './forwarding.ts';
import { cpuSeconds, memory, type Started, start } from './processes.ts';
import { startShipper } from './shipping.ts';
import { launcher, type Place } from './webhook.ts';

export interface HubPlan {
  readonly spokes: number;
  readonly seconds: number;
  /** Alerts of which each comes alone. */
  readonly single: number;
}

const lines = 50;
const day = 86_400_000;

/** A falcosidekick that brings everything to its outputs at once. */
async function startFalcosidekick() {
  const arrived = new Map<number, number>();
  let events = 0;
  const server = createServer(async (request, response) => {
    if (request.url === '/metrics') {
      response.end('process_start_time_seconds 1\ngo_goroutines 7\n');
      return;
    }
    const event = await text(request);
    events++;
    const [, number] = /"alert":(\d+)/.exec(event) ?? [];
    if (number !== undefined) arrived.set(Number(number), performance.now());
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // Safe: it listens on a port.
  const address = `http://127.0.0.1:${portOf(server)}/`;
  return { address, arrived, events: () => events, stop: () => server.close() };
}

function writeCredentials(folder: string, { certificate, key }: Issued, ca: string): void {
  const files = { 'tls.crt': certificate, 'tls.key': key, 'ca.crt': ca };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
}

interface Receiver extends Started {
  readonly address: string;
}

async function startReceiver(place: Place, authority: Issued, falcosidekick: string): Promise<Receiver> {
  const folder = newFolder(place, 'receiver-');
  const settings = join(folder, 'federation.yaml');
  writeFileSync(settings, `cluster: obsrv\nrole: hub\nreceiver: { falcosidekick: "${falcosidekick}" }\n`);
  writeCredentials(
    folder,
    await makeServing(authority, ['localhost'], Date.now(), day),
    authority.certificate,
  );
  const { match, ...started } = await start(
    [
      ...[launcher, 'receive', '--settings', settings, '--credentials', folder],
      ...['--host', '127.0.0.1', '--port', '0', '--health-port', '0', '--metrics-port', '0'],
    ],
    /"port":(\d+)/,
  );
  return { ...started, address: `https://localhost:${match[1]}/` };
}

/** A line that differs from others in what differs in a cluster: place, times, containers, processes. */
function other(_: unknown, at: number): string {
  const container = randomBytes(6).toString('hex');
  const event = body
    .replaceAll('"host"', `"${container}"`)
    .replace('1534527348518937', `${1534527348518937 + at * 1_234_567}`)
    .replace('518937838', String(100_000_000 + ((at * 7_654_321) % 800_000_000)))
    .replace('command=curl', `command=curl pid=${(at * 7_919) % 65_536}`);
  return `{"key":"0123456789abcdef/${at * 791}","event":${event}}\n`;
}

/** One spoke that sends batches, one after the other. */
async function spokeOf(authority: Issued, name: string, address: string) {
  const { certificate: cert, key } = await makeClient(authority, name, Date.now(), day);
  const credentials = {
    ca: authority.certificate,
    client: { cert, key, notAfter: new Date() },
    headers: {},
  };
  const client = httpClient({ address, credentials, env: {} }, { mostConnections: 1 });
  let next = 0;
  const send = async (count: number): Promise<number> => {
    const batch = Array.from({ length: count }, () => `{"key":"${next++}","event":${body}}\n`).join('');
    const answer = await client.send({
      ...{ method: 'POST', body: zstdCompressSync(batch) },
      headers: { 'content-type': 'application/x-ndjson', 'content-encoding': 'zstd' },
    });
    if (answer.is !== 'answered' || answer.status !== 200) throw new Error(JSON.stringify(answer));
    return Number(JSON.parse(answer.text).accepted);
  };
  return { send, stop: () => client.abort() };
}

export async function hub(place: Place, plan: HubPlan): Promise<Section> {
  const falcosidekick = await startFalcosidekick();
  const authority = await makeAuthority(Date.now(), day);
  const receiver = await startReceiver(place, authority, falcosidekick.address);
  await wait(2_000);
  const mebibytes = (key: 'VmRSS' | 'VmHWM' = 'VmRSS'): number => memory(receiver.pid, key) / 1024;
  const idle = mebibytes();

  // The whole way first, at rest.
  const spokes = await Promise.all(
    Array.from({ length: plan.spokes }, (_, at) => spokeOf(authority, `spoke-${at}`, receiver.address)),
  );
  await Promise.all(spokes.map(({ send }) => send(1)));
  const connected = mebibytes();
  const credentials = newFolder(place, 'credentials-');
  writeCredentials(
    credentials,
    await makeClient(authority, 'staging', Date.now(), day),
    authority.certificate,
  );
  const forwarder = await startForwarder(place, receiver.address, newFolder(place, 'spool-'), credentials);
  const folder = newFolder(place, 'alerts-');
  const shipper = startShipper(folder, forwarder.port);
  const file = join(folder, 'live/alerts.jsonl');
  while (!existsSync(file)) await wait(10);
  const took: number[] = [];
  for (let number = 0; number < plan.single; number++) {
    await wait(300 + Math.random() * 200);
    const from = performance.now();
    appendFileSync(file, `${body.replace('{', `{"alert":${number},`)}\n`);
    while (!falcosidekick.arrived.has(number)) await wait(1);
    took.push((falcosidekick.arrived.get(number) ?? 0) - from);
  }
  took.sort((one, other) => one - other);
  shipper.stop();
  await forwarder.stop();

  const [cpu, before, from] = [cpuSeconds(receiver.pid), falcosidekick.events(), performance.now()];
  const end = from + plan.seconds * 1_000;
  await Promise.all(
    spokes.map(async ({ send }) => {
      while (performance.now() < end) await send(lines);
    }),
  );
  const passed = falcosidekick.events() - before;
  const perSecond = passed / ((performance.now() - from) / 1_000);
  const processor = ((cpuSeconds(receiver.pid) - cpu) / passed) * 1e6;
  const [loaded, most] = [mebibytes(), mebibytes('VmHWM')];
  for (const { stop } of spokes) stop();
  await receiver.stop();
  falcosidekick.stop();
  const bytes = zstdCompressSync(Array.from({ length: 500 }, other).join(''), compression).length / 500;
  return {
    name: 'Hub: events of 700 bytes, a falcosidekick that takes them at once',
    table: [
      ['what', 'figure'],
      [
        `${plan.spokes} spokes, batches of ${lines}`,
        `${shown(perSecond)}/s, ${shown(processor)} us of processor each`,
      ],
      [
        "one alert, from Falco's write to falcosidekick",
        `${shown(median(took))} ms, 99 % ${shown(percentile(took, 0.99))} ms`,
      ],
      ['bytes of an event on the wire, in a batch of 500', shown(bytes)],
      ['receiver resident, idle', `${shown(idle)} MiB`],
      [`… with ${plan.spokes} spokes connected`, `${shown(connected)} MiB`],
      ['… under that load; the most', `${shown(loaded)} MiB; ${shown(most)} MiB`],
    ],
    targets: [
      { what: 'one alert to falcosidekick, median', limit: 300, unit: 'ms', is: median(took) },
      { what: 'the receiver, resident', limit: 96, unit: 'MiB', is: most },
    ],
    notes: [],
    data: { perSecond, processor, took, bytes, idle, connected, loaded, most },
  };
}
