/**
 * Which rules files Falco would load, by its configuration and arguments (FACTS 1.4, 1.8, 1.13).
 *
 * The order in which things happen, and where our drop-in comes in:
 *
 *     Falco >= 0.41: falco.yaml, -o config_files…, config files in order, OUR DROP-IN, all -o options
 *     0.38 to 0.40:  falco.yaml, all -o options, config files in order, OUR DROP-IN
 *
 * So from 0.41 the drop-in's list stands for what there is before the options, item by item: a user's
 * `-o rules_files[0]=X` then still means what it meant.
 */
import type { Finding } from '../../reasons/reasons.ts';
import {
  absent,
  type ConfigContent,
  type ConfigNode,
  type ConfigRefusal,
  type ConfigScalar,
  readConfigContent,
  readOption,
  setAt,
} from './config-node.ts';
import { type FalcoArguments, type FalcoOption, readFalcoArguments } from './falco-arguments.ts';
import type { FalcoVersion } from './falco-version.ts';
import type { FileSystem } from './file-system.ts';
import { inFolder, lastFolder, samePath } from './paths.ts';
import { type Posting, postingOf } from './posting.ts';
import type { Lookup } from './variables.ts';
import { isTurnedOff, watchKey } from './watch-config-files.ts';

/** Where Falco finds its configuration unless told otherwise. */
export const defaultConfigFile = '/etc/falco/falco.yaml';

/** No config file of Falco is larger. */
const largestConfigFile = 4 * 1024 * 1024;

/** One item of rules_files. */
export interface RulesFilesEntry {
  readonly path: string;
  /** What a config file must say for Falco to read back `path`, variables included. */
  readonly written: string;
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
  /** Where Falco posts its alerts by itself. */
  readonly posting: Posting;
}

export interface LeftAlone {
  readonly is: 'left_alone';
  readonly finding: Finding;
}

export interface EffectiveQuestion {
  readonly fileSystem: FileSystem;
  readonly version: FalcoVersion;
  /** Falco's own arguments. */
  readonly falcoArguments: readonly string[];
  /** Counts where Falco's arguments have no `-c`: what Falco is told is what it reads. */
  readonly configFile: string | undefined;
  readonly lookup: Lookup;
  /** Our folder: what is published there does not count. */
  readonly output: string;
}

/** Works the list out, or says why the rules are better left alone. Reads config files only. */
export function effectiveRulesFiles(question: EffectiveQuestion): EffectiveRulesFiles | LeftAlone {
  const given = readFalcoArguments(question.falcoArguments);
  const refusal = refusalByArguments(given, question.version);
  if (refusal !== undefined) return refusal;
  return new Configuration(question, given).answer();
}

function leftAlone(code: Finding['code'], detail?: string): LeftAlone {
  return { is: 'left_alone', finding: detail === undefined ? { code } : { code, detail } };
}

function refusalByArguments(given: FalcoArguments, version: FalcoVersion): LeftAlone | undefined {
  if (!version.readsDropIns) return leftAlone('rules_falco_too_old');
  if (given.rulesArgument !== undefined)
    return leftAlone('rules_left_to_argument', `-r ${given.rulesArgument}`);
  const unexpanded = given.unexpanded[0];
  if (unexpanded !== undefined) return leftAlone('rules_argument_not_expanded', unexpanded);
  const whole = given.options.find(({ key, path }) => /^rules_files?$/.test(key) && path === '');
  return whole === undefined ? undefined : leftAlone('rules_left_to_option', whole.text);
}

interface Include {
  readonly path: string;
  /** The path as it stands in the configuration. */
  readonly written: string;
  readonly strategy: 'append' | 'override' | 'add-only' | 'replace';
  readonly unknown: readonly string[];
}

type Keys = ReadonlyMap<string, ConfigNode>;

class Configuration {
  private readonly question: EffectiveQuestion;
  private readonly given: FalcoArguments;
  /** The file that Falco reads first. */
  private readonly main: string;
  private keys = new Map<string, ConfigNode>();

  constructor(question: EffectiveQuestion, given: FalcoArguments) {
    this.question = question;
    this.given = given;
    this.main = given.configFile ?? question.configFile ?? defaultConfigFile;
  }

  answer(): EffectiveRulesFiles | LeftAlone {
    return this.loadMain() ?? (this.question.version.optionsAfterDropIns ? this.newOrder() : this.oldOrder());
  }

  private newOrder(): EffectiveRulesFiles | LeftAlone {
    const { options } = this.given;
    const failed =
      this.applyOptions(options.filter(({ key }) => key === 'config_files')) ?? this.mergeIncludes();
    if (failed !== undefined) return failed;
    const before = new Map(this.keys);
    return this.applyOptions(options) ?? this.compare(before, this.keys);
  }

