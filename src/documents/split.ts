/**
 * Splits a stream of YAML documents into pieces that joined again are the very same text.
 *
 * A line that begins with `---` begins a document wherever it stands (YAML 1.2, 9.1.2), and one that is `...` ends
 * one; what comes before the first one is a document of its own. Comments before a `---` belong to the document that
 * ends there; directives (`%YAML 1.1`) are a piece of their own, since nobody who reads manifests minds them.
 */
export function splitDocuments(text: string): string[] {
  const pieces: string[] = [];
  let start = 0;
  const cut = (at: number): void => {
    if (at > start) pieces.push(text.slice(start, at));
    start = at;
  };
  for (const match of text.matchAll(/^(?:---(?=[ \t\r\n]|$)|\.\.\.(?=[ \t\r\n]|$).*\n?)/gm)) {
    cut(match[0].startsWith('-') ? match.index : match.index + match[0].length);
  }
  cut(text.length);
  return pieces;
}

/** A line of nothing but a comment, a directive or a mark. */
const filler = /^(?:%|[ \t]*#|(?:---|\.\.\.)(?:$|[ \t]+#))/;

/** Whether a piece holds nothing but comments, directives and marks. */
export function isWithoutObject(piece: string): boolean {
  // Line by line: one expression over all of them tries each way to share their blanks.
  return piece.split(/[\r\n]/).every((line) => {
    const text = line.trimEnd();
    return text === '' || filler.test(text);
  });
}

// What is left of a text with an open quote is one token: else each quote in it would be tried to the end.
const jsonToken = /"(?:[^"\\]|\\[\s\S])*(?:"|\\?$)|[{}[\]]/g;

/**
 * Splits a stream of JSON objects, with anything or nothing between them, into pieces that joined again are the very
 * same text.
 *
 * @returns `undefined` where the text begins with no object, or one does not end
 */
export function splitJson(text: string): string[] | undefined {
  if (!/^\s*\{/.test(text)) return undefined;
  const pieces: string[] = [];
  let start = 0;
  let depth = 0;
  for (const { 0: token, index } of text.matchAll(jsonToken)) {
    if (token === '{' || token === '[') depth++;
    else if (token === '}' || token === ']') depth--;
    if (depth > 0 || token.startsWith('"')) continue;
    const end = index + token.length;
    pieces.push(text.slice(start, end));
    start = end;
  }
  if (depth !== 0) return undefined;
  const last = pieces.pop() ?? '';
  return [...pieces, last + text.slice(start)];
}
