import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '../reasons/message-of.ts';

/** Texts of the files, in order; or why one of them could not be read. */
export type Texts =
  | { readonly ok: true; readonly texts: readonly string[] }
  | { readonly ok: false; readonly why: string };

/** What to make of a file that is not there: an error, or an empty text. */
export type IfMissing = 'error' | 'empty';

async function readText(file: string, ifMissing: IfMissing): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (isMissing && ifMissing === 'empty') return '';
    throw error;
  }
}

export async function readTexts(files: readonly string[], ifMissing: IfMissing = 'error'): Promise<Texts> {
  try {
    return { ok: true, texts: await Promise.all(files.map((file) => readText(file, ifMissing))) };
  } catch (error) {
    return { ok: false, why: messageOf(error) };
  }
}

/**
 * Tells when small files change, by reading them again: it sees a file that is replaced, rewritten or swapped behind
 * a link (how the kubelet updates a mounted ConfigMap or Secret) alike, which file events do not.
 *
 * @param known what is known of the files now: no news
 * @param every milliseconds between two readings
 * @returns what stops it
 */
export function watchTexts(
  files: readonly string[],
  known: Texts,
  every: number,
  onChange: (texts: Texts) => void,
  ifMissing: IfMissing = 'error',
): () => void {
  let last = known;
  let reading = false;
  const timer = setInterval(async () => {
    if (reading) return;
    reading = true;
    const now = await readTexts(files, ifMissing);
    reading = false;
    if (isDeepStrictEqual(now, last)) return;
    last = now;
    onChange(now);
  }, every);
  return () => clearInterval(timer);
}
