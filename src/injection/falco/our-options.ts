import type { EffectiveSettings } from '../../federation/effective-settings.ts';
import { volumePath } from '../../federation/names.ts';
import type { Finding } from '../../reasons/reasons.ts';
import {
  type FalcoOption,
  readFalcoArguments,
  readFalcoOption,
} from '../../rules/configuration/falco-arguments.ts';
import type { FalcoVersion } from '../../rules/configuration/falco-version.ts';
import { lastFolder } from '../../rules/configuration/paths.ts';
import { hashOfText } from '../records.ts';

/** Folder with tagged copies of rules files that a user adds by `-o rules_files[]=…` (FACTS 1.13). */
const ourLast = lastFolder(volumePath);

/** Our drop-in folder as an object item, whatever the strategy and the spacing. */
const ourConfigFilesItem = new RegExp(`^\\{\\s*"path":\\s*"${volumePath}"[,}]`);

/** `-o` values that we add, in this order. */
export interface OurOptions {
  readonly configFiles?: string;
  readonly rulesFilesLast?: string;
  readonly appendOutput?: string;
}

export interface FalcoArgumentsPlan {
  /** Whether the rules may be tagged: nothing in the arguments speaks against it. */
  readonly tagRules: boolean;
  readonly options: OurOptions;
  readonly findings: readonly Finding[];
}

/** Our drop-in folder as a `config_files` item; 0.38 to 0.40 know plain strings only (FACTS 1.4). */
function configFilesOption(version: FalcoVersion): string {
  return version.optionsAfterDropIns
    ? `config_files[]={"path": "${volumePath}", "strategy": "override"}`
    : `config_files[]=${volumePath}`;
}

function appendOutputOption(labels: EffectiveSettings['labels']): string {
  const fields = Object.entries(labels).map(
    ([key, value]) => `{${JSON.stringify(key)}: ${JSON.stringify(value)}}`,
  );
  return `append_output[]={"extra_fields": [${fields.join(', ')}]}`;
}

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

/** Whether a `-o` value has the very shape of ours: whose it is the status annotation tells. */
export function isShapedLikeOurFields(option: string): boolean {
  return ourFields.test(option);
}

function planRules(
  { rulesArgument }: { readonly rulesArgument: string | undefined },
  users: readonly FalcoOption[],
  version: FalcoVersion,
): { tagRules: boolean; lastKey?: string; findings: Finding[] } {
  if (rulesArgument !== undefined) {
    return {
      tagRules: false,
      findings: [{ code: 'rules_given_by_argument', detail: `-r ${rulesArgument}` }],
    };
  }
  const ruled = users.filter(({ key }) => /^(rules_files?|config_files)$/.test(key));
  // FACTS 1.13: where the key is no list at that moment, our `[]` stops Falco.
  const whole = ruled.find(({ path }) => !path.startsWith('['));
  if (whole !== undefined) {
    return {
      tagRules: false,
      findings: [{ code: 'rules_option_conflict', detail: `-o ${whole.key}${whole.path}=…` }],
    };
  }
  // Up to 0.40 options apply before drop-ins: tag-rules takes them into our list (FACTS 1.13).
  if (!version.optionsAfterDropIns) return { tagRules: true, findings: [] };
  const files = ruled.filter(({ key }) => key !== 'config_files');
  const indexed = files.filter(({ path }) => path !== '[]');
  const appended = files.find(({ path }) => path === '[]');
  return {
    tagRules: true,
    ...(appended === undefined ? {} : { lastKey: appended.key }),
    findings: indexed.map(({ text }) => ({ code: 'rules_option_untagged', detail: `-o ${text}` })),
  };
}

/**
 * What can be added to Falco's arguments without stopping it.
 *
 * @param args Falco's own arguments, ours of an earlier injection included
 */
