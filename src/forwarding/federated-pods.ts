/** How many pods of this cluster are federated, by its webhook's own metrics: the hub is told with each report. */
import { noCredentials } from '../events/credentials.ts';
import { httpClient } from '../events/http-client.ts';
import type { Report } from '../events/report.ts';

/** As often as reports go out. */
const askEvery = 30_000;

/** Answers in a row that may be missing, as while a replica is restarted, until what was known is not known any more. */
const mayMiss = 3;

/** Pods by state. @returns undefined where the webhook does not see them (yet) */
export function readPods(metrics: string): Report['pods'] {
  if (!/^falco_federation_pods_synced 1$/m.test(metrics)) return undefined;
  const pods: Record<string, number> = {};
  for (const [, state = '', count] of metrics.matchAll(
    /^falco_federation_pods\{.*state="([a-z_]+)".*\} (\d+)$/gm,
  ))
    pods[state] = (pods[state] ?? 0) + Number(count);
  return pods;
}

/** @param address of the metrics. `pods` is what is known at the moment. */
export function followPods(
  address: string,
  every = askEvery,
): { readonly pods: () => Report['pods']; readonly stop: () => void } {
  const client = httpClient(
    { address, credentials: noCredentials, env: {} },
    { answerTime: 10_000, mostConnections: 1 },
  );
  let known: Report['pods'];
  let missed = 0;
  const ask = async (): Promise<void> => {
    const answer = await client.send({ method: 'GET' });
    const found = answer.is === 'answered' && answer.status === 200 ? readPods(answer.text) : undefined;
    missed = found === undefined ? missed + 1 : 0;
    if (found !== undefined || missed >= mayMiss) known = found;
  };
  void ask();
  const asking = setInterval(() => void ask(), every).unref();
  return {
    pods: () => known,
    stop: () => {
      clearInterval(asking);
      client.abort();
    },
  };
}