  private oldOrder(): EffectiveRulesFiles | LeftAlone {
    return (
      this.applyOptions(this.given.options) ?? this.mergeIncludes() ?? this.compare(this.keys, this.keys)
    );
  }

  private get(key: string): ConfigNode {
    return this.keys.get(key) ?? absent;
  }

  private loadMain(): LeftAlone | undefined {
    const content = this.readConfig(this.main);
    if ('finding' in content) return content;
    if (content.is === 'text')
      return leftAlone('rules_config_refused', `${this.main}: a bare text, not a mapping`);
    // Falco makes a mapping of a list, with numbers for keys.
    if (content.is === 'list') return undefined;
    // The first of two equal keys counts.
    for (const [key, value] of [...content.pairs].reverse()) this.keys.set(key, value);
    return undefined;
  }

  private readConfig(path: string): Exclude<ConfigContent, { is: 'broken' }> | LeftAlone {
    const read = this.question.fileSystem.read(path, largestConfigFile);
    if (read.is === 'too_large') return leftAlone('rules_config_unreadable', `${path}: too large`);
    if (read.is === 'unreadable') return leftAlone('rules_config_unreadable', `${path}: ${read.why}`);
    const content = readConfigContent(read.bytes, this.question.lookup);
    return content.is === 'broken' ? leftAlone('rules_config_invalid', `${path}: ${content.why}`) : content;
  }

  private applyOptions(options: readonly FalcoOption[]): LeftAlone | undefined {
    for (const one of options) {
      const option = readOption(one, this.question.version.objectOptions);
      if (option === undefined) continue;
      const value = 'why' in option ? option : setAt(this.get(option.key), option.steps, option.value);
      if (value.kind === 'refused') return leftAlone('rules_config_refused', `-o ${one.text}: ${value.why}`);
      if ('key' in option) this.keys.set(option.key, value);
    }
    return undefined;
  }

  private mergeIncludes(): LeftAlone | undefined {
    const includes = this.includes();
    if (!Array.isArray(includes)) return this.refused(`config_files: ${includes.why}`);
    const ours = includes.findIndex((include) => this.isOurs(include.path));
    if (ours !== -1 && ours < includes.length - 1)
      return leftAlone('rules_config_after_ours', includes.at(-1)?.path);
    for (const include of includes) {
      const failed = this.isOurs(include.path) ? undefined : this.mergeInclude(include);
      if (failed !== undefined) return failed;
    }
    return undefined;
  }

  /** What Falco stops with: the main file, and what is wrong in it or in what options make of it. */
  private refused(why: string): LeftAlone {
    return leftAlone('rules_config_refused', `${this.main}: ${why}`);
  }

  private isOurs(path: string): boolean {
    return samePath(path, this.question.output);
  }

  private includes(): Include[] | ConfigRefusal {
    const node = this.get('config_files');
    const items = node.kind === 'list' ? node.items : node.kind === 'scalar' ? [node] : [];
    const includes: Include[] = [];
    for (const item of items) {
      const include = readInclude(item, this.question.version);
      if ('why' in include) return include;
      includes.push(include);
    }
    return includes;
  }

  private mergeInclude(include: Include): LeftAlone | undefined {
    const { path, written, unknown } = include;
    if (unknown.length > 0)
      return leftAlone('rules_config_variable_unknown', `${written}: ${unknown.join(', ')}`);
    if (samePath(path, this.main)) return this.refused('config_files names this file itself');
    if (!path.startsWith('/'))
      return leftAlone('rules_config_unreadable', `${path}: relative to a folder not known here`);
    const files = this.configFilesAt(path);
    if ('finding' in files) return files;
    for (const file of files) {
      const failed = this.mergeFile(file, include);
      if (failed !== undefined) return failed;
    }
    return undefined;
  }

  /** The file itself, or every regular file in the folder, in bytewise order; nothing where nothing is. */
  private configFilesAt(path: string): readonly string[] | LeftAlone {
    const { fileSystem } = this.question;
    const look = fileSystem.look(path);
    if (look.is === 'unreadable') return leftAlone('rules_config_unreadable', `${path}: ${look.why}`);
    if (look.is === 'file') return [path];
    if (look.is !== 'folder') return [];
    const listing = fileSystem.list(path);
    if (listing.is === 'unreadable') return leftAlone('rules_config_unreadable', `${path}: ${listing.why}`);
    const [notUtf8] = listing.notUtf8;
    if (notUtf8 !== undefined)
      return leftAlone('rules_config_unreadable', `${path}: name not UTF-8: ${notUtf8}`);
    const files = listing.names.map((name) => inFolder(path, name));
    // What cannot be looked at may be a file to Falco, which is root: reading it will say so.
    return files.filter((file) => ['file', 'unreadable'].includes(fileSystem.look(file).is));
  }

