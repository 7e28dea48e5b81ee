/** What keeps events from a hub, by the words of Node, of the forwarder and of the receiver. */
import { hubSecretName, webhookName } from './names.ts';

interface Obstacle {
  readonly words: RegExp;
  readonly what: string;
  readonly fix: (at: { readonly hub: URL; readonly namespace: string }) => string;
}

const obstacles: readonly Obstacle[] = [
  {
    words: /ENOTFOUND|EAI_AGAIN|getaddrinfo/,
    what: 'its name is not found (DNS)',
    fix: ({ hub, namespace }) =>
      `nslookup ${hub.hostname}; kubectl --namespace ${namespace} edit configmap/${webhookName}   # hub.address`,
  },
  {
    words: /answers 40[13]/,
    what: 'it does not let this cluster in',
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
    what: 'something there answers, and is not a receiver',
    fix: ({ hub }) => `curl --verbose ${new URL('/ping', hub)}`,
  },
  {
    words: /certificate|self-signed|altnames|CERT_|TLS|SSL|EPROTO/i,
    what: 'its certificate is not trusted, or ours is not (TLS)',
    fix: ({ hub, namespace }) =>
      `openssl s_client -connect ${hub.hostname}:${hub.port || '443'} -servername ${hub.hostname} </dev/null | openssl x509 -noout -issuer -enddate -ext subjectAltName; kubectl --namespace ${namespace} describe secret ${hubSecretName}   # ca.crt: who signed it`,
  },
];

const anyObstacle: Omit<Obstacle, 'words'> = {
  what: 'it is not reached (network)',
  fix: ({ hub, namespace }) =>
    `curl --verbose ${new URL('/ping', hub)}; kubectl --namespace ${namespace} describe networkpolicy falco-federation-forwarder   # the hub's port`,
};

export function obstacleIn(words: string): Pick<Obstacle, 'what' | 'fix'> {
  return obstacles.find((one) => one.words.test(words)) ?? anyObstacle;
}
