import type { X509Certificate } from 'node:crypto';
import {
  certificatesIn,
  fingerprintOf,
  isIssuedBy,
  isKeyOf,
  isSame,
  isUsable,
  keyIn,
} from './certificate.ts';
import { authorityName } from './issue.ts';

/** Data of the Secret. `ca.crt` has all trusted authorities, the newest first. */
export type Files = Readonly<Record<string, string>>;

/** A serving certificate with its key, as stored. */
export interface Serving {
  readonly certificate: X509Certificate;
  readonly cert: string;
  readonly key: string;
}

/** Files of which none is missing, and that fit together. */
export interface Whole {
  /** All that is trusted. */
  readonly authorities: readonly X509Certificate[];
  /** Issued by one of the authorities. */
  readonly serving: Serving;
  /** Fingerprint of the one that issued it. */
  readonly authority: string;
}

/** Undefined: something is missing, damaged or expired, or does not fit the rest. */
export function wholeOf(files: Files, now: number): Whole | undefined {
  const { 'ca.crt': trusted = '', 'tls.crt': cert = '', 'tls.key': key = '' } = files;
  const authorities = usableAuthorities(trusted, now);
  const serving = servingOf(cert, key, now);
  const issuer = serving && authorities.find((one) => isIssuedBy(serving.certificate, one));
  return serving && issuer && { authorities, serving, authority: fingerprintOf(issuer) };
}

function servingOf(cert: string, key: string, now: number): Serving | undefined {
  const [certificate] = certificatesIn(cert);
  const secret = keyIn(key);
  if (certificate === undefined || secret === undefined) return undefined;
  return isUsable(certificate, now) && isKeyOf(secret, certificate) ? { certificate, cert, key } : undefined;
}

/** Of earlier authorities: more are left by nothing but a Secret that is deleted again and again. */
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
