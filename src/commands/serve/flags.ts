import { parseArgs } from 'node:util';
import type { CertificateFiles } from '../../certificates/files.ts';
import type { CommandIo } from '../command.ts';
import { duration, replicaName, serverFlags } from '../flag-values.ts';
import type { OwnPod } from './own-image.ts';

export const help = `Usage: falco-federation serve [--settings FILE] --tls-cert FILE --tls-key FILE
       falco-federation serve [--settings FILE] --tls-secret NAME --tls-name DNS [--webhook-configuration NAME]
       falco-federation serve --local [--settings FILE]

Serves the admission webhook: POST /mutate over HTTPS; /livez and /readyz, and /metrics, over HTTP on other ports.
Settings and certificate are reread when they change; bad ones leave the last good ones in force.

      --settings FILE     federation.yaml of the cluster (default: federation.yaml)
      --host ADDRESS      address to listen on (default: all of them)
      --port N            HTTPS port (default: 8443)
      --health-port N     health port (default: 8080)
      --metrics-port N    metrics port (default: 9090)
      --log-level LEVEL   trace, debug, info, warn, error or silent (default: info)
      --help              this text

The serving certificate, one of:
      --tls-cert FILE, --tls-key FILE
                          files, PEM; whoever makes them renews them and sees to the caBundle
      --tls-secret NAME   made by the replicas themselves, shared through this Secret of their namespace, renewed at
                          two thirds of its life
      --local             made on the spot; listens on loopback and prints a request to try

Who may call (default: whoever reaches the port; docs/security.md):
      --client-ca FILE, --client-name NAME
                          only clients with a certificate of this authority, PEM, and this common name: the API server

With --tls-secret:
      --tls-name DNS      name that the API server calls by; repeat it for more than one
      --webhook-configuration NAME
                          MutatingWebhookConfiguration whose caBundle is kept (default: falco-federation-webhook)
      --certificate-lifetime D
                          as in 90d, 12h, 30m, 45s (default: 90d)

The cluster, for opted-in namespaces and their pods, and for --tls-secret:
      --kubeconfig FILE   (default: the service account of the pod; without one the settings alone count)
      --namespace NAME    of the webhook itself (default: $POD_NAMESPACE)

When asked to stop:
      --drain-delay D     how long calls may still come in after SIGTERM (default: 5s; none after Ctrl-C)
      --grace-period D    when all connections are closed at the latest (default: 30s)

Exit status: 0 stopped by a signal, 1 could not serve, 2 wrong use.
`;

/** The certificate that all replicas make and keep together. */
export interface SharedCertificateFlags {
  readonly secret: string;
  readonly namespace: string;
  readonly names: readonly string[];
  readonly webhookConfiguration: string;
  /** Milliseconds. */
  readonly lifetime: number;
}

export type CertificateFlags =
  | { readonly from: 'files'; readonly files: CertificateFiles }
  | { readonly from: 'secret'; readonly shared: SharedCertificateFlags }
  | { readonly from: 'spot' };

function parse(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    options: {
      settings: { type: 'string', default: 'federation.yaml' },
      host: { type: 'string' },
      port: { type: 'string', default: '8443' },
      'health-port': { type: 'string', default: '8080' },
      'metrics-port': { type: 'string', default: '9090' },
      'log-level': { type: 'string', default: 'info' },
      'tls-cert': { type: 'string' },
      'tls-key': { type: 'string' },
      'tls-secret': { type: 'string' },
      'tls-name': { type: 'string', multiple: true, default: [] },
      'webhook-configuration': { type: 'string', default: 'falco-federation-webhook' },
      'certificate-lifetime': { type: 'string', default: '90d' },
      'client-ca': { type: 'string' },
      'client-name': { type: 'string' },
      kubeconfig: { type: 'string' },
      namespace: { type: 'string' },
      'drain-delay': { type: 'string', default: '5s' },
      'grace-period': { type: 'string', default: '30s' },
      local: { type: 'boolean', default: false },
    },
  }).values;
}

type Values = ReturnType<typeof parse>;

function sharedFlags(values: Values, secret: string, env: CommandIo['env']): SharedCertificateFlags {
  const namespace = values.namespace ?? env.POD_NAMESPACE;
  if (namespace === undefined || namespace === '') {
    throw new Error('--tls-secret needs --namespace, or POD_NAMESPACE in the environment');
  }
  if (values['tls-name'].length === 0) {
    throw new Error(
      '--tls-secret needs --tls-name: the name that the API server calls by, <service>.<namespace>.svc',
    );
  }
  const lifetime = duration('certificate-lifetime', values['certificate-lifetime']);
  if (lifetime === 0) throw new Error('--certificate-lifetime must not be 0');
  return {
    secret,
    namespace,
    names: values['tls-name'],
    webhookConfiguration: values['webhook-configuration'],
    lifetime,
  };
}

/** Which pod this is; `undefined` where nobody says that it is one. A pod's host is called as it is. */
function ownPod(values: Values, env: CommandIo['env']): OwnPod | undefined {
  const namespace = values.namespace ?? env.POD_NAMESPACE ?? '';
  return namespace === '' ? undefined : { namespace, name: replicaName(env) };
}

function certificateFlags(values: Values, env: CommandIo['env']): CertificateFlags {
  const { 'tls-cert': cert, 'tls-key': key, 'tls-secret': secret, local } = values;
  if ((cert === undefined) !== (key === undefined))
    throw new Error('--tls-cert and --tls-key must be given together');
  const given = [cert !== undefined, secret !== undefined, local].filter(Boolean).length;
  if (given > 1)
    throw new Error('only one of --tls-cert with --tls-key, --tls-secret and --local can be given');
  if (cert !== undefined && key !== undefined) return { from: 'files', files: { cert, key } };
  if (secret !== undefined) return { from: 'secret', shared: sharedFlags(values, secret, env) };
  if (local) return { from: 'spot' };
  throw new Error(
    'no certificate: give --tls-cert and --tls-key, or --tls-secret, or --local to try it on this machine',
  );
}

function callerFlags(values: Values): { readonly ca: string; readonly name: string } | undefined {
  const { 'client-ca': ca, 'client-name': name } = values;
  if (ca === undefined && name === undefined) return undefined;
  if (ca === undefined || name === undefined || name === '')
    throw new Error('--client-ca and --client-name must be given together');
  return { ca, name };
}

/** Throws an error that names the flag on wrong use. */
export function readFlags(argv: readonly string[], env: CommandIo['env']) {
  const values = parse(argv);
  return {
    settings: values.settings,
    local: values.local,
    host: values.host ?? (values.local ? '127.0.0.1' : undefined),
    ...serverFlags(values),
    certificate: certificateFlags(values, env),
    callers: callerFlags(values),
    kubeconfig: values.kubeconfig,
    replica: replicaName(env),
    pod: ownPod(values, env),
  };
}

export type ServeFlags = ReturnType<typeof readFlags>;
