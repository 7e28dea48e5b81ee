import { createHash } from 'node:crypto';
import type { V1Container } from '@kubernetes/client-node';
import { alertsFile, volumePath } from '../../federation/names.ts';
import { type FalcoOption, readFalcoOption } from '../../rules/configuration/falco-arguments.ts';
import { lastFolder } from '../../rules/configuration/paths.ts';
import type { Status } from '../status.ts';

/** Folder with tagged copies of rules files that a user adds by `-o rules_files[]=…` (FACTS 1.13). */
export const ourLast = lastFolder(volumePath);

/** Our drop-in folder as an object item, whatever the strategy and the spacing. */
const ourConfigFilesItem = new RegExp(`^\\{\\s*"path":\\s*"${volumePath}"[,}]`);

/** `-o` values that we add, in this order. */
export interface OurOptions {
  readonly configFiles?: string | undefined;
  readonly rulesFilesLast?: string | undefined;
  readonly appendOutput?: string | undefined;
  /** Where Falco reads no drop-in: its alerts into our file, as JSON. */
  readonly fileOutput?: string | undefined;
  readonly fileKept?: string | undefined;
  readonly fileName?: string | undefined;
  readonly jsonOutput?: string | undefined;
}

/** FACTS 1.21. */
export const fileOptions = {
  fileOutput: 'file_output.enabled=true',
  fileKept: 'file_output.keep_alive=false',
  fileName: `file_output.filename=${alertsFile}`,
} as const;
export const jsonOption = { jsonOutput: 'json_output=true' } as const;

/** Names of ours in the status annotation: alert fields, and arguments that were made up where the image's command ran. */
const fieldsAdded = 'falco/append_output';
export const argumentsAdded = 'falco/args';
export const fileAdded = 'falco/file_output';
export const jsonAdded = 'falco/json_output';

/** Whether a `-o` value is our drop-in folder, in this or another version's spelling. */
function isOurConfigFiles({ key, path, value = '' }: FalcoOption): boolean {
  if (key !== 'config_files' || path !== '[]') return false;
  return value === volumePath || ourConfigFilesItem.test(value);
}

function isOurLast({ key, path, value }: FalcoOption): boolean {
  return /^rules_files?$/.test(key) && path === '[]' && value === ourLast;
}

/** A text of JSON, as a field's key and value are written. */
const jsonText = String.raw`"(?:[^"\\]|\\.)*"`;
const field = String.raw`\{${jsonText}: ${jsonText}\}`;
const ourFields = new RegExp(String.raw`^append_output\[\]=\{"extra_fields": \[${field}(?:, ${field})*\]\}$`);

/** Where in the arguments the value of one of our options is, or -1. */
type Finder = (args: readonly string[]) => number;

function findOption(isOurs: (option: FalcoOption) => boolean): Finder {
  return (args) => args.findIndex((arg, at) => args[at - 1] === '-o' && isOurs(readFalcoOption(arg)));
}

/** Ours in the words of the status annotation: by a hash, too, where a user has one of the same shape. */
export function fieldsInStatus(option: string, users: readonly string[]): string[] {
  if (!users.some((one) => ourFields.test(one))) return [fieldsAdded];
  const hash = createHash('sha256').update(option).digest('hex').slice(0, 8);
  return [fieldsAdded, `${fieldsAdded}/${hash}`];
}

function isOurFields(option: string, status: Status | undefined): boolean {
  if (!ourFields.test(option)) return false;
  const hashed = status?.added.some((one) => one.startsWith(`${fieldsAdded}/`));
  return !hashed || fieldsInStatus(option, [option]).every((one) => status?.added.includes(one));
}

/** A user may have the very same, or one of the same shape: ours are those that the status annotation knows, and the last. */
function findLast(status: Status | undefined, added: string, isOurs: (option: string) => boolean): Finder {
  if (status?.added.includes(added) !== true) return () => -1;
  return (args) => args.findLastIndex((arg, at) => args[at - 1] === '-o' && isOurs(arg));
}

/** One for each of our options, in the order in which we add them. */
function finders(status: Status | undefined): readonly (readonly [keyof OurOptions, Finder])[] {
  return [
    ['configFiles', findOption(isOurConfigFiles)],
    ['rulesFilesLast', findOption(isOurLast)],
    ['appendOutput', findLast(status, fieldsAdded, (option) => isOurFields(option, status))],
    ['fileOutput', findLast(status, fileAdded, (option) => option === fileOptions.fileOutput)],
    ['fileKept', findLast(status, fileAdded, (option) => option === fileOptions.fileKept)],
    ['fileName', findLast(status, fileAdded, (option) => option === fileOptions.fileName)],
    ['jsonOutput', findLast(status, jsonAdded, (option) => option === jsonOption.jsonOutput)],
  ];
}

/** Falco's arguments without our options. */
export function withoutOurOptions(args: readonly string[], status: Status | undefined): string[] {
  const kept = [...args];
  for (const [, find] of finders(status)) {
    const at = find(kept);
    if (at > 0) kept.splice(at - 1, 2);
  }
  return kept;
}

/** A container without what an earlier injection put into its arguments, and without those that it made up. */
export function withoutOurArguments(container: V1Container, status: Status): V1Container {
  const { args, ...rest } = container;
  const users = withoutOurOptions(args ?? [], status);
  if (!args || users.length === args.length) return container;
  // Nobody has added any since.
  const isMadeUp = status.added.includes(argumentsAdded) && users.every((word, at) => word === args[at]);
  return isMadeUp ? rest : { ...container, args: users };
}

/**
 * `args` with our options: in their places if an earlier injection has put the same ones there in this order, else all
 * at the end. Those that are not asked for go.
 *
 * @returns the very same list if nothing was to do
 */
export function withOurOptions(
  args: readonly string[],
  options: OurOptions,
  status: Status | undefined,
): readonly string[] {
  const found = finders(status).map(([name, find]) => ({ wanted: options[name], at: find(args) }));
  const wanted = found.flatMap((one) => (one.wanted === undefined ? [] : [one.wanted]));
  const places = found.flatMap(({ at }) => (at < 0 ? [] : [at]));
  const inPlace =
    found.every((one) => (one.wanted === undefined) === one.at < 0) &&
    places.every((place, nth) => nth === 0 || place > (places[nth - 1] ?? 0));
  const result = inPlace
    ? args.map((arg, at) => wanted[places.indexOf(at)] ?? arg)
    : [...withoutOurOptions(args, status), ...wanted.flatMap((one) => ['-o', one])];
  const same = result.length === args.length && result.every((arg, index) => arg === args[index]);
  return same ? args : result;
}