export function planFalcoArguments(
  args: readonly string[],
  version: FalcoVersion,
  effective: EffectiveSettings,
): FalcoArgumentsPlan {
  const parsed = readFalcoArguments(args);
  const users = parsed.options.filter((option) => !isOurConfigFiles(option) && !isOurLast(option));
  const findings: Finding[] = [];

  const wanted = effective.rules.enabled && effective.tags.length > 0;
  const rules = wanted ? planRules(parsed, users, version) : { tagRules: false, findings: [] };
  findings.push(...rules.findings);

  let appendOutput: string | undefined;
  const wholeAppendOutput = users.some(({ key, path }) => key === 'append_output' && !path.startsWith('['));
  if (Object.keys(effective.labels).length === 0) appendOutput = undefined;
  else if (!version.objectOptions) findings.push({ code: 'falco_without_extra_fields' });
  else if (wholeAppendOutput) findings.push({ code: 'fields_option_conflict' });
  else appendOutput = appendOutputOption(effective.labels);

  return {
    tagRules: rules.tagRules,
    options: {
      ...(rules.tagRules ? { configFiles: configFilesOption(version) } : {}),
      ...(rules.lastKey === undefined ? {} : { rulesFilesLast: `${rules.lastKey}[]=${ourLast}` }),
      ...(appendOutput === undefined ? {} : { appendOutput }),
    },
    findings,
  };
}

/** What the status annotation says of our `append_output` of an earlier injection. */
export interface FieldsBefore {
  /** Hash of the option, which is put down where a user's has the same shape. */
  readonly is: string | undefined;
}

/** Where in the arguments the value of one of our options is, or -1. */
type Finder = (args: readonly string[]) => number;

function findOption(isOurs: (option: FalcoOption) => boolean): Finder {
  return (args) => args.findIndex((arg, at) => args[at - 1] === '-o' && isOurs(readFalcoOption(arg)));
}

/**
 * Where our `append_output` is. A user's may have the same shape: ours is the one that the status annotation knows, or,
 * where it does not say, the last of that shape. Without an annotation none is ours.
 */
function findFields(before: FieldsBefore | undefined): Finder {
  if (before === undefined) return () => -1;
  const isOurs = (option: string): boolean =>
    before.is === undefined ? isShapedLikeOurFields(option) : hashOfText(option) === before.is;
  return (args) => args.findLastIndex((arg, at) => args[at - 1] === '-o' && isOurs(arg));
}

/** One for each of our options, in the order in which we add them. */
function finders(before: FieldsBefore | undefined): readonly (readonly [keyof OurOptions, Finder])[] {
  return [
    ['configFiles', findOption(isOurConfigFiles)],
    ['rulesFilesLast', findOption(isOurLast)],
    ['appendOutput', findFields(before)],
  ];
}

/**
 * Falco's arguments without our options.
 *
 * @param before what the pod's status annotation says of our fields; `undefined` if it has none of ours
 */
export function withoutOurOptions(args: readonly string[], before: FieldsBefore | undefined): string[] {
  const kept = [...args];
  for (const [, find] of finders(before)) {
    const at = find(kept);
    if (at > 0) kept.splice(at - 1, 2);
  }
  return kept;
}

/**
 * `args` with our options: in their places if an earlier injection has put the same ones there in this order, else all
 * at the end. Those that are not asked for go.
 *
 * @param before as for `withoutOurOptions`
 * @returns the very same list if nothing was to do
 */
export function withOurOptions(
  args: readonly string[],
  options: OurOptions,
  before: FieldsBefore | undefined,
): readonly string[] {
  const found = finders(before).map(([name, find]) => ({ wanted: options[name], at: find(args) }));
  const wanted = found.flatMap((one) => (one.wanted === undefined ? [] : [one.wanted]));
  const places = found.flatMap(({ at }) => (at < 0 ? [] : [at]));
  const inPlace =
    found.every((one) => (one.wanted === undefined) === one.at < 0) &&
    places.every((place, nth) => nth === 0 || place > (places[nth - 1] ?? 0));
  const result = inPlace
    ? args.map((arg, at) => wanted[places.indexOf(at)] ?? arg)
    : [...withoutOurOptions(args, before), ...wanted.flatMap((one) => ['-o', one])];
  const same = result.length === args.length && result.every((arg, index) => arg === args[index]);
  return same ? args : result;
}
