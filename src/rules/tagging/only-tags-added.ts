/**
 * The proof behind the edits of a text: to Falco's parser the edited text is the text as it was, and the tags.
 *
 * Both are cut into tokens side by side. A text means what its tokens mean (src/yaml/tokens.ts), so it is enough that
 * they are the same but for those that were meant to come, at the very place where they were meant to.
 */
import { NotYaml, type Token, Tokens } from '../../yaml/falco-yaml.ts';
import { isExpected, type TagEdit } from './tag-edit.ts';

/** The text before an edit and behind it, and which edits lead from one to the other, in their order. */
export interface EditedText {
  readonly before: string;
  readonly after: string;
  readonly edits: readonly TagEdit[];
}

/** Undefined: only the tags were added. Otherwise the offset in the text as it was where something else differs. */
export function firstDifference({ before, after, edits }: EditedText): number | undefined {
  const old = new TokensOrEnd(before);
  const edited = new TokensOrEnd(after);
  for (const edit of edits) {
    if (!sameUntil(edit.token, old, edited)) return old.at;
    if (!edit.added.every((token) => isExpected(edited.next(), token))) return edit.at;
    for (let count = 0; count < edit.removed; count++) old.next();
  }
  return sameUntil(Number.POSITIVE_INFINITY, old, edited) ? undefined : old.at;
}

/** Whether the tokens are the same up to so many of the text as it was, or to the end of both. */
function sameUntil(taken: number, old: TokensOrEnd, edited: TokensOrEnd): boolean {
  while (old.taken < taken) {
    const token = old.next();
    if (!isSame(token, edited.next())) return false;
    if (token === 'end') return taken === Number.POSITIVE_INFINITY;
  }
  return true;
}

function isSame(a: Token | 'end', b: Token | 'end'): boolean {
  if (a === 'end' || b === 'end') return a === b;
  return a.kind === b.kind && a.value === b.value;
}

class TokensOrEnd {
  taken = 0;
  /** Offset of the last token. */
  at = 0;
  private readonly tokens: Tokens;

  constructor(text: string) {
    this.tokens = new Tokens(text);
  }

  /** The end may be where Falco's parser would refuse the text: behind an empty document it does not get there. */
  next(): Token | 'end' {
    try {
      const token = this.tokens.next();
      if (token === undefined) return 'end';
      this.taken++;
      this.at = token.at;
      return token;
    } catch (error) {
      if (error instanceof NotYaml) return 'end';
      throw error;
    }
  }
}
