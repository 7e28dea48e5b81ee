/**
 * Falco's configuration as it comes to be, as far as it matters here (FACTS 1.4, 1.8, 1.13).
 *
 * The order in which things happen, and where our drop-in comes in:
 *
 *     Falco >= 0.41: falco.yaml, -o config_files…, config files in order, OUR DROP-IN, all -o options
 *     0.38 to 0.40:  falco.yaml, all -o options, config files in order, OUR DROP-IN
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
import type { Content, FileSystem } from './file-system.ts';
import { inFolder, samePath } from './paths.ts';
import type { Lookup } from './variables.ts';

/** Where Falco finds its configuration unless told otherwise. */
export const defaultConfigFile = '/etc/falco/falco.yaml';

/** No config file of Falco is larger. */
const largestConfigFile = 4 * 1024 * 1024;

export interface LeftAlone {
  readonly is: 'left_alone';
  readonly finding: Finding;
}

export interface ConfigurationQuestion {
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

export function leftAlone(code: Finding['code'], detail?: string): LeftAlone {
  return { is: 'left_alone', finding: detail === undefined ? { code } : { code, detail } };
}

interface Include {
  readonly path: string;
  /** The path as it stands in the configuration. */
  readonly written: string;
  readonly strategy: 'append' | 'override' | 'add-only' | 'replace';
  readonly unknown: readonly string[];
}

export type Keys = ReadonlyMap<string, ConfigNode>;

/** What Falco has read by the time at which a drop-in's keys are all there, and in the end. */
export interface ReadConfiguration {
  readonly is: 'read';
  /** What a drop-in stands for: from 0.41 the options come after it. */
  readonly before: Keys;
  readonly after: Keys;
}

/** Reads config files only, each once, however often it is asked. */
export class FalcoConfiguration {
  readonly question: ConfigurationQuestion;
  readonly given: FalcoArguments;
  /** The file that Falco reads first. */
  readonly main: string;
  private readonly contents = new Map<string, Content>();

  constructor(question: ConfigurationQuestion) {
    this.question = question;
    this.given = readFalcoArguments(question.falcoArguments);
    this.main = this.given.configFile ?? question.configFile ?? defaultConfigFile;
  }

  /**
   * What Falco reads, or why that is not known or no configuration.
   *
   * @param ours keys of a drop-in of ours
   */
  read(ours: Keys = new Map()): ReadConfiguration | LeftAlone {
    const [unexpanded] = this.given.unexpanded;
    if (unexpanded !== undefined) return leftAlone('rules_argument_not_expanded', unexpanded);
    return new Reading(this, ours).answer();
  }

  content(path: string): Content {
    const known = this.contents.get(path) ?? this.question.fileSystem.read(path, largestConfigFile);
    this.contents.set(path, known);
    return known;
  }

  /** A config file that Falco reads after our drop-in. */
  fileAfterOurs(): string | undefined {
    const read = this.read();
    const includes = read.is === 'read' ? includesOf(read.before, this.question.version) : [];
    if (!Array.isArray(includes)) return undefined;
    const ours = includes.findIndex((include) => this.isOurs(include.path));
    return ours === -1 ? undefined : includes.slice(ours + 1).at(-1)?.path;
  }

  isOurs(path: string): boolean {
    return samePath(path, this.question.output);
  }
}

/** One way through all that Falco reads. */
class Reading {
  private readonly configuration: FalcoConfiguration;
  private readonly question: ConfigurationQuestion;
  private readonly ours: Keys;
  private keys = new Map<string, ConfigNode>();

  constructor(configuration: FalcoConfiguration, ours: Keys) {
    this.configuration = configuration;
    this.question = configuration.question;
    this.ours = ours;
  }

  answer(): ReadConfiguration | LeftAlone {
    return this.loadMain() ?? (this.question.version.optionsAfterDropIns ? this.newOrder() : this.oldOrder());
  }

  private newOrder(): ReadConfiguration | LeftAlone {
    const { options } = this.configuration.given;
    const failed =
      this.applyOptions(options.filter(({ key }) => key === 'config_files')) ?? this.mergeIncludes();
    if (failed !== undefined) return failed;
    const before = new Map(this.keys);
    return this.applyOptions(options) ?? { is: 'read', before, after: this.keys };
  }

