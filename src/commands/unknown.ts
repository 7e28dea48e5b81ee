import { nearest } from '../settings/nearest.ts';

/** `unknown subcommand "fleat"; did you mean "fleet"?` */
export function unknown(what: string, given: string, known: readonly string[]): string {
  const meant = nearest(given, known);
  const rest = meant === undefined ? '' : `; did you mean "${meant}"?`;
  return `unknown ${what} "${given}"${rest}`;
}

/**
 * What was wrong with a command's flags, as node:util's parseArgs throws it.
 *
 * @param help the command's help, which names its flags
 */
export function wrongFlags(error: unknown, help: string): string {
  const message = error instanceof Error ? error.message : String(error);
  const [, flag = ''] = /^Unknown option '(-[^']*)'/.exec(message) ?? [];
  if (flag !== '') return unknown('flag', flag, help.match(/(?<![\w-])--[a-z][a-z-]*/g) ?? []);
  const [, argument] = /^Unexpected argument '([^']*)'/.exec(message) ?? [];
  return argument === undefined ? message.replace(/^Option /, '') : `unexpected argument "${argument}"`;
}
