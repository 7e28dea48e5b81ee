/**
 * The bytes of a file as the text that Falco's parser makes of them, with a character for each byte of UTF-8. That
 * parser does not check what is above 127: Latin-1, GBK and the like go through it, and through this, unharmed. It
 * takes UTF-16 and UTF-32 too, and guesses them where no byte order mark says so (FACTS 1.16).
 */

/** Text to put in at an offset in place of `length` characters. */
export interface TextEdit {
  readonly at: number;
  readonly length: number;
  readonly text: string;
}

interface Encoding {
  /** Bytes of a unit: 1 is UTF-8. */
  readonly unit: 1 | 2 | 4;
  readonly bigEndian: boolean;
  /** Bytes of the byte order mark. */
  readonly mark: number;
}

export interface EncodedText {
  readonly text: string;
  /** The file of the edited text, in its own encoding: every byte outside the edits, in their order, stays. */
  encoded(edited: string, edits: readonly TextEdit[]): Buffer;
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

export function decodeFile(bytes: Buffer): EncodedText {
  const encoding = encodingOf(bytes);
  if (encoding.unit === 1) {
    const mark = bytes.toString('latin1', 0, encoding.mark);
    const text = bytes.toString('latin1', encoding.mark);
    return { text, encoded: (edited) => Buffer.from(mark + edited, 'latin1') };
  }
  const text = byteText(wideText(bytes, encoding));
  return { text, encoded: (_, edits) => editedWide(bytes, encoding, text, edits) };
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

/** Bytes that say something about the encoding where they begin a file. */
const telling: ReadonlySet<number | undefined> = new Set([0, 0xbb, 0xbf, 0xef, 0xfe, 0xff, undefined]);

function encodingOf(bytes: Uint8Array): Encoding {
  const [a, b, c, d] = bytes;
  const begins = (...mark: readonly number[]) => mark.every((byte, at) => bytes[at] === byte);
  if (begins(0xef, 0xbb, 0xbf)) return { unit: 1, bigEndian: false, mark: 3 };
  if (begins(0, 0, 0xfe, 0xff)) return { unit: 4, bigEndian: true, mark: 4 };
  if (begins(0, 0, 0)) return { unit: 4, bigEndian: true, mark: 0 };
  if (begins(0xfe, 0xff)) return { unit: 2, bigEndian: true, mark: 2 };
  if (begins(0xff, 0xfe, 0, 0)) return { unit: 4, bigEndian: false, mark: 4 };
  if (begins(0xff, 0xfe)) return { unit: 2, bigEndian: false, mark: 2 };
  if (a === 0 && !telling.has(b)) return { unit: 2, bigEndian: true, mark: 0 };
  if (!telling.has(a) && b === 0) return { unit: c === 0 && d === 0 ? 4 : 2, bigEndian: false, mark: 0 };
  return { unit: 1, bigEndian: false, mark: 0 };
}

/** What Falco's parser takes for the end of its input comes in as this, and so does half a surrogate pair. */
const replacement = '\uFFFD';

function wideText(bytes: Buffer, { unit, bigEndian, mark }: Encoding): string {
  const whole = bytes.subarray(mark, bytes.length - ((bytes.length - mark) % unit));
  const units: string[] = [];
  for (let at = 0; at < whole.length; at += unit) {
    const code = bigEndian ? whole.readUIntBE(at, unit) : whole.readUIntLE(at, unit);
    const isCharacter = code !== 4 && code <= 0x10_ff_ff && (unit === 2 || code < 0xd8_00 || code > 0xdf_ff);
    units.push(isCharacter ? String.fromCodePoint(code) : replacement);
  }
  return units.join('').toWellFormed();
}

function editedWide(bytes: Buffer, encoding: Encoding, text: string, edits: readonly TextEdit[]): Buffer {
  const parts: Buffer[] = [];
  let source = 0;
  let place = encoding.mark;
  let from = 0;
  for (const edit of edits) {
    place += widthOf(text, from, edit.at, encoding.unit);
    parts.push(bytes.subarray(source, place), encodeWide(edit.text, encoding));
    source = place + widthOf(text, edit.at, edit.at + edit.length, encoding.unit);
    from = edit.at;
  }
  parts.push(bytes.subarray(source));
  return Buffer.concat(parts);
}

/** Bytes in the file that a piece of the text stands for. */
function widthOf(text: string, from: number, to: number, unit: 1 | 2 | 4): number {
  let width = 0;
  for (let at = from; at < to; at++) {
    const byte = text.charCodeAt(at);
    const begins = byte < 0x80 || byte >= 0xc0;
    if (begins) width += unit === 2 && byte >= 0xf0 ? 4 : unit;
  }
  return width;
}

function encodeWide(text: string, { unit, bigEndian }: Encoding): Buffer {
  const characters = unicodeText(text) ?? '';
  const codes =
    unit === 4
      ? Array.from(characters, (character) => character.codePointAt(0) ?? 0)
      : Array.from({ length: characters.length }, (_, at) => characters.charCodeAt(at));
  const encoded = Buffer.alloc(codes.length * unit);
  codes.forEach((code, index) => {
    if (bigEndian) encoded.writeUIntBE(code, index * unit, unit);
    else encoded.writeUIntLE(code, index * unit, unit);
  });
  return encoded;
}
