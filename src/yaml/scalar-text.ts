/** What the texts of all scalars have in common. */
import { isBlank } from './cursor.ts';

export interface ScannedScalar {
  readonly value: string;
  /** Offset behind what belongs to it: blank lines and comments that follow do not. */
  readonly end: number;
  /** Nothing can be put behind it without changing it: it goes on to the end of the text. */
  readonly open: boolean;
}

/** What a line break within a plain or quoted text stands for, by whether the line behind it and the one before are empty. */
export function folded(isEmpty: boolean, wasEmpty: boolean): string {
  if (isEmpty) return '\n';
  return wasEmpty ? '' : ' ';
}

/** Length of the text up to `end` without the blanks at its end. */
export function withoutBlanks(text: string, from: number, end: number): number {
  let at = end;
  while (at > from && isBlank(text.charAt(at - 1))) at--;
  return at;
}

export function withoutBreaks(text: string): number {
  let at = text.length;
  while (at > 0 && text.charAt(at - 1) === '\n') at--;
  return at;
}

/** At most one line break at the end, and none alone; what an escape sequence gave stays, and one character more. */
export function clipped(value: string, escaped: number): string {
  const solid = Math.max(withoutBreaks(value), escaped === -1 ? 0 : escaped + 1);
  return solid === 0 ? '' : value.slice(0, solid + 1);
}
