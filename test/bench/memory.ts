/** Resident memory of the webhook, idle and under load, and how long a start takes. */
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { bodies } from './bodies.ts';
import { median, type Section, shown } from './figures.ts';
import { load } from './load.ts';
import { mountServiceAccount } from './mounted.ts';
import { memory, start } from './processes.ts';
import { type Place, type Serving, serve, writeKubeconfig } from './webhook.ts';

export interface MemoryPlan {
  readonly starts: number;
  readonly idleSeconds: number;
  readonly loadSeconds: number;
}

/** A stand-in API server, and how the webhook is told of it: as in a pod where that can be had. */
async function startApiServer({ folder, certificate, key, ca }: Place) {
  const program = join(import.meta.dirname, 'api-server.ts');
  const { match, stop } = await start([process.execPath, program, certificate, key], /port (\d+)/);
  const port = match[1] ?? '';
  const tls = ['--tls-cert', certificate, '--tls-key', key];
  if (mountServiceAccount(ca)) {
    return {
      ...{ stop, inPod: true, flags: tls },
      env: { KUBERNETES_SERVICE_HOST: 'localhost', KUBERNETES_SERVICE_PORT: port },
    };
  }
  const file = join(folder, 'kubeconfig');
  writeKubeconfig(file, `https://localhost:${port}`, ca);
  return { stop, inPod: false, flags: [...tls, '--kubeconfig', file], env: {} };
}

async function untilReady({ healthPort }: Serving): Promise<string> {
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${healthPort}/readyz`);
    const text = await answer.text();
    if (answer.status === 200) return text;
    await wait(5);
  }
}

const connectionCounts = [8, 64];

export async function memoryAndStart(place: Place, plan: MemoryPlan): Promise<Section> {
  const api = await startApiServer(place);
  const begin = async () => {
    const from = performance.now();
    const serving = await serve(place, { flags: api.flags, env: api.env });
    const readiness = await untilReady(serving);
    return { serving, took: performance.now() - from, readiness };
  };
  const times: number[] = [];
  for (let at = 0; at < plan.starts; at += 1) {
    const { serving, took } = await begin();
    times.push(took);
    await serving.stop();
  }
  const { serving, readiness } = await begin();
  const rows: { readonly when: string; readonly resident: number }[] = [];
  const note = (when: string): void => {
    rows.push({ when, resident: memory(serving.pid, 'VmRSS') / 1024 });
  };
  try {
    await wait(plan.idleSeconds * 1_000);
    note('idle, before any call');
    const [{ body }] = await bodies(serving.port, place.ca);
    for (const connections of connectionCounts) {
      await load({ port: serving.port, ca: place.ca, body }, connections, plan.loadSeconds);
      note(`at the end of load over ${connections} connections`);
    }
    rows.push({ when: 'the most', resident: memory(serving.pid, 'VmHWM') / 1024 });
    await wait(plan.idleSeconds * 1_000);
    note('idle again');
  } finally {
    await serving.stop();
    await api.stop();
  }
  const at = (when: string): number => rows.find((row) => row.when.startsWith(when))?.resident ?? Number.NaN;
  return {
    name: 'Memory and start: 5,000 namespaces, 50 of them opted in and watched',
    table: [
      ['when', 'resident MiB'],
      ...rows.map(({ when, resident }) => [when, shown(resident)]),
      [`start until ready, median of ${plan.starts}`, `${shown(median(times))} ms`],
    ],
    targets: [
      { what: 'resident idle', limit: 80, unit: 'MiB', is: at('idle, before') },
      { what: 'resident under load', limit: 112, unit: 'MiB', is: at('the most') },
      { what: 'ready', limit: 0.5, unit: 's', is: median(times) / 1_000 },
    ],
    notes: [
      ...(api.inPod
        ? []
        : [
            'with a kubeconfig, which costs some MiB that a pod does not need: run as root for a service account',
          ]),
      `readiness says: ${readiness.replaceAll('\n', '; ').trim()}`,
    ],
    data: { rows, startMilliseconds: times },
  };
}
