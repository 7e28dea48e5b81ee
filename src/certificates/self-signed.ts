import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** A serving certificate and the authority that signed it, all PEM. */
export interface ServingCertificate {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
  readonly notAfter: Date;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

function pem(label: string, der: ArrayBuffer): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/**
 * Makes an authority and a serving certificate signed by it, both ECDSA P-256. The authority's key is forgotten.
 *
 * @param names DNS names and IP addresses that the server is reached by; the first is the subject
 * @param days how long both are valid; they begin an hour ago, for clocks that are late
 */
export async function makeServingCertificate(
  names: readonly string[],
  days: number,
): Promise<ServingCertificate> {
  const notBefore = new Date(Date.now() - 3_600_000);
  const notAfter = new Date(Date.now() + days * 86_400_000);
  const usages: webcrypto.KeyUsage[] = ['sign', 'verify'];
  const authority = await webcrypto.subtle.generateKey(algorithm, false, usages);
  const server = await webcrypto.subtle.generateKey(algorithm, true, usages);
  const issuer = 'CN=falco-federation-webhook CA';
  const ca = await X509CertificateGenerator.createSelfSigned(
    {
      name: issuer,
      notBefore,
      notAfter,
      signingAlgorithm: algorithm,
      keys: authority,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    },
    webcrypto,
  );
  const leaf = await X509CertificateGenerator.create(
    {
      subject: `CN=${names[0] ?? 'localhost'}`,
      issuer,
      notBefore,
      notAfter,
      signingKey: authority.privateKey,
      publicKey: server.publicKey,
      signingAlgorithm: algorithm,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension(
          names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value })),
        ),
      ],
    },
    webcrypto,
  );
  return {
    ca: `${ca.toString('pem')}\n`,
    certificate: `${leaf.toString('pem')}\n`,
    key: pem('PRIVATE KEY', await webcrypto.subtle.exportKey('pkcs8', server.privateKey)),
    notAfter,
  };
}
