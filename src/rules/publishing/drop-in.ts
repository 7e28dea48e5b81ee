/** The config file that makes Falco read the tagged copies. */
import type { EffectiveRulesFiles } from '../configuration/effective-rules-files.ts';
import { escapeVariables } from '../configuration/variables.ts';

/** Name of the one config file right in the output folder: Falco reads every file there (FACTS 1.4). */
export const dropInName = 'federation.yaml';

/** A path that Falco is to read back as it is: no variable in it is one. */
export function writtenPath(path: string): string {
  return escapeVariables(path) ?? path;
}

/**
 * The whole file.
 *
 * @param written the list's items as they have to stand there, quotes apart; none: Falco's own list stays
 * @param postTo where Falco is to post its alerts; JSON, as all that take them want (FACTS 1.14)
 */
export function dropInText(
  key: EffectiveRulesFiles['key'],
  written: readonly string[],
  postTo: string | undefined,
): Buffer {
  const items = written.map((item) => `  - ${JSON.stringify(item)}\n`).join('');
  const list = items === '' ? '' : `${key}:\n${items}`;
  const output =
    postTo === undefined
      ? ''
      : `json_output: true\nhttp_output:\n  enabled: true\n  url: ${JSON.stringify(writtenPath(postTo))}\n`;
  return Buffer.from(`# Written by falco-federation tag-rules: do not edit.\n${list}${output}`);
}

/** The names of the folders in `rulesFolder` that a drop-in of ours lists. */
export function listedFolders(dropIn: Buffer, rulesFolder: string): readonly string[] {
  const start = JSON.stringify(writtenPath(`${rulesFolder}/`)).slice(1, -1);
  const items = [...dropIn.toString().matchAll(/^ {2}- "(.*)"$/gm)].map(([, item = '']) => item);
  return items.filter((item) => item.startsWith(start)).map((item) => item.slice(start.length));
}
