import type { X509Certificate } from 'node:crypto';
import { certificatesIn, isExpired, isIssuedBy, isSame, namesMissing } from '../certificates/certificate.ts';
import { type InspectedPod, type InspectedWebhooks, ourWebhooks } from '../cluster/index.ts';
import { webhookContainer } from '../federation/names.ts';
import type { Check } from './check.ts';
import { error, type Line, ok, warning } from './line.ts';
import { webhookName } from './names.ts';
import type { View } from './view.ts';

const day = 86_400_000;

/** What makes its own certificate renews it at two thirds of its life; with less than this left nobody has. */
const soon = 7 * day;

interface CertificateSecret {
  readonly name: string;
  /** Made and kept by the replicas themselves. */
  readonly own: boolean;
}

/** The Secret that a replica's certificate comes from, by its arguments: its own, or one that is mounted. */
export function certificateSecretOf(pod: InspectedPod | undefined): CertificateSecret | undefined {
  const args = pod?.spec.containers.find(({ name }) => name === webhookContainer)?.args ?? [];
  const own = args.find((arg) => arg.startsWith('--tls-secret='))?.slice('--tls-secret='.length);
  if (own !== undefined) return { name: own, own: true };
  if (!args.some((arg) => arg.startsWith('--tls-cert='))) return undefined;
  const volumes: unknown = pod?.spec.volumes;
  for (const volume of Array.isArray(volumes) ? volumes : []) {
    const secretName: unknown = volume?.secret?.secretName;
    if (typeof secretName === 'string') return { name: secretName, own: false };
  }
  return undefined;
}

/** What mends the Secret, and the caBundle. */
interface Remedies {
  readonly fix: string;
  readonly bundle: string;
}

interface Looked extends Remedies {
  readonly secretName: string;
  readonly now: number;
}

/** A certificate's own life. */
export function lifeOf(certificate: X509Certificate, what: string, { secretName, fix, now }: Looked): Line {
  const text = `${what} (Secret ${secretName}) is valid until ${certificate.validToDate.toISOString().slice(0, 10)}`;
  if (isExpired(certificate, now)) {
    const why = `it expired at ${certificate.validToDate.toISOString()}: the API server no longer calls the webhook, and pods are not federated`;
    return error('certificate', text, why, fix);
  }
  const left = certificate.validToDate.getTime() - now;
  const whole = certificate.validToDate.getTime() - certificate.validFromDate.getTime();
  // One that is made for hours is renewed in time too.
  if (left < Math.min(soon, whole / 4)) {
    return warning(
      'certificate',
      text,
      `it expires in ${Math.floor(left / day)} days, and should have been renewed`,
      fix,
    );
  }
  return ok('certificate', text);
}

/** Whether the API server trusts and calls what is in the Secret. */
function trustLines(
  configurations: readonly InspectedWebhooks[],
  leaf: X509Certificate,
  { secretName, fix, bundle: fixOfBundle }: Looked,
): readonly Line[] {
  const webhooks = configurations
    .flatMap(({ webhooks: all }) => all ?? [])
    .filter(({ name }) => ourWebhooks.includes(name));
  const text = "the caBundle verifies the webhook's certificate";
  const bundles = webhooks.map(({ clientConfig }) => decoded(clientConfig.caBundle ?? ''));
  const wrong = bundles.filter(
    (bundle) => !certificatesIn(bundle).some((one) => isSame(one, leaf) || isIssuedBy(leaf, one)),
  );
  const why = wrong.includes('')
    ? 'the caBundle is empty: the API server does not trust the webhook, and pods are not federated'
    : `it is of another authority than the certificate in Secret ${secretName}: the API server refuses the webhook's answers, and pods are not federated`;
  const [name] = webhooks.flatMap(({ clientConfig: { service } }) =>
    service === undefined ? [] : [`${service.name}.${service.namespace}.svc`],
  );
  const isNamed = name === undefined || namesMissing(leaf, [name]).length === 0;
  const unnamed = `the API server calls ${name}, and the certificate in Secret ${secretName} is not for that name`;
  return [
    wrong.length === 0 ? ok('ca_bundle', text) : error('ca_bundle', text, why, fixOfBundle),
    ...(isNamed ? [] : [error('certificate_name', "names of the webhook's certificate", unnamed, fix)]),
  ];
}

function decoded(base64: string): string {
  return Buffer.from(base64, 'base64').toString('utf8');
}

/** By who makes the certificate: the replicas themselves, cert-manager, or somebody by hand. */
function remediesOf(
  { name, own }: CertificateSecret,
  namespace: string,
  { metadata, webhooks }: InspectedWebhooks,
): Remedies {
  const kubectl = `kubectl --namespace ${namespace}`;
  const same = (fix: string): Remedies => ({ fix, bundle: fix });
  if (own)
    return same(`${kubectl} rollout restart deployment/${webhookName}   # the replicas publish it again`);
  if (metadata.annotations?.['cert-manager.io/inject-ca-from'] !== undefined)
    return same(`${kubectl} describe certificates,certificaterequests`);
  const service = webhooks?.[0]?.clientConfig.service?.name ?? webhookName;
  return {
    fix: `${kubectl} create secret tls ${name} --cert=tls.crt --key=tls.key --dry-run=client --output=yaml | kubectl apply --server-side --force-conflicts -f -   # your certificate for ${service}.${namespace}.svc`,
    bundle: `kubectl edit mutatingwebhookconfiguration ${metadata.name}   # caBundle: your ca.crt, as base64`,
  };
}

/** The caBundle, and the certificate that the Secret holds. */
async function look(view: View): Promise<readonly Line[]> {
  const configurations = await view.configurations();
  const [pod] = await view.podsOf('webhook');
  const found = certificateSecretOf(pod);
  const [configuration] = configurations;
  if (configuration === undefined || found === undefined) return [];
  const namespace = await view.place();
  const secretName = `${namespace}/${found.name}`;
  const remedies = remediesOf(found, namespace, configuration);
  const { fix } = remedies;
  const text = `the webhook's certificate: Secret ${secretName}`;
  const secret = await view.secret(namespace, found.name);
  if (secret === undefined) {
    const logs = `kubectl --namespace ${namespace} logs deployment/${webhookName} --tail 20`;
    return found.own
      ? [
          error(
            'certificate',
            text,
            'not found: a running replica creates it within seconds, or logs why it cannot',
            logs,
          ),
        ]
      : [error('certificate', text, 'not found: the replicas cannot start, and pods are not federated', fix)];
  }
  const [leaf] = certificatesIn(secret.data.get('tls.crt') ?? '');
  if (leaf === undefined) return [error('certificate', text, 'it has no certificate in tls.crt', fix)];
  const looked = { secretName, ...remedies, now: view.now() };
  return [lifeOf(leaf, "the webhook's certificate", looked), ...trustLines(configurations, leaf, looked)];
}

export const servingCertificate: Check = {
  name: 'certificate',
  title: "the webhook's certificate",
  look,
};
