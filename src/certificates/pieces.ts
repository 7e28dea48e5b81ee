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

/** What can be used of stored files by itself. */
export interface Pieces {
  readonly authorities: readonly X509Certificate[];
  readonly authorityKey: string | undefined;
  readonly serving: Serving | undefined;
}

/** Pieces that fit together. */
export interface Fitting {
  /** All that is trusted; the one whose key is there first. */
  readonly authorities: readonly X509Certificate[];
  /** Key of the first authority; undefined: none of them can sign. */
  readonly authorityKey: string | undefined;
  /** Issued by one of the authorities. */
  readonly serving: Serving | undefined;
}

export const noPieces: Pieces = { authorities: [], authorityKey: undefined, serving: undefined };

export function piecesOf(files: Files, now: number): Pieces {
  return {
    authorities: usableAuthorities(files['ca.crt'] ?? '', now),
    authorityKey: signingKey(files['ca.key'] ?? ''),
    serving: servingOf(files['tls.crt'] ?? '', files['tls.key'] ?? '', now),
  };
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

function usableAuthorities(pem: string, now: number): readonly X509Certificate[] {
  return withoutDoubles(certificatesIn(pem).filter((one) => one.ca && isUsable(one, now)));
}

/** Authorities of ours are P-256; with another key we could not sign. */
function signingKey(pem: string): string | undefined {
  return keyIn(pem)?.asymmetricKeyDetails?.namedCurve === 'prime256v1' ? pem : undefined;
}

function servingOf(cert: string, key: string, now: number): Serving | undefined {
  const [certificate] = certificatesIn(cert);
  const secret = keyIn(key);
  if (certificate === undefined || secret === undefined) return undefined;
  return isUsable(certificate, now) && isKeyOf(secret, certificate) ? { certificate, cert, key } : undefined;
}

export function withoutDoubles(certificates: readonly X509Certificate[]): readonly X509Certificate[] {
  return certificates.filter((one, at) => certificates.findIndex((other) => isSame(one, other)) === at);
}

/**
 * Fits pieces from several places together; where two would do, that of the earlier place is taken.
 *
 * @param more authorities that others may still rely on
 */
export function fit(places: readonly Pieces[], more: readonly X509Certificate[] = []): Fitting {
  const known = withoutDoubles([...places.flatMap(({ authorities }) => authorities), ...more]);
  const signer = signerOf(places, known);
  return {
    authorities:
      signer === undefined
        ? known
        : [signer.authority, ...known.filter((one) => !isSame(one, signer.authority))],
    authorityKey: signer?.key,
    serving: places
      .flatMap(({ serving }) => serving ?? [])
      .find(({ certificate }) => issuerOf(certificate, known) !== undefined),
  };
}

function signerOf(places: readonly Pieces[], known: readonly X509Certificate[]) {
  for (const { authorityKey: key } of places) {
    const secret = key === undefined ? undefined : keyIn(key);
    if (key === undefined || secret === undefined) continue;
    const authority = known.find((one) => isKeyOf(secret, one));
    if (authority !== undefined) return { authority, key };
  }
  return undefined;
}

export function issuerOf(
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
): X509Certificate | undefined {
  return authorities.find((one) => isIssuedBy(certificate, one));
}
