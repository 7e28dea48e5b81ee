import { version } from '../federation/names.ts';
import { imageTag } from '../injection/image.ts';
import type { Check } from './check.ts';
import { error, type Line, ok, warning } from './line.ts';
import { webhookName } from './names.ts';
import { programLines } from './programs.ts';

export const webhookReplicas: Check = {
  name: 'webhook_replicas',
  title: "the webhook's replicas are ready",
  look: (view) => programLines(view, 'webhook'),
};

/** Details of /readyz that ask for attention, though the replica is ready. */
export const replicasTell: Check = {
  name: 'webhook_readiness',
  title: 'the state of the replicas',
  look: async (view) => {
    const [namespace, replicas] = await Promise.all([view.place(), view.replicasOf('webhook')]);
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
    const isTold = replicas.some(({ readiness }) => !('problem' in readiness));
    return lines.length > 0 || !isTold
      ? lines
      : [ok('webhook_readiness', 'the replicas see the namespaces and serve a valid certificate')];
  },
};

/** Mirrors have other names; what counts is the tag, and without one the whole. */
function isOther(image: string, webhooks: readonly string[]): boolean {
  const tag = imageTag(image);
  return !webhooks.some((one) => one === image || (tag !== undefined && imageTag(one) === tag));
}

/** That replicas, injected containers and this program are of one version. */
export const versions: Check = {
  name: 'versions',
  title: 'one version everywhere',
  look: async (view) => {
    const images = await view.webhookImages();
    const [image] = images;
    if (image === undefined) return [];
    const namespace = await view.place();
    const told = (await view.replicasOf('webhook')).flatMap(({ metrics }) =>
      (metrics?.samples('falco_federation_build_info') ?? []).flatMap(({ labels }) => labels.version ?? []),
    );
    const other = told.find((one) => one !== version);
    const injected = (await view.goodSettings())?.rules;
    const lines: Line[] = [];
    if (other !== undefined) {
      const why = `this program is ${version}: it judges selections and stale pods by its own version`;
      lines.push(warning('versions', `the webhook is ${other}`, why, 'falco-federation --version'));
    }
    if (injected?.enabled === true && isOther(injected.image ?? image, images)) {
      const why = `the webhook runs from ${image}; what it writes into pods is made for its own version`;
      const fix = `kubectl --namespace ${namespace} edit configmap/${webhookName}   # rules.image: ${image}`;
      lines.push(error('versions', `rules.image is ${injected.image}`, why, fix));
    }
    return lines.length > 0
      ? lines
      : [ok('versions', `the webhook is ${told[0] ?? imageTag(image) ?? image}`)];
  },
};
