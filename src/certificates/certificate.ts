import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { backdating } from './issue.ts';

const block = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/** The certificates of a PEM text as they stand there, in order. */
export function blocksIn(pem: string): readonly string[] {
  return pem.match(block) ?? [];
}

/** Certificates of a PEM text in order; blocks that cannot be read are left out. */
export function certificatesIn(pem: string): readonly X509Certificate[] {
  return blocksIn(pem).flatMap((text) => {
    try {
      return [new X509Certificate(text)];
    } catch {
      return [];
    }
  });
}

/** PEM text of certificates, as it lies in ca.crt and in caBundle. */
export function pemOf(certificates: readonly X509Certificate[]): string {
  return certificates.map(String).join('');
}

/** A private key, or undefined where the text is none. */
export function keyIn(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}

export function isKeyOf(key: KeyObject, certificate: X509Certificate): boolean {
  try {
    return certificate.checkPrivateKey(key);
  } catch {
    return false;
  }
}

/** SHA-256 of a certificate, lower-case hex. */
export function fingerprintOf({ fingerprint256 }: X509Certificate): string {
  return fingerprint256.replaceAll(':', '').toLowerCase();
}

export function isSame(a: X509Certificate, b: X509Certificate): boolean {
  return a.fingerprint256 === b.fingerprint256;
}

export function isExpired(certificate: X509Certificate, now: number): boolean {
  return certificate.validToDate.getTime() <= now;
}

/**
 * Whether it counts at all. One that begins a little later is of a replica whose clock is ahead; one that begins
 * much later is from a time when a clock was wrong, and no client takes it.
 */
export function isUsable(certificate: X509Certificate, now: number): boolean {
  return !isExpired(certificate, now) && certificate.validFromDate.getTime() <= now + backdating;
}

export function isIssuedBy(certificate: X509Certificate, authority: X509Certificate): boolean {
  try {
    // checkIssued compares names and key identifiers, verify the signature.
    return authority.ca && certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
  } catch {
    // A public key of a kind that is not known here.
    return false;
  }
}

/**
 * When a part of a certificate's life is over, milliseconds since 1970; the backdating is no part of its life.
 *
 * @param lifetime milliseconds that it shall live now: what was made to live longer is renewed as if it did not
 */
export function atPartOfLife(certificate: X509Certificate, part: number, lifetime: number): number {
  const end = certificate.validToDate.getTime();
  // Another's certificate may not be backdated, and live shorter than that.
  const made = Math.min(end, certificate.validFromDate.getTime() + backdating);
  return made + Math.min(end - made, lifetime) * part;
}

/** DNS names and addresses that a certificate is for. */
export function namesOf({ subjectAltName }: X509Certificate): readonly string[] {
  return (subjectAltName ?? '').split(', ').flatMap((one) => {
    const [, kind, name] = /^(DNS|IP Address):(.+)$/.exec(one) ?? [];
    return kind === undefined || name === undefined ? [] : [readable(name)];
  });
}

/** Node writes an IPv6 address in full; `::1` is what people wrote. */
function readable(name: string): string {
  return isIP(name) === 6 ? new URL(`http://[${name}]`).hostname.slice(1, -1) : name;
}

/** Those of the names that the certificate is not for. */
export function namesMissing(certificate: X509Certificate, names: readonly string[]): readonly string[] {
  return names.filter((name) => {
    const found = isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name);
    return found === undefined;
  });
}
