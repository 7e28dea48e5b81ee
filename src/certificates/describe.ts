import { X509Certificate } from 'node:crypto';
import { messageOf } from '../reasons/message-of.ts';
import { blocksIn, fingerprintOf, namesOf } from './certificate.ts';

/** What people want to know of a certificate. */
export interface CertificateDescription {
  readonly subject: string;
  /** DNS names and IP addresses that it is for; none for an authority. */
  readonly names: readonly string[];
  readonly issuer: string;
  readonly isAuthority: boolean;
  /** ISO 8601. */
  readonly notBefore: string;
  readonly notAfter: string;
  readonly state: 'valid' | 'expired' | 'not yet valid';
  /** Whole days; negative: expired that long ago. */
  readonly daysLeft: number;
  /** SHA-256, lower-case hex. */
  readonly fingerprint: string;
}

/**
 * Describes the certificates of a PEM text, in order; other blocks, such as keys, are passed over.
 *
 * @param now milliseconds since 1970
 * @throws Error that says which certificate cannot be read, or that there is none
 */
export function describeCertificates(pem: string, now: number): CertificateDescription[] {
  const blocks = blocksIn(pem);
  if (blocks.length === 0) throw new Error('there is no PEM certificate in it');
  return blocks.map((block, at) => {
    try {
      return describe(new X509Certificate(block), now);
    } catch (error) {
      throw new Error(`certificate ${at + 1} of ${blocks.length} cannot be read: ${messageOf(error)}`);
    }
  });
}

function describe(certificate: X509Certificate, now: number): CertificateDescription {
  const [begin, end] = [certificate.validFromDate, certificate.validToDate];
  const state = end.getTime() <= now ? 'expired' : begin.getTime() > now ? 'not yet valid' : 'valid';
  return {
    subject: certificate.subject.replaceAll('\n', ', '),
    names: namesOf(certificate),
    issuer: certificate.issuer.replaceAll('\n', ', '),
    isAuthority: certificate.ca,
    notBefore: begin.toISOString(),
    notAfter: end.toISOString(),
    state,
    daysLeft: Math.floor((end.getTime() - now) / 86_400_000),
    fingerprint: fingerprintOf(certificate),
  };
}