  private mergeFile(file: string, include: Include): LeftAlone | undefined {
    const content = this.readConfig(file);
    if ('finding' in content) return content;
    // With no more than a warning from Falco (FACTS 1.17).
    if (content.is === 'text') return undefined;
    if (content.is === 'list') return leftAlone('rules_config_refused', `${file}: a list, not a mapping`);
    for (const [key, value] of content.pairs) {
      if (key === 'config_files')
        return leftAlone('rules_config_refused', `config_files in included ${file}`);
      const merged = merge(this.get(key), value, include.strategy);
      if (merged.kind === 'refused') return leftAlone('rules_config_refused', `${file}: ${merged.why}`);
      this.keys.set(key, merged);
    }
    return undefined;
  }

  private compare(before: Keys, after: Keys): EffectiveRulesFiles | LeftAlone {
    if (bothKeys(before) || bothKeys(after)) return this.refused('both rules_files and rules_file are set');
    const key = isSet(after, 'rules_file') ? 'rules_file' : 'rules_files';
    const listed = listOf(before.get(key) ?? absent);
    const final = listOf(after.get(key) ?? absent);
    if ('why' in listed) return this.refused(`${key}: ${listed.why}`);
    if ('why' in final) return this.refused(`${key}: ${final.why}`);
    const list = this.list(key, listed.items, final.items);
    if (list.is === 'left_alone') return list;
    const watched = !isTurnedOff(after.get(watchKey) ?? absent);
    return {
      ...list,
      watched,
      posting: postingOf(
        after,
        this.given.options.map(({ text }) => text),
      ),
    };
  }

  private list(
    key: EffectiveRulesFiles['key'],
    listed: readonly ConfigNode[],
    final: readonly ConfigNode[],
  ): Omit<EffectiveRulesFiles, 'watched' | 'posting'> | LeftAlone {
    const isLast = (node: ConfigNode) =>
      node.kind === 'scalar' && samePath(node.text, lastFolder(this.question.output));
    const theirs = (nodes: readonly ConfigNode[]) => nodes.filter((node) => !isLast(node));
    const all = theirs(final);
    if (all.length === 0) return leftAlone('rules_none_listed', this.main);
    const unwritable = [...listed, ...all].find(
      (node) => node.kind === 'scalar' && node.written === undefined,
    );
    if (unwritable?.kind === 'scalar') return leftAlone('rules_path_not_escapable', unwritable.text);
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

function readInclude(node: ConfigNode, version: FalcoVersion): Include | ConfigRefusal {
  const plain = version.optionsAfterDropIns ? 'append' : 'replace';
  if (node.kind === 'scalar') return { ...pathOf(node), strategy: plain, unknown: node.unknown };
  if (node.kind === 'null') return { path: 'null', written: 'null', strategy: plain, unknown: [] };
  if (node.kind !== 'map' || !version.optionsAfterDropIns)
    return { kind: 'refused', why: 'an item is not a path' };
  const path = node.entries.get('path');
  if (path?.kind !== 'scalar') return { kind: 'refused', why: 'an item has no path' };
  const strategy = node.entries.get('strategy');
  const unknown = [...path.unknown, ...(strategy?.kind === 'scalar' ? strategy.unknown : [])];
  return { ...pathOf(path), strategy: strategyOf(strategy), unknown };
}

function pathOf({ text, written = text }: ConfigScalar): Pick<Include, 'path' | 'written'> {
  return { path: text, written };
}

/** Unknown strategies mean append (FACTS 1.13). */
function strategyOf(node: ConfigNode | undefined): Include['strategy'] {
  const text = node?.kind === 'scalar' ? node.text : '';
  return text === 'override' || text === 'add-only' ? text : 'append';
}

function merge(
  old: ConfigNode,
  value: ConfigNode,
  strategy: Include['strategy'],
): ConfigNode | ConfigRefusal {
  if (strategy === 'add-only') return old.kind === 'absent' ? value : old;
  if (strategy !== 'append' || value.kind !== 'list') return value;
  if (value.items.length === 0) return old;
  if (old.kind === 'list') return { kind: 'list', items: [...old.items, ...value.items] };
  if (old.kind === 'absent' || old.kind === 'null') return value;
  return { kind: 'refused', why: 'a list is appended to what is no list' };
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
  if (node.kind !== 'list') return { items: [] };
  const odd = node.items.find((item) => item.kind === 'list' || item.kind === 'map');
  return odd === undefined ? node : { kind: 'refused', why: 'an item is not a path' };
}

function toEntry(node: ConfigNode): RulesFilesEntry {
  // Falco takes an item that is null for the text "null".
  if (node.kind !== 'scalar') return { path: 'null', written: 'null', unknown: [] };
  return { path: node.text, written: node.written ?? node.text, unknown: node.unknown };
}
