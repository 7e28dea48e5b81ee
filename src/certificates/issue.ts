import { createPrivateKey, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';

/** Loaded only where something is issued: a replica that finds its certificate does without, and takes 4 MiB less. */
const library = () => import('./x509.ts');

/** A certificate and its key, PEM. */
export interface Issued {
  readonly certificate: string;
  readonly key: string;
}

/** Name of every authority for the webhook; the key identifiers tell them apart. */
export const authorityName = 'CN=falco-federation-webhook CA';

/** Name of a federation's own authority: for the hub's server certificate, and the spokes' client certificates. */
export const federationAuthorityName = 'CN=falco-federation CA';

/** How long before its making a certificate begins, in milliseconds: for clocks that are late. */
export const backdating = 3_600_000;

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const usages: webcrypto.KeyUsage[] = ['sign', 'verify'];

/** Upper bound of a common name in X.509; the alternative names are what counts. */
const longestCommonName = 64;

/**
 * Makes an authority, ECDSA P-256.
 *
 * @param now milliseconds since 1970 @param lifetime milliseconds from now
 */
export async function makeAuthority(now: number, lifetime: number, name = authorityName): Promise<Issued> {
  const x509 = await library();
  const keys = await webcrypto.subtle.generateKey(algorithm, true, usages);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name,
      notBefore: new Date(now - backdating),
      notAfter: new Date(now + lifetime),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return { certificate: `${certificate.toString('pem')}\n`, key: await exportKey(keys.privateKey) };
}

/**
 * Makes a serving certificate, ECDSA P-256, that ends with its authority at the latest.
 *
 * @param names DNS names and IP addresses that the server is reached by; the first is the subject
 */
export function makeServing(
  authority: Issued,
  names: readonly string[],
  now: number,
  lifetime: number,
): Promise<Issued> {
  const [first = 'localhost'] = names;
  const subject = first.length <= longestCommonName ? first : 'falco-federation-webhook';
  return makeLeaf(authority, { subject, names, purpose: 'serverAuth', now, lifetime });
}

/** Makes a client certificate in the same way. @param name who the client is: the subject, and a DNS name */
export function makeClient(authority: Issued, name: string, now: number, lifetime: number): Promise<Issued> {
  return makeLeaf(authority, { subject: name, names: [name], purpose: 'clientAuth', now, lifetime });
}

interface Leaf {
  readonly subject: string;
  readonly names: readonly string[];
  readonly purpose: 'serverAuth' | 'clientAuth';
  readonly now: number;
  readonly lifetime: number;
}

async function makeLeaf(
  authority: Issued,
  { subject, names, purpose, now, lifetime }: Leaf,
): Promise<Issued> {
  const x509 = await library();
  const keys = await webcrypto.subtle.generateKey(algorithm, true, usages);
  const issuer = new x509.X509Certificate(authority.certificate);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject: `CN=${subject}`,
      issuer: issuer.subjectName,
      notBefore: new Date(now - backdating),
      notAfter: new Date(Math.min(now + lifetime, issuer.notAfter.getTime())),
      signingKey: await importKey(authority.key),
      publicKey: keys.publicKey,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage[purpose]]),
        new x509.SubjectAlternativeNameExtension(
          names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value })),
        ),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
        // With two authorities of one name in the bundle, this says which of them to try.
        await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return { certificate: `${certificate.toString('pem')}\n`, key: await exportKey(keys.privateKey) };
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  const pem = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({
    format: 'pem',
    type: 'pkcs8',
  });
  return pem.toString();
}

function importKey(key: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(key).export({ format: 'der', type: 'pkcs8' });
  return webcrypto.subtle.importKey('pkcs8', new Uint8Array(der), algorithm, false, ['sign']);
}
