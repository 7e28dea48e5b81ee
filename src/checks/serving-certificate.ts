/**
 * The caBundle, and the certificates that the replicas serve. These are not seen themselves: the Secret tells what it
 * holds and, by its annotation, who serves which of it; the metrics tell until when a replica's own counts.
 */
import type { X509Certificate } from 'node:crypto';
import {
  certificatesIn,
  fingerprintOf,
  isExpired,
  isIssuedBy,
  isSame,
  namesMissing,
} from '../certificates/certificate.ts';
import type { InspectedPod, InspectedSecret } from '../cluster/index.ts';
import { ourWebhooks } from '../cluster/index.ts';
import { prefix, webhookContainer } from '../federation/names.ts';
import type { Check } from './check.ts';
import { error, type Line, ok, some, warning } from './line.ts';
import { webhookName } from './names.ts';
import type { Replica } from './replica.ts';
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

function until(certificate: X509Certificate): string {
  return certificate.validToDate.toISOString().slice(0, 10);
}

interface Looked {
  readonly secretName: string;
  readonly fix: string;
  readonly now: number;
}

/** A certificate's own life. */
export function lifeOf(certificate: X509Certificate, what: string, { secretName, fix, now }: Looked): Line {
  const text = `${what} (Secret ${secretName}) is valid until ${until(certificate)}`;
  if (isExpired(certificate, now)) {
    const why = `it expired at ${certificate.validToDate.toISOString()}: the API server calls the webhook no more, and pods are not federated`;
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

function bundlesOf(view: Awaited<ReturnType<View['configurations']>>): readonly string[] {
  return view
    .flatMap(({ webhooks }) => webhooks ?? [])
    .filter(({ name }) => ourWebhooks.includes(name))
    .map(({ clientConfig }) => Buffer.from(clientConfig.caBundle ?? '', 'base64').toString('utf8'));
}

function aboutBundle(
  bundles: readonly string[],
  leaf: X509Certificate,
  secretName: string,
  fix: string,
): Line {
  const text = "the caBundle verifies the webhook's certificate";
  const wrong = bundles.filter((bundle) => {
    const authorities = certificatesIn(bundle);
    return !authorities.some((one) => isSame(one, leaf) || isIssuedBy(leaf, one));
  });
  if (wrong.length === 0) return ok('ca_bundle', text);
  const why = wrong.includes('')
    ? 'the caBundle is empty: the API server trusts nobody, and pods are not federated'
    : `it is of another authority than the certificate in Secret ${secretName}: the API server refuses the webhook's answers, and pods are not federated`;
  return error('ca_bundle', text, why, fix);
}

/** Replicas whose certificate is not the Secret's: by what they have written down, else by its end. */
function servingOthers(
  leaf: X509Certificate,
  secret: InspectedSecret,
  replicas: readonly Replica[],
): readonly string[] {
  const annotation = secret.annotations[`${prefix}serving`] ?? '{}';
  let written: unknown = {};
  try {
    written = JSON.parse(annotation);
  } catch {
    // They write it again.
  }
  const end = Math.floor(leaf.validToDate.getTime() / 1000);
  return replicas
    .filter(({ name, metrics }) => {
      const fingerprint: unknown =
        typeof written === 'object' && written !== null ? Reflect.get(written, name) : undefined;
      if (typeof fingerprint === 'string') return fingerprint !== fingerprintOf(leaf);
      const served = metrics?.value('falco_federation_certificate_not_after_timestamp_seconds');
      return served !== undefined && served !== end;
    })
    .map(({ name }) => name);
}

async function look(view: View): Promise<readonly Line[]> {
  const configurations = await view.configurations();
  const [pod] = await view.podsOf('webhook');
  const found = certificateSecretOf(pod);
  if (configurations.length === 0 || found === undefined) return [];
  const namespace = await view.place();
  const secretName = `${namespace}/${found.name}`;
  const fix = found.own
    ? `kubectl --namespace ${namespace} rollout restart deployment/${webhookName}   # the replicas publish it again`
    : `kubectl --namespace ${namespace} describe certificates,certificaterequests; kubectl --namespace ${namespace} get secret ${found.name}`;
  const secret = await view.secret(namespace, found.name);
  if (secret === undefined) {
    const why = found.own
      ? 'not found: a replica that runs creates it within seconds, or logs why it cannot'
      : 'not found: the replicas cannot start, and pods are not federated';
    const logs = `kubectl --namespace ${namespace} logs deployment/${webhookName} --tail 20`;
    return [
      error('certificate', `the webhook's certificate: Secret ${secretName}`, why, found.own ? logs : fix),
    ];
  }
  const [leaf] = certificatesIn(secret.data.get('tls.crt') ?? '');
  if (leaf === undefined) {
    const why = 'it has no certificate in tls.crt';
    return [error('certificate', `the webhook's certificate: Secret ${secretName}`, why, fix)];
  }
  const now = view.now();
  const lines = [
    lifeOf(leaf, "the webhook's certificate", { secretName, fix, now }),
    aboutBundle(bundlesOf(configurations), leaf, secretName, fix),
    ...namesOfService(configurations, leaf, secretName, fix),
  ];
  const others = servingOthers(leaf, secret, await view.replicasOf('webhook'));
  if (others.length > 0) {
    const why = `another one than that of Secret ${secretName}, though they should have read it by now`;
    lines.push(
      warning(
        'certificate_served',
        `certificate of ${some(others)}`,
        why,
        `kubectl --namespace ${namespace} delete pod ${others[0]}`,
      ),
    );
  }
  return lines;
}

function namesOfService(
  configurations: Awaited<ReturnType<View['configurations']>>,
  leaf: X509Certificate,
  secretName: string,
  fix: string,
): readonly Line[] {
  const [service] = configurations
    .flatMap(({ webhooks }) => webhooks ?? [])
    .flatMap(({ clientConfig }) => clientConfig.service ?? []);
  if (service === undefined) return [];
  const name = `${service.name}.${service.namespace}.svc`;
  if (namesMissing(leaf, [name]).length === 0) return [];
  const why = `the API server calls ${name}, and the certificate in Secret ${secretName} is not for that name`;
  return [error('certificate_name', "names of the webhook's certificate", why, fix)];
}

export const servingCertificate: Check = {
  name: 'certificate',
  title: "the webhook's certificate",
  look,
};
