/** Texts behind `|` and `>`, as Falco's parser reads them. */
import { type Cursor, isBlank, isBreak } from './cursor.ts';
import { clipped, type ScannedScalar, withoutBreaks } from './scalar-text.ts';

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
    if (!cursor.ended && !isBreak(cursor.char)) throw cursor.refuse('unexpected text after | or >');
    this.end = cursor.at;
  }

  scan(): ScannedScalar {
    const { cursor } = this;
    while (!cursor.ended) {
      const isContent = this.takeLine();
      if (cursor.ended) {
        if (isContent) this.end = cursor.at;
        break;
      }
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
