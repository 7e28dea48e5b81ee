import type { OutgoingHttpHeaders } from 'node:http';
import type { RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import { messageOf } from '../reasons/message-of.ts';
import type { Access, ClusterConnection } from './connection.ts';

/**
 * The cluster of a kubeconfig's context, with all the ways of being let in that the Kubernetes client knows
 * (certificates, tokens, exec plugins, OIDC, proxies). The client is big: this file is the only one
 * that imports it, and is itself loaded only where there is a kubeconfig.
 *
 * @param files of several the first current context counts
 * @param asked the context to take (default: the files' current one)
 * @throws Error that names the file and the remedy
 */
export function fromKubeconfig(files: readonly string[], asked?: string): ClusterConnection {
  const config = new KubeConfig();
  const said = `kubeconfig ${files.join(', ')}`;
  try {
    for (const file of files) {
      const one = new KubeConfig();
      one.loadFromFile(file);
      config.mergeConfig(one, Boolean(config.currentContext));
    }
  } catch (error) {
    throw new Error(`${said}: ${messageOf(error)}; give the file that kubectl uses`);
  }
  if (asked !== undefined) config.setCurrentContext(asked);
  const current = config.getCurrentContext();
  const context = config.getContextObject(current);
  if (context === null) {
    const names = config.getContexts().map(({ name }) => name);
    throw new Error(
      `${said}: context "${current ?? ''}" is none of its contexts (${names.join(', ')}); choose one with: kubectl config use-context NAME`,
    );
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new Error(
      `${said}: context "${context.name}" wants cluster "${context.cluster}", which is not in the file; add it with: kubectl config set-cluster ${context.cluster} --server=URL`,
    );
  }
  const isProxied = cluster.proxyUrl !== undefined;
  return {
    server: cluster.server,
    context: context.name,
    namespace: context.namespace,
    access: () => accessOf(config, isProxied),
  };
}

/** The client's own agents are kept for proxies only: they stay with the certificates that they were made with. */
async function accessOf(config: KubeConfig, isProxied: boolean): Promise<Access> {
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const { agent, headers, ...others } = options;
  // Safe: the client gives headers by their names.
  const direct = { ...others, headers: { ...headers } as OutgoingHttpHeaders };
  return isProxied ? { ...direct, agent } : direct;
}
