/**
 * Texts in quotes, as Falco's parser reads them. It is wider than the standard: they go on at any indentation, a line
 * break may stand for the closing quote at the end of the file, and the last line breaks are one.
 */
import { type Cursor, isBreak } from './cursor.ts';
import { clipped, folded, type ScannedScalar, withoutBlanks } from './scalar-text.ts';

const doubleStop = /["\\\r\n]/g;
const singleStop = /['\r\n]/g;

/** Reads a quoted text from its opening quote on. */
export function scanQuoted(cursor: Cursor): ScannedScalar {
  return new QuotedText(cursor).scan();
}

class QuotedText {
  private readonly cursor: Cursor;
  private readonly quote: string;
  private value = '';
  /** Length of the value that neither folding nor clipping may shorten. */
  private solid = 0;
  private escaped = -1;
  private wasEmpty = false;

  constructor(cursor: Cursor) {
    this.cursor = cursor;
    this.quote = cursor.char;
    cursor.at++;
  }

  scan(): ScannedScalar {
    const { cursor } = this;
    while (!cursor.ended) {
      const lineEnd = this.scanLine();
      if (lineEnd === 'closed') return this.scanned(false);
      this.value = this.value.slice(0, this.solid);
      cursor.eatBreak();
      cursor.skipBlanks();
      const isEmpty = isBreak(cursor.char);
      if (isEmpty || lineEnd === 'break') this.value += folded(isEmpty, this.wasEmpty);
      this.wasEmpty = isEmpty;
    }
    return this.scanned(true);
  }

  private scanned(open: boolean): ScannedScalar {
    return { value: clipped(this.value, this.escaped), end: this.cursor.at, open };
  }

  /** Reads up to the closing quote, a line break, or one with a backslash before it. */
  private scanLine(): 'closed' | 'break' | 'escaped_break' {
    const { cursor } = this;
    this.solid = this.value.length;
    for (;;) {
      if (cursor.isAtDocumentMark()) throw cursor.refuse('a document ends inside a quoted scalar');
      this.takeText();
      if (cursor.ended) throw cursor.refuse('missing closing quote');
      if (isBreak(cursor.char)) return 'break';
      if (this.isClosingQuote()) {
        cursor.at++;
        return 'closed';
      }
      if (cursor.char === '\\' && isBreak(cursor.text.charAt(cursor.at + 1))) {
        cursor.at++;
        this.protect();
        return 'escaped_break';
      }
      this.value += cursor.char === "'" ? singleQuote(cursor) : escapeSequence(cursor);
      this.protect();
    }
  }

  private isClosingQuote(): boolean {
    const { char, text, at } = this.cursor;
    return char === this.quote && !(char === "'" && text.charAt(at + 1) === "'");
  }

  private takeText(): void {
    const { cursor } = this;
    const from = cursor.at;
    cursor.moveTo(this.quote === '"' ? doubleStop : singleStop);
    const solid = withoutBlanks(cursor.text, from, cursor.at);
    if (solid > from) this.solid = this.value.length + solid - from;
    this.value += cursor.text.slice(from, cursor.at);
  }

  private protect(): void {
    this.solid = this.value.length;
    this.escaped = this.value.length;
  }
}

function singleQuote(cursor: Cursor): string {
  cursor.at += 2;
  return "'";
}

// What stands for what behind a backslash. A byte each, as Falco's parser makes them, but for the last two.
const escapes: ReadonlyMap<string, string> = new Map([
  ...([
    ['0', '\0'],
    ['a', '\x07'],
    ['b', '\b'],
    ['t', '\t'],
    ['\t', '\t'],
    ['n', '\n'],
  ] as const),
  ...([
    ['v', '\v'],
    ['f', '\f'],
    ['r', '\r'],
    ['e', '\x1B'],
    [' ', ' '],
    ['"', '"'],
  ] as const),
  ...([
    ["'", "'"],
    ['\\', '\\'],
    ['/', '/'],
    ['N', '\x85'],
    ['_', '\xA0'],
  ] as const),
  ...([
    ['L', '\xE2\x80\xA8'],
    ['P', '\xE2\x80\xA9'],
  ] as const),
]);

const hexDigits: ReadonlyMap<string, number> = new Map([
  ['x', 2],
  ['u', 4],
  ['U', 8],
]);

function escapeSequence(cursor: Cursor): string {
  const char = cursor.text.charAt(cursor.at + 1);
  const known = escapes.get(char);
  if (known !== undefined) {
    cursor.at += 2;
    return known;
  }
  const digits = hexDigits.get(char);
  if (digits === undefined) throw cursor.refuse(`unknown escape sequence \\${char}`);
  const hex = cursor.text.slice(cursor.at + 2, cursor.at + 2 + digits);
  const code = new RegExp(`^[0-9a-fA-F]{${digits}}$`).test(hex) ? Number.parseInt(hex, 16) : -1;
  if (code < 0 || code > 0x10_ff_ff || (code >= 0xd8_00 && code <= 0xdf_ff)) {
    throw cursor.refuse(`invalid escape sequence: \\${char}${hex}`);
  }
  cursor.at += 2 + digits;
  return Buffer.from(String.fromCodePoint(code), 'utf8').toString('latin1');
}
