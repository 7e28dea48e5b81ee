/**
 * Texts as Falco's parser reads them. It is wider than the standard: quoted texts go on at any indentation, a line
 * break may stand for the closing quote at the end of the file, and the last line breaks of a quoted text are one.
 */
import { breakAt, type Cursor, isBlank, isBreak } from './cursor.ts';

export interface ScannedScalar {
  readonly value: string;
  /** Offset behind what belongs to it: blank lines and comments that follow do not. */
  readonly end: number;
  /** Nothing can be put behind it without changing it: it goes on to the end of the text. */
  readonly open: boolean;
}

const plainStop = /:(?=[ \t\r\n]|$)|[ \t](?=#)|[\r\n]/g;
const plainStopInFlow = /:(?=[ \t\r\n,\]}]|$)|[,?[\]{}]|[ \t](?=#)|[\r\n]/g;

/** Reads a plain text; `indent` is the column that further lines begin at at least. */
export function scanPlain(
  cursor: Cursor,
  indent: number,
  inFlow: boolean,
): ScannedScalar & { readonly endsLine: boolean } {
  const stop = inFlow ? plainStopInFlow : plainStop;
  let value = '';
  let end = cursor.at;
  let wasEmpty = false;
  let endsLine = false;
  while (!cursor.ended && !cursor.isAtDocumentMark()) {
    const from = cursor.at;
    cursor.moveTo(stop);
    const lineEnd = withoutBlanks(cursor.text, from, cursor.at);
    if (lineEnd > from) end = lineEnd;
    value += cursor.text.slice(from, lineEnd);
    if (!isBreak(cursor.char) || isBreakBeforeComment(cursor)) break;
    cursor.eatBreak();
    skipIndentation(cursor, indent);
    const isEmpty = isBreak(cursor.char);
    value += folded(isEmpty, wasEmpty);
    wasEmpty = isEmpty;
    if (!isEmpty && cursor.column < indent) {
      endsLine = true;
      break;
    }
  }
  value = value.slice(0, withoutBlanks(value, 0, value.length));
  return { value: value.slice(0, withoutBreaks(value)), end, open: false, endsLine };
}

function folded(isEmpty: boolean, wasEmpty: boolean): string {
  if (isEmpty) return '\n';
  return wasEmpty ? '' : ' ';
}

function isBreakBeforeComment({ text, at }: Cursor): boolean {
  return text.charAt(at + breakAt(text, at).length) === '#';
}

/** Skips blanks up to the content or to the last one before a comment. */
function skipIndentation(cursor: Cursor, indent: number): void {
  while (isBlank(cursor.char)) {
    if (cursor.char === '\t' && cursor.column < indent) throw cursor.refuse('a tab in the indentation');
    if (cursor.text.charAt(cursor.at + 1) === '#') return;
    cursor.at++;
  }
}

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
      if (cursor.isAtDocumentMark()) throw cursor.refuse('a new document begins within quotes');
      this.takeText();
      if (cursor.ended) throw cursor.refuse('a closing quote is missing');
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
  if (digits === undefined) throw cursor.refuse(`an unknown escape sequence \\${char}`);
  const hex = cursor.text.slice(cursor.at + 2, cursor.at + 2 + digits);
  const code = new RegExp(`^[0-9a-fA-F]{${digits}}$`).test(hex) ? Number.parseInt(hex, 16) : -1;
  if (code < 0 || code > 0x10_ff_ff || (code >= 0xd8_00 && code <= 0xdf_ff)) {
    throw cursor.refuse(`an escape sequence that stands for no character: \\${char}${hex}`);
  }
  cursor.at += 2 + digits;
  return Buffer.from(String.fromCodePoint(code), 'utf8').toString('latin1');
}

const lineStop = /[\r\n]/g;

type Chomping = 'clip' | 'keep' | 'strip';

/** Reads a block scalar from its `|` or `>` on. `parentIndent` is the column of what it belongs to, or below 0. */
export function scanBlock(cursor: Cursor, parentIndent: number): ScannedScalar {
  return new BlockText(cursor, Math.max(parentIndent, 0)).scan();
}

class BlockText {
  private readonly cursor: Cursor;
  private readonly isFolded: boolean;
  private readonly chomping: Chomping;
  private indent: number;
  private readonly isIndentGiven: boolean;
  private end: number;
  private value = '';
  private hasContent = false;
  private isPastHeader = false;
  private wasEmpty = false;
  private wasMoreIndented = false;
  /** Empty lines that are not in the value yet, and whether a line before them was indented deeper. */
  private emptyLines = 0;
  private emptyLinesAfterMoreIndented = false;

