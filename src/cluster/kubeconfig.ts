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
 * @param context the one to take (default: the file's current one)
 * @throws Error that names the file and the remedy
 */
export function fromKubeconfig(file: string, context?: string): ClusterConnection {
  return connectionOf(loaded(file, `--kubeconfig ${file}`), {
    said: `--kubeconfig ${file}`,
    kubectl: `kubectl --kubeconfig ${file}`,
    context,
  });
}

/**
 * The same of several files, as kubectl merges those of KUBECONFIG: what an earlier one says of a name counts, and the
 * first current context.
 */
export function fromKubeconfigs(files: readonly string[], context?: string): ClusterConnection {
  const [first] = files;
  if (files.length === 1 && first !== undefined) return fromKubeconfig(first, context);
  const configs = files.map((file) => loaded(file, `KUBECONFIG (${file})`));
  const merged = new KubeConfig();
  merged.loadFromOptions({
    clusters: firstOfEach(configs.flatMap(({ clusters }) => clusters)),
    users: firstOfEach(configs.flatMap(({ users }) => users)),
    contexts: firstOfEach(configs.flatMap(({ contexts }) => contexts)),
    currentContext: configs.map(({ currentContext }) => currentContext).find((name) => name) ?? '',
  });
  return connectionOf(merged, { said: `KUBECONFIG (${files.join(', ')})`, kubectl: 'kubectl', context });
}

function firstOfEach<T extends { readonly name: string }>(all: readonly T[]): T[] {
  return all.filter(({ name }, at) => all.findIndex((one) => one.name === name) === at);
}

function loaded(file: string, said: string): KubeConfig {
  const config = new KubeConfig();
  try {
    config.loadFromFile(file);
  } catch (error) {
    throw new Error(`${said}: ${messageOf(error)}; give the file that kubectl uses`);
  }
  return config;
}

interface Asked {
  /** How the kubeconfig was given, and how kubectl is given it. */
  readonly said: string;
  readonly kubectl: string;
  readonly context: string | undefined;
}

function connectionOf(config: KubeConfig, { said, kubectl, context: asked }: Asked): ClusterConnection {
  if (asked !== undefined) config.setCurrentContext(asked);
  const context = config.getContextObject(config.getCurrentContext());
  if (context === null) {
    const names = config.getContexts().map(({ name }) => name);
    const which = `${asked === undefined ? 'current-context' : '--context'} "${config.getCurrentContext() ?? ''}"`;
    throw new Error(
      `${said}: ${which} is none of its contexts (${names.join(', ')}); choose one with: ${kubectl} config use-context NAME`,
    );
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new Error(
      `${said}: context "${context.name}" wants cluster "${context.cluster}", which is not in the file; add it with: ${kubectl} config set-cluster ${context.cluster} --server=URL`,
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
