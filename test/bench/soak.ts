/**
 * No leak, no cliff: one webhook that answers a million reviews, takes ten thousand new certificates and a thousand new
 * settings, and is looked at all the while. On loopback; ends by itself.
 *
 *     node test/bench/soak.ts [--reviews 1000000] [--certificates 10000] [--settings 1000]
 *
 * Exit status 1: memory or latency was not flat after the warm-up.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeServingCertificate } from '../../src/certificates/self-signed.ts';
import { startFloor } from './admission.ts';
import { bodies } from './bodies.ts';
import { median, shown } from './figures.ts';
import { callOnce, load } from './load.ts';
import { memory } from './processes.ts';
import { makePlace, type Place } from './webhook.ts';

const { values } = parseArgs({
  options: {
    reviews: { type: 'string', default: '1000000' },
    certificates: { type: 'string', default: '10000' },
    settings: { type: 'string', default: '1000' },
  },
});

/** How much more the last quarter may take than the second: the first one is the warm-up, the rest is noise. */
const slack = { resident: 1.1, latency: 1.5 };

interface Sample {
  readonly resident: number;
  /** Of a review over 8 connections, the middle one, in times of what the floor takes in the same moment. */
  readonly latency: number;
}

interface Server {
  readonly child: ChildProcess;
  readonly port: number;
  readonly floorPort: number;
  readonly place: Place;
  readonly body: string;
}

async function startServer(place: Place): Promise<Server> {
  const child = fork(
    join(import.meta.dirname, 'soak-server.ts'),
    [place.certificate, place.key, place.settings],
    { execArgv: ['--optimize-for-size', '--max-semi-space-size=2'] },
  );
  const [message] = await once(child, 'message');
  // Safe: the first message of soak-server.ts.
  const { port } = message as { port: number };
  const [{ body }] = await bodies(port, place.ca);
  const floor = await startFloor(place, await callOnce({ port, ca: place.ca, body }));
  return { child, port, floorPort: floor.port, place, body };
}

/** The floor is called right before: what else the machine does slows both. */
async function sampleOf({ child, port, floorPort, place, body }: Server, calls: number): Promise<Sample> {
  const middle = async (port: number): Promise<number> =>
    (await load({ port, ca: place.ca, body }, 8, 3_600, (done) => done >= calls)).p50;
  const floor = await middle(floorPort);
  const webhook = await middle(port);
  return { resident: memory(child.pid ?? 0, 'VmRSS') / 1024, latency: webhook / floor };
}

function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

async function changed({ child }: Server, what: string, change: () => void): Promise<void> {
  const told = new Promise<void>((resolve) => {
    const listen = (message: unknown): void => {
      if (message !== what) return;
      child.off('message', listen);
      resolve();
    };
    child.on('message', listen);
  });
  change();
  await told;
}

const sampleCount = 40;

/** Does it so often, and looks at the server forty times on the way. */
async function soak(server: Server, what: string, count: number, act: (at: number) => Promise<void>) {
  const samples: Sample[] = [];
  const each = Math.max(1, Math.floor(count / sampleCount));
  for (let done = 0; done < count; done += each) {
    for (let at = done; at < done + each; at += 1) await act(at);
    samples.push(await sampleOf(server, 400));
  }
  return { what, count, samples };
}

function quarter(samples: readonly Sample[], number: number, key: keyof Sample): number {
  const size = samples.length / 4;
  return median(
    samples.slice(Math.floor(size * number), Math.floor(size * (number + 1))).map((one) => one[key]),
  );
}

function tell({ what, count, samples }: Awaited<ReturnType<typeof soak>>): boolean {
  const grown = (key: keyof Sample): number => quarter(samples, 3, key) / quarter(samples, 1, key);
  const isFlat = grown('resident') <= slack.resident && grown('latency') <= slack.latency;
  const of = (key: keyof Sample): string =>
    [0, 1, 2, 3].map((number) => shown(quarter(samples, number, key))).join(' ');
  console.log(
    `${count} ${what}: resident MiB by quarter ${of('resident')} (x ${shown(grown('resident'))}), ` +
      `a review in times of the floor ${of('latency')} (x ${shown(grown('latency'))}): ${isFlat ? 'flat' : 'NOT FLAT'}`,
  );
  return isFlat;
}

const pairs = await Promise.all([0, 1].map(() => makeServingCertificate(['localhost'], 30 * 86_400_000)));
const made = await makePlace();
const place = { ...made, ca: [made.ca, ...pairs.map(({ ca }) => ca)].join('') };
const server = await startServer(place);
try {
  const { ca, port } = { ca: place.ca, port: server.port };
  const reviewsEach = Math.floor(Number(values.reviews) / sampleCount);
  const reviews: Sample[] = [];
  for (let at = 0; at < sampleCount; at += 1) {
    await load({ port, ca, body: server.body }, 8, 3_600, (done) => done >= reviewsEach);
    reviews.push(await sampleOf(server, 400));
  }
  const results = [tell({ what: 'reviews', count: Number(values.reviews), samples: reviews })];

  const certificates = await soak(server, 'certificates', Number(values.certificates), async (at) => {
    const pair = pairs[at % 2];
    if (pair === undefined) return;
    await changed(server, 'certificate', () => {
      replaceFile(place.certificate, pair.certificate);
      replaceFile(place.key, pair.key);
    });
  });
  results.push(tell(certificates));

  const settings = await soak(server, 'settings', Number(values.settings), (at) =>
    changed(server, 'settings', () => replaceFile(place.settings, `cluster: cluster-${at}\n`)),
  );
  results.push(tell(settings));
  process.exitCode = results.every(Boolean) ? 0 : 1;
} finally {
  server.child.kill('SIGKILL');
  place.remove();
}