  private oldOrder(): ReadConfiguration | LeftAlone {
    return (
      this.applyOptions(this.configuration.given.options) ??
      this.mergeIncludes() ?? { is: 'read', before: this.keys, after: this.keys }
    );
  }

  private get(key: string): ConfigNode {
    return this.keys.get(key) ?? absent;
  }

  private loadMain(): LeftAlone | undefined {
    const content = this.readConfig(this.configuration.main);
    if ('finding' in content) return content;
    if (content.is === 'text')
      return leftAlone('rules_config_refused', `${this.configuration.main}: a scalar, not a mapping`);
    // Falco makes a mapping of a list, with numbers for keys.
    if (content.is === 'sequence') return undefined;
    // The first of two equal keys counts.
    for (const [key, value] of [...content.pairs].reverse()) this.keys.set(key, value);
    return undefined;
  }

  private readConfig(path: string): Exclude<ConfigContent, { is: 'broken' }> | LeftAlone {
    const read = this.configuration.content(path);
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
    const includes = includesOf(this.keys, this.question.version);
    if (!Array.isArray(includes)) return this.refused(`config_files: ${includes.why}`);
    const isListed = includes.some((include) => this.configuration.isOurs(include.path));
    for (const include of includes) {
      const failed = this.configuration.isOurs(include.path) ? this.mergeOurs() : this.mergeInclude(include);
      if (failed !== undefined) return failed;
    }
    return isListed ? undefined : this.mergeOurs();
  }

  private mergeOurs(): undefined {
    for (const [key, value] of this.ours) this.keys.set(key, value);
  }

  /** What Falco stops with: the main file, and what is wrong in it or in what options make of it. */
  private refused(why: string): LeftAlone {
    return leftAlone('rules_config_refused', `${this.configuration.main}: ${why}`);
  }

  private mergeInclude(include: Include): LeftAlone | undefined {
    const { path, written, unknown } = include;
    if (unknown.length > 0)
      return leftAlone('rules_config_variable_unknown', `${written}: ${unknown.join(', ')}`);
    if (samePath(path, this.configuration.main)) return this.refused('config_files names this file itself');
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
    if (content.is === 'sequence')
      return leftAlone('rules_config_refused', `${file}: a sequence, not a mapping`);
    for (const [key, value] of content.pairs) {
      if (key === 'config_files')
        return leftAlone('rules_config_refused', `config_files in included ${file}`);
      const merged = merge(this.get(key), value, include.strategy);
      if (merged.kind === 'refused') return leftAlone('rules_config_refused', `${file}: ${merged.why}`);
      this.keys.set(key, merged);
    }
    return undefined;
  }
}

function includesOf(keys: Keys, version: FalcoVersion): Include[] | ConfigRefusal {
  const node = keys.get('config_files') ?? absent;
  const items = node.kind === 'sequence' ? node.items : node.kind === 'scalar' ? [node] : [];
  const includes: Include[] = [];
  for (const item of items) {
    const include = readInclude(item, version);
    if ('why' in include) return include;
    includes.push(include);
  }
  return includes;
}

function readInclude(node: ConfigNode, version: FalcoVersion): Include | ConfigRefusal {
  const plain = version.optionsAfterDropIns ? 'append' : 'replace';
  if (node.kind === 'scalar') return { ...pathOf(node), strategy: plain, unknown: node.unknown };
  if (node.kind === 'null') return { path: 'null', written: 'null', strategy: plain, unknown: [] };
  if (node.kind !== 'mapping' || !version.optionsAfterDropIns)
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
  if (strategy !== 'append' || value.kind !== 'sequence') return value;
  if (value.items.length === 0) return old;
  if (old.kind === 'sequence') return { kind: 'sequence', items: [...old.items, ...value.items] };
  if (old.kind === 'absent' || old.kind === 'null') return value;
  return { kind: 'refused', why: 'a sequence is appended to something else' };
}