  constructor(cursor: Cursor, parentIndent: number) {
    this.cursor = cursor;
    this.isFolded = cursor.char === '>';
    cursor.at++;
    const [header] = /^(?:[+-]\d|\d[+-]|[+-]|\d)?/.exec(cursor.text.slice(cursor.at, cursor.at + 2)) ?? [''];
    cursor.at += header.length;
    const digit = /\d/.exec(header)?.[0];
    if (digit === '0') throw cursor.refuse('a block scalar with an indentation of 0');
    this.chomping = chompingOf(header);
    this.isIndentGiven = digit !== undefined;
    this.indent = parentIndent + Number(digit ?? 1);
    cursor.skipBlanks();
    if (cursor.char === '#') cursor.moveTo(lineStop);
    if (!cursor.ended && !isBreak(cursor.char)) throw cursor.refuse('something else behind | or >');
    this.end = cursor.at;
  }

  scan(): ScannedScalar {
    const { cursor } = this;
    while (!cursor.ended) {
      const isContent = this.takeLine();
      if (cursor.ended) break;
      cursor.eatBreak();
      // Empty lines behind the last content belong to a text that keeps them.
      if (isContent || this.chomping === 'keep') this.end = cursor.at;
      this.skipIndentation();
      this.fold(isBreak(cursor.char), isBlank(cursor.char));
      if (!this.wasEmpty && cursor.column < this.indent) break;
    }
    const open = this.goesOn();
    return { value: this.chomped(), end: open ? cursor.at : this.end, open };
  }

  /** Whether a line break at the end of the file would change it. */
  private goesOn(): boolean {
    const { ended, text } = this.cursor;
    const last = text.charAt(text.length - 1);
    return ended && !isBreak(last) && (this.chomping !== 'strip' || isBlank(last));
  }

  private takeLine(): boolean {
    const { cursor } = this;
    const from = cursor.at;
    cursor.moveTo(lineStop);
    if (cursor.at === from) return false;
    this.hasContent = true;
    this.isPastHeader = true;
    this.value += cursor.text.slice(from, cursor.at);
    return true;
  }

  private skipIndentation(): void {
    const { cursor } = this;
    const detects = !this.isIndentGiven && !this.hasContent;
    while (cursor.char === ' ' && (detects || cursor.column < this.indent)) cursor.at++;
    if (detects) this.indent = Math.max(this.indent, cursor.column);
    if (cursor.char === '\t' && cursor.column < this.indent) throw cursor.refuse('a tab in the indentation');
  }

  /** What the line break before this line is in the value. */
  private fold(isEmpty: boolean, isMoreIndented: boolean): void {
    if (this.isFolded && this.emptyLines === 0 && isEmpty) {
      this.emptyLinesAfterMoreIndented = this.wasMoreIndented;
    }
    if (this.isPastHeader) this.value += this.isFolded ? this.foldedBreak(isEmpty, isMoreIndented) : '\n';
    this.isPastHeader = true;
    this.wasEmpty = isEmpty;
    this.wasMoreIndented = isMoreIndented;
  }

  private foldedBreak(isEmpty: boolean, isMoreIndented: boolean): string {
    if (isEmpty) {
      this.emptyLines++;
      return '';
    }
    const isFlat = !this.wasEmpty && !this.wasMoreIndented && !isMoreIndented;
    let breaks = isFlat && this.cursor.column >= this.indent ? ' ' : '\n';
    if (this.emptyLines > 0) {
      breaks += '\n'.repeat(this.emptyLines - 1);
      if (this.emptyLinesAfterMoreIndented || isMoreIndented || !this.hasContent) breaks += '\n';
      this.emptyLines = 0;
    }
    return breaks;
  }

  private chomped(): string {
    if (this.chomping === 'keep') return this.value;
    return this.chomping === 'clip'
      ? clipped(this.value, -1)
      : this.value.slice(0, withoutBreaks(this.value));
  }
}

function chompingOf(header: string): Chomping {
  if (header.includes('+')) return 'keep';
  return header.includes('-') ? 'strip' : 'clip';
}

/** Length of the text up to `end` without the blanks at its end. */
function withoutBlanks(text: string, from: number, end: number): number {
  let at = end;
  while (at > from && isBlank(text.charAt(at - 1))) at--;
  return at;
}

function withoutBreaks(text: string): number {
  let at = text.length;
  while (at > 0 && text.charAt(at - 1) === '\n') at--;
  return at;
}

/** At most one line break at the end, and none alone; what an escape sequence gave stays, and one character more. */
function clipped(value: string, escaped: number): string {
  const solid = Math.max(withoutBreaks(value), escaped === -1 ? 0 : escaped + 1);
  return solid === 0 ? '' : value.slice(0, solid + 1);
}
