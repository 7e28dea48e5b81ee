/** What others' words come to, and the command that fixes it or shows more. */
import { hubSecretName, webhookName } from './names.ts';
import type { View } from './view.ts';

interface Cause<At> {
  readonly words: RegExp;
  readonly what: string;
  readonly fix: (at: At) => string;
}

/** What keeps pods from being created or scheduled, by the API server's words. These are told as they are. */
const ofPods: readonly Omit<Cause<string>, 'what'>[] = [
  {
    words: /exceeded quota|failed quota/,
    fix: (namespace) => `kubectl --namespace ${namespace} describe resourcequota`,
  },
  {
    words: /PodSecurity/,
    fix: (namespace) =>
      `kubectl label namespace ${namespace} --overwrite pod-security.kubernetes.io/enforce=privileged   # Falco's pods are privileged by design`,
  },
  {
    words: /\b(maximum|minimum) (cpu|memory)|limit to request ratio/,
    fix: (namespace) => `kubectl --namespace ${namespace} describe limitrange`,
  },
  {
    words: /being terminated/,
    fix: (namespace) => `kubectl get namespace ${namespace} --output yaml   # status: what holds it up`,
  },
  {
    words: /cannot create resource/,
    fix: (namespace) => `kubectl auth can-i create pods --namespace ${namespace}`,
  },
  {
    words: /denied the request|ValidatingAdmissionPolicy/,
    fix: () => 'kubectl get validatingwebhookconfigurations,validatingadmissionpolicies',
  },
  {
    words: /PersistentVolumeClaim/i,
    fix: (namespace) => `kubectl --namespace ${namespace} get persistentvolumeclaims,storageclasses`,
  },
];

/** The command for what the API server said of a pod; undefined: it is none of these. */
export function podRemedy(message: string, namespace: string): string | undefined {
  return ofPods.find(({ words }) => words.test(message))?.fix(namespace);
}

export function remedyFor(message: string, namespace: string): string {
  const events = `kubectl --namespace ${namespace} get events --field-selector reason=FailedCreate`;
  return podRemedy(message, namespace) ?? events;
}

/** Why a workload's pods were not created, by its Events. Who may not list these still learns what is missing. */
export async function refusalOf(
  { cluster }: View,
  namespace: string,
  { kind, name }: { readonly kind: string; readonly name: string },
): Promise<string | undefined> {
  const failures = await cluster.failedCreates(namespace).catch(() => []);
  // A Deployment's pods are made by its ReplicaSet, `falco-5d9f7c`.
  const isOf = (of: { readonly kind: string; readonly name: string }): boolean =>
    kind === 'Deployment'
      ? of.kind === 'ReplicaSet' && of.name.startsWith(`${name}-`)
      : of.kind === kind && of.name === name;
  return failures.findLast(({ of }) => isOf(of))?.message;
}

interface Hub {
  readonly hub: URL;
  readonly namespace: string;
}

/** What keeps events from a hub, by the words of Node, of the forwarder and of the receiver. */
const ofHubs: readonly Cause<Hub>[] = [
  {
    words: /ENOTFOUND|EAI_AGAIN|getaddrinfo/,
    what: 'its name cannot be resolved (DNS)',
    fix: ({ hub, namespace }) =>
      `nslookup ${hub.hostname}; kubectl --namespace ${namespace} edit configmap/${webhookName}   # hub.address`,
  },
  {
    words: /answers 40[13]/,
    what: 'it does not authorize this cluster',
    fix: ({ namespace }) =>
      `kubectl --namespace ${namespace} describe secret ${hubSecretName}   # tls.crt, tls.key, headers`,
  },
  {
    words: /answers 503|falcosidekick/,
    what: 'its falcosidekick is away or full',
    fix: () => 'falco-federation check   # with the context of the hub',
  },
  {
    words: /answers \d{3}/,
    what: 'something else answers at this address, not a receiver',
    fix: ({ hub }) => `curl --verbose ${new URL('/ping', hub)}`,
  },
  {
    words: /altnames/,
    what: 'its certificate is for another name (TLS)',
    fix: ({ namespace }) =>
      `kubectl --namespace ${namespace} edit configmap/${webhookName}   # hub.address: a name of the certificate; or on the hub: falco-federation certs hub --renew --name NAME`,
  },
  {
    words: /certificate|self-signed|CERT_|TLS|SSL|EPROTO/i,
    what: 'its certificate is not trusted, or ours is not (TLS)',
    fix: ({ hub, namespace }) =>
      `openssl s_client -connect ${hub.hostname}:${hub.port || '443'} -servername ${hub.hostname} </dev/null | openssl x509 -noout -issuer -enddate -ext subjectAltName; kubectl --namespace ${namespace} describe secret ${hubSecretName}   # ca.crt: who signed it`,
  },
];

const ofNetworks: Omit<Cause<Hub>, 'words'> = {
  what: 'it cannot be reached (network)',
  fix: ({ hub, namespace }) =>
    `curl --verbose ${new URL('/ping', hub)}; kubectl --namespace ${namespace} describe networkpolicy falco-federation-forwarder   # the hub's port`,
};

export function hubCause(words: string): Omit<Cause<Hub>, 'words'> {
  return ofHubs.find((one) => one.words.test(words)) ?? ofNetworks;
}
