/**
 * The shipper: from what Falco writes to the forwarder's disk. Alerts are written here as Falco writes them, and pass a
 * relay of ours in front of the real forwarder, which sees when that has answered: then they are on disk.
 */
import { spawn } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { portOf } from '../port-of.ts';
import { median, percentile, type Section, shown } from './figures.ts';
import { body, newFolder, startForwarder } from './forwarding.ts';
import { memory, onCore } from './processes.ts';
import { launcher, type Place } from './webhook.ts';

export interface ShippingPlan {
  readonly alerts: number;
  /** Alerts of which each comes alone. */
  readonly single: number;
  readonly idleSeconds: number;
}

/** Passes each request on, and remembers when each of its alerts was answered for, by their numbers. */
async function startRelay(port: number) {
  const answered = new Map<number, number>();
  const server = createServer((incoming, outgoing) => {
    const onward = request({ port, method: 'POST', path: '/', headers: incoming.headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
      answer.on('end', () => {
        for (const number of numbers) answered.set(number, performance.now());
      });
    });
    let numbers: number[] = [];
    let text = '';
    incoming.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    incoming.on('end', () => {
      numbers = [...text.matchAll(/"alert":(\d+)/g)].map(([, number]) => Number(number));
      onward.end(text);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { answered, port: portOf(server), stop: () => server.close() };
}

/** Without a core of its own, as in a pod. */
export function startShipper(folder: string, port: number) {
  const child = spawn(launcher, ['ship-alerts', '--folder', folder, '--to', `http://127.0.0.1:${port}`], {
    stdio: 'ignore',
  });
  return { pid: child.pid ?? 0, stop: () => child.kill('SIGKILL') };
}

/** Times that its threads have gone to sleep. */
function sleeps(pid: number): number {
  return readdirSync(`/proc/${pid}/task`)
    .map((task) => readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8'))
    .reduce((sum, status) => sum + Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)?.[1]), 0);
}

const shares = '/sys/fs/cgroup/cpu';

/** All processors taken by others, who have 2,048 shares, while the process has the 10 of a request of 10m. */
function takeProcessors(pid: number): (() => Promise<void>) | undefined {
  const group = (name: string, of: number): string => {
    const folder = join(shares, `falco-federation-${name}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'cpu.shares'), String(of));
    return folder;
  };
  try {
    const [small, large] = [group('10m', 10), group('busy', 2_048)];
    writeFileSync(join(small, 'cgroup.procs'), String(pid));
    const busy = [0, 1].map((core) => {
      const [program, ...args] = onCore(core === 0 ? 0 : 1, ['sh', '-c', 'while :; do :; done']);
      const child = spawn(program, args, { stdio: 'ignore' });
      writeFileSync(join(large, 'cgroup.procs'), String(child.pid));
      return child;
    });
    return async () => {
      for (const child of busy) child.kill('SIGKILL');
      writeFileSync(join(shares, 'cgroup.procs'), String(pid));
      await wait(500);
      for (const folder of [small, large]) rmdirSync(folder);
    };
  } catch {
    return undefined;
  }
}

export async function shipping(place: Place, plan: ShippingPlan): Promise<Section> {
  // A hub that is away: the forwarder is to take, not to deliver.
  const forwarder = await startForwarder(place, 'https://localhost:9/');
  const relay = await startRelay(forwarder.port);
  const folder = newFolder(place, 'alerts-');
  const shipper = startShipper(folder, relay.port);
  const file = join(folder, 'live/alerts.jsonl');
  while (!existsSync(file)) await wait(10);
  await wait(200);
  const resident = memory(shipper.pid, 'VmRSS');

  let next = 0;
  const write = (): number => {
    appendFileSync(file, `${body.replace('{', `{"alert":${next},`)}\n`);
    return next++;
  };
  const untilAnswered = async (number: number): Promise<number> => {
    while (!relay.answered.has(number)) await wait(1);
    return relay.answered.get(number) ?? 0;
  };
  const alone = async (): Promise<number[]> => {
    const took: number[] = [];
    while (took.length < plan.single) {
      await wait(120 + Math.random() * 100);
      const from = performance.now();
      took.push((await untilAnswered(write())) - from);
    }
    return took.sort((one, other) => one - other);
  };

  await wait(2_000);
  const before = sleeps(shipper.pid);
  await wait(plan.idleSeconds * 1_000);
  const wakeUps = ((sleeps(shipper.pid) - before) * 60) / plan.idleSeconds;
  const atRest = await alone();
  const giveBack = takeProcessors(shipper.pid);
  const taken = giveBack === undefined ? [] : await alone();
  await giveBack?.();

  const from = performance.now();
  for (let left = plan.alerts; left > 0; left--) write();
  const written = performance.now() - from;
  const all = (await untilAnswered(next - 1)) - from;
  const missing = Array.from({ length: next }, (_, number) => number).filter(
    (one) => !relay.answered.has(one),
  );
  if (missing.length > 0) throw new Error(`${missing.length} alerts are missing`);
  const most = memory(shipper.pid, 'VmHWM');
  shipper.stop();
  relay.stop();
  await forwarder.stop();

  const perSecond = (plan.alerts / all) * 1_000;
  const times = (sorted: readonly number[]): string =>
    sorted.length === 0 ? 'left out' : `${shown(median(sorted))} ms, ${shown(percentile(sorted, 0.99))} ms`;
  return {
    name: 'Shipping: alerts of 700 bytes, from the write to the forwarder’s disk',
    table: [
      ['what', 'figure'],
      [`${plan.alerts} alerts at once`, `${shown(perSecond)}/s; written in ${shown(written)} ms`],
      ['one alone, median and 99 % within', times(atRest)],
      ['… with the processors taken by others, 10m', times(taken)],
      ['resident, idle', `${resident} KiB`],
      ['… the most', `${most} KiB`],
      ['wake-ups a minute, idle', shown(wakeUps)],
    ],
    targets: [
      {
        what: 'alerts on the forwarder’s disk',
        limit: 2_000,
        unit: 'a second',
        atLeast: true,
        is: perSecond,
      },
      { what: 'one alone, median', limit: 300, unit: 'ms', is: median(atRest) },
      { what: 'the shipper, resident', limit: 2, unit: 'MiB', is: most / 1_024 },
    ],
    notes: giveBack === undefined ? [`processors not taken: needs root and ${shares}`] : [],
    data: { perSecond, written, atRest, taken, resident, most, wakeUps },
  };
}
