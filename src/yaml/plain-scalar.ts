/** Texts without quotes, as Falco's parser reads them. */
import { breakAt, type Cursor, isBlank, isBreak } from './cursor.ts';
import { folded, type ScannedScalar, withoutBlanks, withoutBreaks } from './scalar-text.ts';

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
