/** The manifests applied as README says, and the program behind them. */
import { join } from 'node:path';
import type { V1Service } from '@kubernetes/client-node';
import { root } from '../real/places.ts';
import type { Api } from './api.ts';
import type { ControlPlane } from './control-plane.ts';
import { appName, type Installation, namespace, startInstallation } from './installation.ts';

/** Of every replica. */
export const flags: readonly string[] = [
  ...['--tls-secret', `${appName}-certificates`, '--tls-name', `${appName}.${namespace}.svc`],
  ...['--drain-delay', '2s', '--grace-period', '15s'],
];

/** The manifests' 443, where this user may listen on it. */
const servicePort = process.getuid?.() === 0 ? 443 : 8443;

/** As README says, but with `failurePolicy: Fail`, so that nothing passes unseen. */
async function install({ kubectl }: ControlPlane): Promise<void> {
  await kubectl(['apply', '--server-side', '-k', join(root, 'manifests/overlays/spoke')]);
  if (servicePort !== 443) {
    const ports = { spec: { ports: [{ name: 'webhook', port: servicePort, targetPort: 'webhook' }] } };
    await kubectl([
      ...['patch', 'service', appName, '--namespace', namespace, '--type=merge'],
      ...['--patch', JSON.stringify(ports)],
    ]);
  }
  await patchWebhook(kubectl, { failurePolicy: 'Fail', clientConfig: { service: { port: servicePort } } });
}

export async function patchWebhook(kubectl: ControlPlane['kubectl'], fields: object): Promise<void> {
  const patch = { webhooks: [{ name: 'inject.falco-federation.io', ...fields }] };
  await kubectl([
    ...['patch', 'mutatingwebhookconfiguration', appName, '--type=strategic'],
    ...['--patch', JSON.stringify(patch)],
  ]);
}

interface Options {
  readonly folder: string;
  readonly controlPlane: ControlPlane;
  readonly api: Api;
  readonly settings: string;
  readonly flags: readonly string[];
}

/** Applies them. Resolves with no replica yet: `add` them. */
export async function installManifests(options: Options): Promise<Installation> {
  const { controlPlane, api, ...others } = options;
  await install(controlPlane);
  const { body } = await api.call('GET', `/api/v1/namespaces/${namespace}/services/${appName}`);
  // Safe: it was applied a line before.
  const { clusterIP = '' } = (body as V1Service).spec ?? {};
  return await startInstallation({
    ...others,
    kubeconfig: await controlPlane.serviceAccountKubeconfig(namespace, appName),
    api,
    address: { host: clusterIP, port: servicePort },
  });
}
