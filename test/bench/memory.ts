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
async function startApiServer({ folder, certificate, key, ca, settings }: Place, podsInNamespace: number) {
  const program = join(import.meta.dirname, 'api-server.ts');
  const { match, stop } = await start(
    [process.execPath, program, certificate, key, settings, String(podsInNamespace)],
    /port (\d+)/,
  );
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

/** Waits until the pods are counted, where any can be seen. */
async function untilSynced({ metricsPort }: Serving): Promise<string> {
  for (;;) {
    const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    if (/^falco_federation_pods_synced 1$/m.test(text)) return text;
    await wait(50);
  }
}

/** Falco pods in each of the 50 namespaces that are opted in. */
const podsInNamespace = 100;

/** Resident memory when nothing is asked of it. @param pods in each namespace; 0: they may not be seen */
async function idle(place: Place, seconds: number, pods: number): Promise<number> {
  const api = await startApiServer(place, pods);
  const serving = await serve(place, { flags: api.flags, env: api.env });
  try {
    await untilReady(serving);
    if (pods > 0) {
      // Stale all of them: their namespaces' annotations came later.
      const all = [...(await untilSynced(serving)).matchAll(/^falco_federation_pods\{.*\} (\d+)$/gm)];
      const counted = all.filter(([, count]) => Number(count) === pods).length;
      if (counted !== 50) throw new Error(`the pods of ${counted} namespaces were counted`);
    }
    await wait(seconds * 1_000);
    return memory(serving.pid, 'VmRSS') / 1024;
  } finally {
    await serving.stop();
    await api.stop();
  }
}

const connectionCounts = [8, 64];

export async function memoryAndStart(place: Place, plan: MemoryPlan): Promise<Section> {
  // In turn, and more than once: from start to start it differs by some MiB.
  const [unseen, watching, withPods]: [number[], number[], number[]] = [[], [], []];
  for (let at = 0; at < 3; at += 1) {
    unseen.push(await idle(place, plan.idleSeconds, 0));
    watching.push(await idle(place, plan.idleSeconds, 1));
    withPods.push(await idle(place, plan.idleSeconds, podsInNamespace));
  }
  // What is open for each namespace is there with few pods as well.
  const more = median(withPods) - median(watching);
  const api = await startApiServer(place, podsInNamespace);
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
    await untilSynced(serving);
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
    name: 'Memory and start: 5,000 namespaces, 50 of them opted in and watched, with 5,000 Falco pods',
    table: [
      ['when', 'resident MiB'],
      ['idle, median of 3, pods may not be seen', shown(median(unseen))],
      ['idle, median of 3, 50 namespaces watched, with a pod each', shown(median(watching))],
      ['idle, median of 3, with 5,000 pods', shown(median(withPods))],
      ...rows.map(({ when, resident }) => [when, shown(resident)]),
      [`start until ready, median of ${plan.starts}`, `${shown(median(times))} ms`],
    ],
    targets: [
      { what: '5,000 Falco pods instead of 50, more resident', limit: 8, unit: 'MiB', is: more },
      { what: 'resident idle, with 5,000 pods', limit: 80, unit: 'MiB', is: median(withPods) },
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
    data: { rows, startMilliseconds: times, unseen, watching, withPods },
  };
}
