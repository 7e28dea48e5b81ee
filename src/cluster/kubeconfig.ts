import type { RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import { messageOf } from '../reasons/message-of.ts';
import type { Access, ClusterConnection } from './connection.ts';

/**
 * The cluster of a kubeconfig's current context, with all the ways of being let in that the Kubernetes client knows
 * (certificates, tokens, exec plugins, OIDC, proxies). The client is big: this file is the only one
 * that imports it, and is itself loaded only where there is a kubeconfig.
 *
 * @throws Error that names the file and the remedy
 */
export function fromKubeconfig(file: string): ClusterConnection {
  const config = new KubeConfig();
  try {
    config.loadFromFile(file);
  } catch (error) {
    throw new Error(`--kubeconfig ${file}: ${messageOf(error)}; give the file that kubectl uses`);
  }
  const context = config.getContextObject(config.getCurrentContext());
  if (context === null) {
    const names = config.getContexts().map(({ name }) => name);
    throw new Error(
      `--kubeconfig ${file}: current-context "${config.getCurrentContext() ?? ''}" is none of its contexts (${names.join(', ')}); choose one with: kubectl --kubeconfig ${file} config use-context NAME`,
    );
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new Error(
      `--kubeconfig ${file}: context "${context.name}" wants cluster "${context.cluster}", which is not in the file; add it with: kubectl --kubeconfig ${file} config set-cluster ${context.cluster} --server=URL`,
    );
  }
  const isProxied = cluster.proxyUrl !== undefined;
  return {
    server: cluster.server,
    namespace: context.namespace,
    access: () => accessOf(config, isProxied),
  };
}

/** The client's own agents are kept for proxies only: they stay with the certificates that they were made with. */
async function accessOf(config: KubeConfig, isProxied: boolean): Promise<Access> {
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const { agent, ...direct } = options;
  return isProxied ? options : direct;
}
