/**
 * Which rules files Falco would load, by its configuration and arguments.
 *
 * From 0.41 the drop-in's list stands for what there is before the options, item by item: a user's
 * `-o rules_files[0]=X` then still means what it meant.
 */
import { absent, type ConfigNode, type ConfigRefusal } from './config-node.ts';
import { type FalcoConfiguration, type Keys, type LeftAlone, leftAlone } from './falco-configuration.ts';
import { lastFolder, samePath } from './paths.ts';
import { isTurnedOff, watchKey } from './watch-config-files.ts';

/** One item of rules_files. */
export interface RulesFilesEntry {
  readonly path: string;
  /** What a config file must say for Falco to read back `path`, variables included; undefined where nothing does. */
  readonly written: string | undefined;
  /** Variables in it that are not known here; `path` is then only a guess. */
  readonly unknown: readonly string[];
}

export interface EffectiveRulesFiles {
  readonly is: 'list';
  /** The key to use: both at once stop Falco. */
  readonly key: 'rules_files' | 'rules_file';
  /** The list that a drop-in stands for. */
  readonly entries: readonly RulesFilesEntry[];
  /** What -o options put behind it, in order, without our own folder. */
  readonly added: readonly RulesFilesEntry[];
  /** What -o options put in place of entries. */
  readonly replacing: readonly RulesFilesEntry[];
  /** Everything Falco loads without us, in order. */
  readonly all: readonly RulesFilesEntry[];
  /** The arguments ask for our folder of copies behind all that is added. */
  readonly lastAskedFor: boolean;
  /** Falco notices what changes while it runs. */
  readonly watched: boolean;
}

/** Works the list out, or says why the rules are better left alone. */
export function effectiveRulesFiles(configuration: FalcoConfiguration): EffectiveRulesFiles | LeftAlone {
  const refusal = refusalByArguments(configuration);
  if (refusal !== undefined) return refusal;
  const read = configuration.read();
  if (read.is === 'left_alone') return read;
  const later = configuration.fileAfterOurs();
  if (later !== undefined) return leftAlone('rules_config_after_ours', later);
  return new Comparison(configuration).compare(read.before, read.after);
}

function refusalByArguments({ given, question }: FalcoConfiguration): LeftAlone | undefined {
  if (!question.version.readsDropIns) return leftAlone('rules_falco_too_old');
  if (given.rulesArgument !== undefined)
    return leftAlone('rules_left_to_argument', `-r ${given.rulesArgument}`);
  const whole = given.options.find(({ key, path }) => /^rules_files?$/.test(key) && path === '');
  return whole === undefined ? undefined : leftAlone('rules_left_to_option', whole.text);
}

class Comparison {
  private readonly main: string;
  private readonly output: string;

  constructor({ main, question }: FalcoConfiguration) {
    this.main = main;
    this.output = question.output;
  }

  compare(before: Keys, after: Keys): EffectiveRulesFiles | LeftAlone {
    if (bothKeys(before) || bothKeys(after)) return this.refused('both rules_files and rules_file are set');
    const key = isSet(after, 'rules_file') ? 'rules_file' : 'rules_files';
    const listed = listOf(before.get(key) ?? absent);
    const final = listOf(after.get(key) ?? absent);
    if ('why' in listed) return this.refused(`${key}: ${listed.why}`);
    if ('why' in final) return this.refused(`${key}: ${final.why}`);
    const list = this.list(key, listed.items, final.items);
    if (list.is === 'left_alone') return list;
    const watched = !isTurnedOff(after.get(watchKey) ?? absent);
    return { ...list, watched };
  }

  private refused(why: string): LeftAlone {
    return leftAlone('rules_config_refused', `${this.main}: ${why}`);
  }

  private list(
    key: EffectiveRulesFiles['key'],
    listed: readonly ConfigNode[],
    final: readonly ConfigNode[],
  ): Omit<EffectiveRulesFiles, 'watched'> | LeftAlone {
    const isLast = (node: ConfigNode) =>
      node.kind === 'scalar' && samePath(node.text, lastFolder(this.output));
    const theirs = (nodes: readonly ConfigNode[]) => nodes.filter((node) => !isLast(node));
    const all = theirs(final);
    if (all.length === 0) return leftAlone('rules_none_listed', this.main);
    return {
      is: 'list',
      key,
      entries: theirs(listed).map(toEntry),
      added: theirs(final.slice(listed.length)).map(toEntry),
      replacing: final
        .slice(0, listed.length)
        .filter((node, index) => node !== listed[index])
        .map(toEntry),
      all: all.map(toEntry),
      lastAskedFor: final.findLastIndex(isLast) === final.length - 1,
    };
  }
}

function isSet(keys: Keys, key: string): boolean {
  return (keys.get(key) ?? absent).kind !== 'absent';
}

function bothKeys(keys: Keys): boolean {
  return isSet(keys, 'rules_files') && isSet(keys, 'rules_file');
}

/** A plain text counts as a list of one; null and mappings hold no files. */
function listOf(node: ConfigNode): { readonly items: readonly ConfigNode[] } | ConfigRefusal {
  if (node.kind === 'scalar') return { items: [node] };
  if (node.kind !== 'sequence') return { items: [] };
  const odd = node.items.find((item) => item.kind === 'sequence' || item.kind === 'mapping');
  return odd === undefined ? node : { kind: 'refused', why: 'an item is not a path' };
}

function toEntry(node: ConfigNode): RulesFilesEntry {
  // Falco takes an item that is null for the text "null".
  if (node.kind !== 'scalar') return { path: 'null', written: 'null', unknown: [] };
  return { path: node.text, written: node.written, unknown: node.unknown };
}
