/** What an end of the way shows the other: the files of a Secret such as `falco-federation-hub`, each of them optional. */
import { X509Certificate } from 'node:crypto';
import { validateHeaderName, validateHeaderValue } from 'node:http';
import path from 'node:path';
import { readTexts, type Texts, watchTexts } from '../background/watch-texts.ts';
import { readKeyPair } from '../certificates/files.ts';
import { messageOf } from '../reasons/message-of.ts';

export interface Credentials {
  /** Authority of the hub's certificate, PEM; the system's authorities where there is none. */
  readonly ca: string | undefined;
  /** Client certificate and key, PEM. */
  readonly client: { readonly cert: string; readonly key: string; readonly notAfter: Date } | undefined;
  /** Sent with every event. */
  readonly headers: Readonly<Record<string, string>>;
}

export const noCredentials: Credentials = { ca: undefined, client: undefined, headers: {} };

export type CredentialsResult =
  | { readonly ok: true; readonly credentials: Credentials }
  | { readonly ok: false; readonly why: string };

const names = ['tls.crt', 'tls.key', 'ca.crt', 'headers'] as const;

/** Headers that would change what a request is. */
const notOurs = new Set(['content-length', 'transfer-encoding', 'connection', 'host', 'content-type']);

/** `Name: value`, one a line; the value goes on to the line's end, whatever is in it. */
function readHeaders(text: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue;
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon)).trim();
    const value = line.slice(colon + 1).trim();
    try {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    } catch {
      // The line may be a password: only where it stands is told.
      throw new Error(`headers line ${at + 1}: must be "Name: value"`);
    }
    if (notOurs.has(name.toLowerCase())) throw new Error(`headers line ${at + 1}: ${name} cannot be set`);
    headers[name] = value;
  }
  return headers;
}

function checkedAuthority(ca: string): string {
  try {
    new X509Certificate(ca);
    return ca;
  } catch (error) {
    throw new Error(`ca.crt: no PEM certificate: ${messageOf(error)}`);
  }
}

/** Reads the files' texts; '' stands for a file that is not there. */
function readCredentials(cert: string, key: string, ca: string, headers: string): CredentialsResult {
  try {
    if ((cert === '') !== (key === '')) throw new Error('tls.crt and tls.key go together');
    const pair = cert === '' ? undefined : readKeyPair(cert, key);
    if (pair?.ok === false) throw new Error(`tls.crt, tls.key: ${pair.why}`);
    return {
      ok: true,
      credentials: {
        ca: ca === '' ? undefined : checkedAuthority(ca),
        client: pair?.pair,
        headers: readHeaders(headers),
      },
    };
  } catch (error) {
    return { ok: false, why: messageOf(error) };
  }
}

function fromTexts(read: Texts): CredentialsResult {
  if (!read.ok) return read;
  const [cert = '', key = '', ca = '', headers = ''] = read.texts;
  return readCredentials(cert, key, ca, headers);
}

/**
 * Reads the folder and goes on reading it.
 *
 * @param every milliseconds between two looks
 * @param onChange called with what is there at first, and with every change
 * @returns what stops it
 */
export async function followCredentials(
  folder: string,
  every: number,
  onChange: (result: CredentialsResult) => void,
): Promise<() => void> {
  const files = names.map((name) => path.join(folder, name));
  const first = await readTexts(files, 'empty');
  onChange(fromTexts(first));
  return watchTexts(files, first, every, (read) => onChange(fromTexts(read)), 'empty');
}
