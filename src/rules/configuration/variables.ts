/**
 * `${NAME}` in Falco's config files (FACTS 1.9): replaced in every value, never in rules files or `-o` values.
 */

export interface Expanded {
  readonly text: string;
  /** Names that nobody here knows; `text` is then only a guess. */
  readonly unknown: readonly string[];
}

/** A variable's value; undefined when it is not known. An unset one that is known to be unset is ''. */
export type Lookup = (name: string) => string | undefined;

/**
 * Expands as Falco does: a value put in is read again; `$${NAME}` stands for `${NAME}`; from the first `$` that
 * begins neither, the rest is left as it is.
 */
export function expandVariables(value: string, lookup: Lookup): Expanded {
  const unknown: string[] = [];
  let text = value;
  let at = text.indexOf('$');
  // A variable whose value names itself would expand for ever, in Falco too: stop at a length no path has.
  while (at !== -1 && text.length < 65_536) {
    const end = text.indexOf('}', at);
    if (end === -1) break;
    if (text.startsWith('${', at)) {
      const name = text.slice(at + 2, end);
      const found = lookup(name);
      if (found === undefined) unknown.push(name);
      text = text.slice(0, at) + (found ?? '') + text.slice(end + 1);
      at = text.indexOf('$', at);
    } else if (text.startsWith('$${', at)) {
      text = text.slice(0, at) + text.slice(at + 1);
      at = text.indexOf('$', at + 1);
    } else break;
  }
  return { text, unknown };
}

/** What to write in a config file so that Falco reads back `value`; undefined when nothing does. */
export function escapeVariables(value: string): string | undefined {
  for (const written of [value, value.replaceAll('${', () => '$${')]) {
    const { text, unknown } = expandVariables(written, () => undefined);
    if (unknown.length === 0 && text === value) return written;
  }
  return undefined;
}
