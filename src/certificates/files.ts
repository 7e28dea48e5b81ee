import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readTexts, watchTexts } from '../background/watch-texts.ts';
import { messageOf } from '../reasons/message-of.ts';

/** A certificate (with its chain) and its key, PEM, checked to belong together. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
  readonly notAfter: Date;
}

export type KeyPairResult =
  | { readonly ok: true; readonly pair: KeyPair }
  | { readonly ok: false; readonly why: string };

/** Checks a certificate and key; errors say what is wrong with which. */
export function readKeyPair(cert: string, key: string): KeyPairResult {
  try {
    const leaf = new X509Certificate(cert);
    if (!leaf.checkPrivateKey(createPrivateKey(key)))
      return { ok: false, why: 'the key does not match the certificate' };
    return { ok: true, pair: { cert, key, notAfter: leaf.validToDate } };
  } catch (error) {
    return {
      ok: false,
      why: `no PEM certificate and key: ${messageOf(error)}`,
    };
  }
}

/** Files of a serving certificate and its key, for example of a mounted Secret. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

export async function loadKeyPair({ cert, key }: CertificateFiles): Promise<KeyPairResult> {
  const read = await readTexts([cert, key]);
  return read.ok ? readKeyPair(read.texts[0] ?? '', read.texts[1] ?? '') : read;
}

/**
 * Tells of every change of the files: a new pair, or why what is there now is none. Files that are changed one after
 * the other are no pair for a moment; the next look has it.
 *
 * @param known the pair that was loaded from the files
 * @returns what stops it
 */
export function watchKeyPair(
  { cert, key }: CertificateFiles,
  known: KeyPair,
  every: number,
  onChange: (result: KeyPairResult) => void,
): () => void {
  return watchTexts([cert, key], { ok: true, texts: [known.cert, known.key] }, every, (read) =>
    onChange(read.ok ? readKeyPair(read.texts[0] ?? '', read.texts[1] ?? '') : read),
  );
}
