import { version } from '../federation/names.ts';
import { imageTag } from '../injection/image.ts';
import type { Check } from './check.ts';
import { installCommand } from './install-command.ts';
import { counted, error, type Line, ok, warning } from './line.ts';
import { webhookName } from './names.ts';
import { readyLine } from './ready-line.ts';
import type { Replica } from './replica.ts';
import { rolloutLines } from './rollout.ts';
import type { View } from './view.ts';

async function readyOnes(view: View): Promise<readonly Line[]> {
  const namespace = await view.place();
  const deployment = await view.deployment();
  if (deployment === undefined) {
    const why = `there is no Deployment ${webhookName} in namespace ${namespace}; if it is elsewhere, give --namespace`;
    return [
      error(
        'webhook_replicas',
        "the webhook's replicas are ready",
        why,
        installCommand(await view.installed()),
      ),
    ];
  }
  const [pods, replicas] = await Promise.all([view.webhookPods(), view.webhookReplicas()]);
  const of = { check: 'webhook_replicas', what: 'the webhook', name: webhookName, namespace };
  const consequence = 'pods that are created now are not federated';
  const scale = `kubectl --namespace ${namespace} scale deployment/${webhookName} --replicas=2`;
  return [readyLine({ ...of, workload: deployment, pods, replicas, consequence }, scale)];
}

/** Whether a Service leads to anybody. */
export async function endpointLine(
  check: string,
  { cluster }: View,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  consequence: string,
): Promise<Line> {
  const ready = await cluster.readyEndpoints(namespace, name);
  const text = `Service ${namespace}/${name} has ${counted(ready ?? 0, 'ready endpoint')}`;
  if (ready !== undefined && ready > 0) return ok(check, text);
  return error(check, text, consequence, `kubectl --namespace ${namespace} get service,endpointslices,pods`);
}

async function endpoints(view: View): Promise<readonly Line[]> {
  const services = (await view.configurations())
    .flatMap(({ webhooks }) => webhooks ?? [])
    .flatMap(({ clientConfig }) => clientConfig.service ?? []);
  const [service] = services;
  if (service === undefined) return [];
  const why = 'the API server reaches no replica by it, so pods are not federated';
  return [await endpointLine('webhook_endpoints', view, service, why)];
}

async function rollout(view: View): Promise<readonly Line[]> {
  const deployment = await view.deployment();
  if (deployment === undefined) return [];
  const [namespace, pods] = await Promise.all([view.place(), view.webhookPods()]);
  return rolloutLines('webhook_rollout', `deployment/${webhookName}`, namespace, deployment, pods);
}

export const webhookReplicas: Check = {
  name: 'webhook_replicas',
  title: "the webhook's replicas are ready",
  look: async (view) => [...(await readyOnes(view)), ...(await rollout(view)), ...(await endpoints(view))],
};

/** What is told where pods cannot be asked through the API server. */
export function cannotAsk(
  check: string,
  what: string,
  namespace: string,
  replicas: readonly Replica[],
): Line {
  const [first] = replicas.filter(({ readiness }) => 'problem' in readiness);
  const problem = first !== undefined && 'problem' in first.readiness ? first.readiness.problem : '';
  return warning(
    check,
    `what ${what} tells of itself`,
    `cannot be asked for by way of the API server: ${problem}`,
    `kubectl --namespace ${namespace} port-forward pod/${first?.name} 8080 & sleep 2; curl localhost:8080/readyz`,
  );
}

/** Ready, and yet not to be asked; what is not ready is told anyway. */
export function isMute({ ready, readiness }: Replica): boolean {
  return ready && 'problem' in readiness;
}

/** Details of /readyz that ask for attention, though the replica is ready. */
export const replicasTell: Check = {
  name: 'webhook_readiness',
  title: 'what the replicas tell of themselves',
  look: async (view) => {
    const [namespace, replicas] = await Promise.all([view.place(), view.webhookReplicas()]);
    const mute = replicas.filter(isMute);
    const lines = replicas.flatMap(({ name, readiness }): Line[] => {
      if ('problem' in readiness) return [];
      return ['namespaces', 'certificate', 'image'].flatMap((what) => {
        const found = readiness.get(what);
        if (found === undefined || /^(ok|no cluster)/.test(found.detail)) return [];
        const fix = `kubectl --namespace ${namespace} logs ${name}`;
        const text = `${name}: ${what}`;
        return [
          found.ready
            ? warning('webhook_readiness', text, found.detail, fix)
            : error('webhook_readiness', text, found.detail, fix),
        ];
      });
    });
    if (mute.length > 0) lines.push(cannotAsk('webhook_readiness', 'the webhook', namespace, mute));
    return lines.length > 0 || replicas.length === 0
      ? lines
      : [ok('webhook_readiness', 'the replicas see the namespaces and serve a certificate that counts')];
  },
};

/** Versions of the replicas: as they tell it, else as their images are called. */
function versionsOf(replicas: readonly Replica[]): readonly string[] {
  const told = replicas.flatMap(({ metrics }) =>
    (metrics?.samples('falco_federation_build_info') ?? []).flatMap(({ labels }) => labels.version ?? []),
  );
  return [...new Set(told)].sort();
}

/** That replicas, injected containers and this program are of one version. */
export const versions: Check = {
  name: 'versions',
  title: 'one version everywhere',
  look: async (view) => {
    const pods = await view.webhookPods();
    if (pods.length === 0) return [];
    const namespace = await view.place();
    const told = versionsOf(await view.webhookReplicas());
    const images = await view.webhookImages();
    const lines: Line[] = [];
    if (images.length > 1) {
      const why = 'the replicas are of different images, so pods are injected differently';
      const fix = `kubectl --namespace ${namespace} rollout status deployment/${webhookName}`;
      lines.push(warning('versions', `images of the webhook: ${images.join(', ')}`, why, fix));
    }
    const others = told.filter((one) => one !== version);
    if (others.length > 0) {
      const why = `this program is ${version}: what it says of selections and stale pods is of another version`;
      const fix = `falco-federation --version   # use ${others[0]}`;
      lines.push(warning('versions', `the webhook is ${others.join(', ')}`, why, fix));
    }
    const injected = (await view.goodSettings())?.rules;
    const [image] = images;
    if (injected?.enabled === true && image !== undefined && isOther(injected.image ?? image, images)) {
      const why = `the webhook runs from ${image}; what it writes into pods is made for its own version`;
      const fix = `kubectl --namespace ${namespace} edit configmap/${webhookName}   # rules.image: ${image}`;
      lines.push(error('versions', `rules.image is ${injected.image}`, why, fix));
    }
    return lines.length > 0
      ? lines
      : [ok('versions', `the webhook is ${told[0] ?? imageTag(image) ?? image}`)];
  },
};

/** Mirrors have other names; what counts is the tag, and without one the whole. */
function isOther(image: string, webhooks: readonly string[]): boolean {
  const tag = imageTag(image);
  return !webhooks.some((one) => one === image || (tag !== undefined && imageTag(one) === tag));
}
