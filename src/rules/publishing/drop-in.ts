/** The config file that makes Falco read the tagged copies. */
import type { AlertsKeys } from '../configuration/alerts.ts';
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
 * @param alerts the file that Falco is to write its alerts to; undefined: its outputs stay as they are
 */
export function dropInText(
  key: EffectiveRulesFiles['key'],
  written: readonly string[],
  alerts: AlertsKeys | undefined,
): Buffer {
  const items = written.map((item) => `  - ${JSON.stringify(item)}\n`).join('');
  const list = items === '' ? '' : `${key}:\n${items}`;
  const output = alerts === undefined ? '' : textOf(alerts);
  return Buffer.from(`# Written by falco-federation tag-rules: do not edit.\n${list}${output}`);
}

/** The file is opened for each alert, so that whoever takes it away by rename has it for good (FACTS 1.21). */
function textOf({ file, setsJson }: AlertsKeys): string {
  const json = setsJson ? 'json_output: true\n' : '';
  return `${json}file_output:\n  enabled: true\n  keep_alive: false\n  filename: ${JSON.stringify(writtenPath(file))}\n`;
}

/** The names of the folders in `rulesFolder` that a drop-in of ours lists. */
export function listedFolders(dropIn: Buffer, rulesFolder: string): readonly string[] {
  const start = JSON.stringify(writtenPath(`${rulesFolder}/`)).slice(1, -1);
  const items = [...dropIn.toString().matchAll(/^ {2}- "(.*)"$/gm)].map(([, item = '']) => item);
  return items.filter((item) => item.startsWith(start)).map((item) => item.slice(start.length));
}
