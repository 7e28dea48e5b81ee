import { makeAuthority, makeServing } from './issue.ts';

/** A serving certificate and the authority that signed it, all PEM. */
export interface ServingCertificate {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
  readonly notAfter: Date;
}

/**
 * Makes an authority and a serving certificate signed by it, both ECDSA P-256. The authority's key is forgotten, so
 * nobody can sign another: with the next certificate comes the next authority.
 *
 * @param names DNS names and IP addresses that the server is reached by; the first is the subject
 * @param lifetime milliseconds that both are valid; they begin an hour ago, for clocks that are late
 */
export async function makeServingCertificate(
  names: readonly string[],
  lifetime: number,
  now = Date.now(),
): Promise<ServingCertificate> {
  const authority = await makeAuthority(now, lifetime);
  const { certificate, key } = await makeServing(authority, names, now, lifetime);
  return { ca: authority.certificate, certificate, key, notAfter: new Date(now + lifetime) };
}
