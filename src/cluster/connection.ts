import type { OutgoingHttpHeaders } from 'node:http';
import type { RequestOptions } from 'node:https';

/** TLS, headers and agent of one request. */
export interface Access
  extends Pick<
    RequestOptions,
    'ca' | 'cert' | 'key' | 'servername' | 'rejectUnauthorized' | 'auth' | 'agent'
  > {
  readonly headers?: OutgoingHttpHeaders;
}

/** The API server of a cluster, and how to be let in. Nothing is connected by having one. */
export interface ClusterConnection {
  /** URL of the API server. */
  readonly server: string;
  /** Of the kubeconfig, where there is one. */
  readonly context?: string;
  /** The namespace of the service account or of the kubeconfig's context, where it says one. */
  readonly namespace: string | undefined;
  /** Made anew for each request: tokens and authorities are rotated while we run. */
  readonly access: () => Promise<Access>;
  /** Ends all requests, those under way too: who goes away does not wait for an API server that hangs. */
  readonly closed?: AbortSignal;
}
