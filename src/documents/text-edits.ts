/** Said where a text cannot be edited in place; somebody then writes it anew. */
export class CannotEdit extends Error {}

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** Replacements in a text, gathered in any order and made at once; all else stays to the byte. */
export class TextEdits {
  readonly #edits: Edit[] = [];

  replace(start: number, end: number, text: string): void {
    this.#edits.push({ start, end, text });
  }

  /** What is put in at one place comes out in the order of the calls. */
  insert(at: number, text: string): void {
    this.replace(at, at, text);
  }

  remove(start: number, end: number): void {
    this.replace(start, end, '');
  }

  /** @param place where in the text an offset of the edits is */
  applyTo(text: string, place: (offset: number) => number): string {
    const isPoint = ({ start, end }: Edit): number => (start === end ? 0 : 1);
    const inOrder = this.#edits.toSorted((a, b) => a.start - b.start || isPoint(a) - isPoint(b));
    let at = 0;
    const parts = inOrder.flatMap((edit) => {
      const [start, end, replacement] = [place(edit.start), place(edit.end), edit.text];
      if (start < at) throw new CannotEdit('two edits at one place');
      const kept = text.slice(at, start);
      at = end;
      return [kept, replacement];
    });
    return parts.join('') + text.slice(at);
  }
}
