/**
 * The parser wants each line of a quoted text or of a collection with brackets to be indented deeper than what it
 * belongs to; go-yaml does not. Blanks put in front of such lines mean nothing, so the text can be had as the parser
 * wants it, together with the way back.
 */
import { Lexer } from 'yaml';

export interface Straight {
  readonly source: string;
  /** Where in the original text an offset of `source` is. */
  readonly offsetInText: (offset: number) => number;
}

/** How many such places one document may have before it counts as broken. */
const mostPlaces = 100;

export function straightened(text: string): Straight {
  let source = text;
  const added = new Map<number, number>();
  for (let count = 0; count < mostPlaces; count++) {
    const start = cutShort(source);
    if (start === undefined) break;
    const end = endOf(source, start);
    source = indented(source, start, end, added);
  }
  const places = [...added].toSorted(([a], [b]) => a - b);
  return { source, offsetInText: (offset) => offset - blanksBefore(places, offset) };
}

/** How many of the blanks put in, each at a place of the text with them, are in front of an offset. */
function blanksBefore(places: readonly (readonly [number, number])[], offset: number): number {
  let blanks = 0;
  for (const [at, count] of places) if (at < offset) blanks += Math.min(count, offset - at);
  return blanks;
}

/** Marks among the lexer's tokens that stand for no text: a document's or a scalar's begin, a flow's made-up end. */
const flowEnd = '\u0018';
const withoutText: ReadonlySet<string> = new Set(['\u0002', '\u001f', flowEnd]);
const openQuote = /^(?:"(?:[^"\\]|\\[\s\S])*|'(?:[^']|'')*)$/;

/** Offset of the first quoted text, or outermost collection with brackets, that the lexer ends too early. */
function cutShort(text: string): number | undefined {
  let offset = 0;
  let depth = 0;
  let start = 0;
  for (const token of new Lexer().lex(text)) {
    if (token === flowEnd && depth > 0) return start;
    if (withoutText.has(token)) continue;
    if (depth === 0) start = offset;
    if (openQuote.test(token)) return start;
    depth = Math.max(0, depth + nesting(token));
    offset += token.length;
  }
  return undefined;
}

function nesting(token: string): number {
  if (token === '[' || token === '{') return 1;
  return token === ']' || token === '}' ? -1 : 0;
}

// A piece of a flow collection: a quoted scalar where one may begin, a comment, a bracket, or else.
const piece =
  /(?<=[[{,:\s]|^)"(?:[^"\\]|\\[\s\S])*"|(?<=[[{,:\s]|^)'(?:[^']|'')*'|(?<=\s)#[^\r\n]*|[[\]{}]|[\s\S]/gy;

/** Where what begins at an offset really ends. */
function endOf(text: string, start: number): number {
  let depth = 0;
  piece.lastIndex = start;
  for (let match = piece.exec(text); match !== null; match = piece.exec(text)) {
    depth += nesting(match[0]);
    if (depth === 0) return piece.lastIndex;
  }
  return text.length;
}

/** Puts blanks in front of each line that begins inside; `added` is told where, and shifts along. */
function indented(text: string, start: number, end: number, added: Map<number, number>): string {
  const width = start - (text.lastIndexOf('\n', start - 1) + 1) + 1;
  const shifts = [...text.slice(start, end).matchAll(/\n(?=[^\r\n])/g)].map(({ index }) => start + index + 1);
  const before = [...added];
  added.clear();
  for (const [at, count] of before) {
    added.set(at + width * shifts.filter((shift) => shift < at).length, count);
  }
  shifts.forEach((at, nth) => {
    const place = at + width * nth;
    added.set(place, (added.get(place) ?? 0) + width);
  });
  let straight = '';
  let from = 0;
  for (const at of shifts) {
    straight += text.slice(from, at) + ' '.repeat(width);
    from = at;
  }
  return straight + text.slice(from);
}
