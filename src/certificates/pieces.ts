import type { X509Certificate } from 'node:crypto';
import { certificatesIn, isIssuedBy, isKeyOf, isSame, isUsable, keyIn } from './certificate.ts';
import { authorityName } from './issue.ts';

/** Data of the Secret. `ca.crt` has all trusted authorities, the newest first; `ca.key` is the newest's. */
export type Files = Readonly<Record<string, string>>;

/** A serving certificate with its key, as stored. */
export interface Serving {
  readonly certificate: X509Certificate;
  readonly cert: string;
  readonly key: string;
}

/** Files of which none is missing, and that fit together. */
export interface Whole {
  /** All that is trusted; the one whose key is there first. */
  readonly authorities: readonly X509Certificate[];
  /** Key of the first authority. */
  readonly authorityKey: string;
  /** Issued by one of the authorities. */
  readonly serving: Serving;
}

/** Undefined: something is missing, damaged or expired, or does not fit the rest. */
export function wholeOf(files: Files, now: number): Whole | undefined {
  const {
    'ca.crt': trusted = '',
    'ca.key': authorityKey = '',
    'tls.crt': cert = '',
    'tls.key': key = '',
  } = files;
  const authorities = usableAuthorities(trusted, now);
  const signing = keyIn(authorityKey);
  // Authorities of ours are P-256; with another key we could not sign.
  const isOurs = signing?.asymmetricKeyDetails?.namedCurve === 'prime256v1';
  const signer = isOurs ? authorities.find((one) => isKeyOf(signing, one)) : undefined;
  const serving = servingOf(cert, key, now);
  if (signer === undefined || serving === undefined) return undefined;
  if (issuerOf(serving.certificate, authorities) === undefined) return undefined;
  return { authorities: withoutDoubles([signer, ...authorities]), authorityKey, serving };
}

function servingOf(cert: string, key: string, now: number): Serving | undefined {
  const [certificate] = certificatesIn(cert);
  const secret = keyIn(key);
  if (certificate === undefined || secret === undefined) return undefined;
  return isUsable(certificate, now) && isKeyOf(secret, certificate) ? { certificate, cert, key } : undefined;
}

/** Of authorities whose keys are gone: more are left by nothing but a Secret that is deleted again and again. */
const mostKept = 5;

/** Authorities of ours among what is published. Others' are none of our business, and never kept. */
export function ourAuthorities(published: string, now: number): readonly X509Certificate[] {
  const name = authorityName;
  return usableAuthorities(published, now)
    .filter(({ subject, issuer }) => subject === name && issuer === name)
    .slice(0, mostKept);
}

export function usableAuthorities(pem: string, now: number): readonly X509Certificate[] {
  return withoutDoubles(certificatesIn(pem).filter((one) => one.ca && isUsable(one, now)));
}

export function withoutDoubles(certificates: readonly X509Certificate[]): readonly X509Certificate[] {
  return certificates.filter((one, at) => certificates.findIndex((other) => isSame(one, other)) === at);
}

export function issuerOf(
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
): X509Certificate | undefined {
  return authorities.find((one) => isIssuedBy(certificate, one));
}
