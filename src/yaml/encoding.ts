/**
 * The bytes of a file as the text that Falco's parser makes of them, a character for each byte. That parser does not check
 * what is above 127: Latin-1, GBK and the like go through it, and through this, unharmed.
 */
import { NotYaml } from './cursor.ts';

/** Text to put in at an offset in place of `length` characters. */
export interface TextEdit {
  readonly at: number;
  readonly length: number;
  readonly text: string;
}

/** Characters of UTF-8 bytes, a character each, for a text. */
export function byteText(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** The text of such characters; undefined when the bytes are not UTF-8. */
export function unicodeText(bytes: string): string | undefined {
  // Nothing above 127, as nearly always.
  if (!/[\x80-\xff]/.test(bytes)) return bytes;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(bytes, 'latin1'));
  } catch {
    return undefined;
  }
}

/** The byte order mark of UTF-8. */
const mark = byteText('\uFEFF');

/** What begins UTF-16 and UTF-32, with a mark or without: Falco reads them (FACTS 1.16), and nobody writes rules in them. */
const wide = /^(?:\xfe\xff|\xff\xfe|[\s\S]{0,3}\0)/;

export interface FileText {
  readonly text: string;
  /** The file of another text. */
  readonly encoded: (text: string) => Buffer;
}

/** @throws NotYaml for UTF-16 and UTF-32 */
export function decodeFile(bytes: Buffer): FileText {
  const all = bytes.toString('latin1');
  if (wide.test(all)) throw new NotYaml('UTF-16 or UTF-32; write it in UTF-8', 1);
  const first = all.startsWith(mark) ? mark : '';
  return { text: all.slice(first.length), encoded: (text) => Buffer.from(first + text, 'latin1') };
}

export function applyEdits(text: string, edits: readonly TextEdit[]): string {
  const parts: string[] = [];
  let from = 0;
  for (const edit of edits) {
    parts.push(text.slice(from, edit.at), edit.text);
    from = edit.at + edit.length;
  }
  parts.push(text.slice(from));
  return parts.join('');
}
