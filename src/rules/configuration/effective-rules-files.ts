/**
 * Which rules files Falco would load, by its configuration and arguments.
 *
 * From 0.41 the drop-in's list stands for what there is before the options, item by item: a user's
 * `-o rules_files[0]=X` then still means what it meant.
 */
import { absent, type ConfigNode } from './config-node.ts';
import { type FalcoConfiguration, type Keys, NotKnown } from './falco-configuration.ts';
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

/** Works the list out. @throws NotKnown for why the rules are better left alone */
export function effectiveRulesFiles(configuration: FalcoConfiguration): EffectiveRulesFiles {
  const { given, question } = configuration;
  if (!question.version.readsDropIns) throw new NotKnown('falco_too_old');
  if (given.rulesArgument !== undefined)
    throw new NotKnown('rules_given_by_argument', `-r ${given.rulesArgument}`);
  const whole = given.options.find(({ key, path }) => /^rules_files?$/.test(key) && path === '');
  if (whole !== undefined) throw new NotKnown('rules_option_conflict', whole.text);
  const read = configuration.read();
  const later = configuration.fileAfterOurs(read);
  if (later !== undefined) throw new NotKnown('rules_config_after_ours', later);
  return new Comparison(configuration).compare(read.before, read.after);
}

class Comparison {
  private readonly main: string;
  private readonly output: string;

  constructor({ main, question }: FalcoConfiguration) {
    this.main = main;
    this.output = question.output;
  }

  compare(before: Keys, after: Keys): EffectiveRulesFiles {
    if (bothKeys(before) || bothKeys(after)) throw this.refused('both rules_files and rules_file are set');
    const key = isSet(after, 'rules_file') ? 'rules_file' : 'rules_files';
    const list = this.list(key, this.listAt(before, key), this.listAt(after, key));
    const watched = !isTurnedOff(after.get(watchKey) ?? absent);
    return { ...list, watched };
  }

  private refused(why: string): NotKnown {
    return new NotKnown('rules_config_refused', `${this.main}: ${why}`);
  }

  /** A plain text counts as a list of one; null and mappings hold no files. */
  private listAt(keys: Keys, key: EffectiveRulesFiles['key']): readonly ConfigNode[] {
    const node = keys.get(key) ?? absent;
    if (node.kind === 'scalar') return [node];
    if (node.kind !== 'sequence') return [];
    if (node.items.some((item) => item.kind === 'sequence' || item.kind === 'mapping'))
      throw this.refused(`${key}: an item is not a path`);
    return node.items;
  }

  private list(
    key: EffectiveRulesFiles['key'],
    listed: readonly ConfigNode[],
    final: readonly ConfigNode[],
  ): Omit<EffectiveRulesFiles, 'watched'> {
    const isLast = (node: ConfigNode) =>
      node.kind === 'scalar' && samePath(node.text, lastFolder(this.output));
    const theirs = (nodes: readonly ConfigNode[]) => nodes.filter((node) => !isLast(node));
    const all = theirs(final);
    if (all.length === 0) throw new NotKnown('rules_none_listed', this.main);
    return {
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

function toEntry(node: ConfigNode): RulesFilesEntry {
  // Falco takes an item that is null for the text "null".
  if (node.kind !== 'scalar') return { path: 'null', written: 'null', unknown: [] };
  return { path: node.text, written: node.written, unknown: node.unknown };
}
