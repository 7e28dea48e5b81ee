/** What the API server asks a node's kubelet for: the logs of containers, as far as they have run. */
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { V1Pod } from '@kubernetes/client-node';
import { makeServingCertificate } from '../../../src/certificates/self-signed.ts';
import { containerIn, statusOf } from '../../../src/coverage/pod-status.ts';
import { portOf } from '../../port-of.ts';
import type { Api } from '../api.ts';

export interface Logs {
  /** Where the node says that its kubelet is, for the way from the API server. */
  readonly at: string;
  readonly port: number;
  readonly close: () => void;
}

/** As a kubelet refuses them. */
function problemOf(pod: V1Pod, container: string, previous: boolean): string | undefined {
  const { state, lastState } = containerIn(statusOf(pod), container) ?? {};
  if (previous)
    return lastState?.terminated ? undefined : `previous terminated container "${container}" not found`;
  const hasRun = state?.running ?? state?.terminated ?? lastState?.terminated;
  return hasRun ? undefined : `container "${container}" is waiting to start`;
}

export async function startLogs(api: Api): Promise<Logs> {
  const { certificate: cert, key } = await makeServingCertificate(['node-1'], 86_400_000);
  const server = createServer({ cert, key }, async ({ url = '' }, response) => {
    const { pathname, searchParams } = new URL(url, 'https://node-1');
    const [, , namespace, pod, container = ''] = pathname.split('/');
    const { body } = await api.call('GET', `/api/v1/namespaces/${namespace}/pods/${pod}`);
    // Safe: the API server asks for pods that are there.
    const problem = problemOf(body as V1Pod, container, searchParams.get('previous') === 'true');
    response.statusCode = problem === undefined ? 200 : 400;
    response.end(problem ?? 'what the container said\n');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const [address, port] = ['10.255.0.1', 10_250];
  await api.call(
    'PATCH',
    '/api/v1/nodes/node-1/status',
    {
      status: {
        addresses: [{ type: 'InternalIP', address }],
        daemonEndpoints: { kubeletEndpoint: { Port: port } },
      },
    },
    'application/merge-patch+json',
  );
  return {
    at: `${address}:${port}`,
    // Safe: it listens on a port.
    port: portOf(server),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
