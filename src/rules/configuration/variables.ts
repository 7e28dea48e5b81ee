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

/** More than any value has, and few enough where a variable's value names itself: Falco would never end with that one. */
const mostExpanded = 100;

/** Longer than any path; values that name each other twice would double it each time. */
const longest = 65_536;

/**
 * Expands as Falco does: a value put in is read again; `$${NAME}` stands for `${NAME}`; from the first `$` that
 * begins neither, the rest is left as it is.
 */
export function expandVariables(value: string, lookup: Lookup): Expanded {
  const unknown: string[] = [];
  let now = { text: value, at: value.indexOf('$') };
  for (let times = 0; now.at !== -1; times++) {
    const begins = /^\$?\$\{/.exec(now.text.slice(now.at, now.at + 3))?.[0];
    const end = now.text.indexOf('}', now.at);
    if (begins === undefined || end === -1) break;
    const name = now.text.slice(now.at + 2, end);
    if (times === mostExpanded || now.text.length > longest)
      return { text: value, unknown: [name.slice(0, 100)] };
    if (begins === '${' && lookup(name) === undefined) unknown.push(name);
    now = begins === '${' ? withValue(now, end, lookup(name) ?? '') : withoutDollar(now);
  }
  return { text: now.text, unknown };
}

interface Place {
  readonly text: string;
  readonly at: number;
}

function withValue({ text, at }: Place, end: number, value: string): Place {
  const expanded = text.slice(0, at) + value + text.slice(end + 1);
  return { text: expanded, at: expanded.indexOf('$', at) };
}

/** `$${` becomes `${`, which is not read again. */
function withoutDollar({ text, at }: Place): Place {
  const expanded = text.slice(0, at) + text.slice(at + 1);
  return { text: expanded, at: expanded.indexOf('$', at + 1) };
}

/** What to write in a config file so that Falco reads back `value`; undefined when nothing does. */
export function escapeVariables(value: string): string | undefined {
  for (const written of [value, value.replaceAll('${', () => '$${')]) {
    const { text, unknown } = expandVariables(written, () => undefined);
    if (unknown.length === 0 && text === value) return written;
  }
  return undefined;
}
