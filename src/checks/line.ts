import { type Finding, reasons } from '../reasons/reasons.ts';

/** What one look at a cluster came to. */
export type Mark = 'ok' | 'warning' | 'error';

/** One line of the result: what was looked at, what is wrong, and what fixes it. */
export interface Line {
  /** Name of what was looked at, snake_case: it does not change between versions. */
  readonly check: string;
  readonly mark: Mark;
  /** What was looked at, as it is. */
  readonly text: string;
  /** What is wrong. Never holds anything of a Secret. */
  readonly why?: string;
  /** The command that fixes it, or that shows more. */
  readonly fix?: string;
}

export interface Group {
  readonly name: string;
  readonly lines: readonly Line[];
}

export function ok(check: string, text: string): Line {
  return { check, mark: 'ok', text };
}

export function warning(check: string, text: string, why: string, fix?: string): Line {
  return { check, mark: 'warning', text, why, ...(fix === undefined ? {} : { fix }) };
}

export function error(check: string, text: string, why: string, fix?: string): Line {
  return { check, mark: 'error', text, why, ...(fix === undefined ? {} : { fix }) };
}

/** What makes a line of findings that need attention: the gravest decides. */
export function asGraveAs(findings: readonly Finding[]): typeof error {
  return findings.some(({ code }) => reasons[code].severity === 'error') ? error : warning;
}

/** `3 pods`, `1 pod`. */
export function counted(count: number, one: string, several = `${one}s`): string {
  return `${count} ${count === 1 ? one : several}`;
}

/** A few names, and how many more there are. */
export function some(names: readonly string[], most = 3): string {
  const more = names.length - most;
  return more > 0 ? `${names.slice(0, most).join(', ')} and ${more} more` : names.join(', ');
}
