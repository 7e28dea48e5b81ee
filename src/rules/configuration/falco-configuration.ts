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
  type ConfigScalar,
  Refused,
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

/** Why Falco's configuration is not known, or nothing can be done about it. */
export class NotKnown extends Error {
  readonly finding: Finding;

  constructor(code: Finding['code'], detail?: string) {
    super(code);
    this.finding = detail === undefined ? { code } : { code, detail };
  }
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
   * What Falco reads.
   *
   * @param ours keys of a drop-in of ours
   * @throws NotKnown
   */
  read(ours: Keys = new Map()): ReadConfiguration {
    const [unexpanded] = this.given.unexpanded;
    if (unexpanded !== undefined) throw new NotKnown('rules_argument_not_expanded', unexpanded);
    return new Reading(this, ours).answer();
  }

  content(path: string): Content {
    const known = this.contents.get(path) ?? this.question.fileSystem.read(path, largestConfigFile);
    this.contents.set(path, known);
    return known;
  }

  /** A config file that Falco reads after our drop-in. */
  fileAfterOurs({ before }: ReadConfiguration): string | undefined {
    const includes = includesOf(before, this.question.version);
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

  answer(): ReadConfiguration {
    this.loadMain();
    return this.question.version.optionsAfterDropIns ? this.newOrder() : this.oldOrder();
  }

  private newOrder(): ReadConfiguration {
    const { options } = this.configuration.given;
    this.applyOptions(options.filter(({ key }) => key === 'config_files'));
    this.mergeIncludes();
    const before = new Map(this.keys);
    this.applyOptions(options);
    return { before, after: this.keys };
  }

  private oldOrder(): ReadConfiguration {
    this.applyOptions(this.configuration.given.options);
    this.mergeIncludes();
    return { before: this.keys, after: this.keys };
  }

  private get(key: string): ConfigNode {
    return this.keys.get(key) ?? absent;
  }

  private loadMain(): void {
    const { main } = this.configuration;
    const content = this.readConfig(main);
    if (content.is === 'text') throw new NotKnown('rules_config_refused', `${main}: a scalar, not a mapping`);
    // Falco makes a mapping of a list, with numbers for keys.
    if (content.is === 'sequence') return;
    // The first of two equal keys counts.
    for (const [key, value] of [...content.pairs].reverse()) this.keys.set(key, value);
  }

  private readConfig(path: string): Exclude<ConfigContent, { is: 'broken' }> {
    const read = this.configuration.content(path);
    if (read.is === 'too_large') throw new NotKnown('rules_config_unreadable', `${path}: too large`);
    if (read.is === 'unreadable') throw new NotKnown('rules_config_unreadable', `${path}: ${read.why}`);
    const content = readConfigContent(read.bytes, this.question.lookup);
    if (content.is === 'broken') throw new NotKnown('rules_config_invalid', `${path}: ${content.why}`);
    return content;
  }

  private applyOptions(options: readonly FalcoOption[]): void {
    for (const one of options)
      refusedAs(`-o ${one.text}`, () => {
        const option = readOption(one, this.question.version.objectOptions);
        if (option !== undefined)
          this.keys.set(option.key, setAt(this.get(option.key), option.steps, option.value));
      });
  }

  private mergeIncludes(): void {
    const { main } = this.configuration;
    const includes = refusedAs(`${main}: config_files`, () => includesOf(this.keys, this.question.version));
    const isListed = includes.some((include) => this.configuration.isOurs(include.path));
    for (const include of includes) {
      if (this.configuration.isOurs(include.path)) this.mergeOurs();
      else this.mergeInclude(include);
    }
    if (!isListed) this.mergeOurs();
  }

  private mergeOurs(): void {
    for (const [key, value] of this.ours) this.keys.set(key, value);
  }

  private mergeInclude(include: Include): void {
    const { path, written, unknown } = include;
    if (unknown.length > 0)
      throw new NotKnown('rules_config_variable_unknown', `${written}: ${unknown.join(', ')}`);
    if (samePath(path, this.configuration.main))
      throw new NotKnown('rules_config_refused', `${path}: config_files names this file itself`);
    if (!path.startsWith('/'))
      throw new NotKnown('rules_config_unreadable', `${path}: relative to a folder not known here`);
    for (const file of this.configFilesAt(path)) this.mergeFile(file, include);
  }

  /** The file itself, or every regular file in the folder, in bytewise order; nothing where nothing is. */
  private configFilesAt(path: string): readonly string[] {
    const { fileSystem } = this.question;
    const unreadable = (why: string) => new NotKnown('rules_config_unreadable', `${path}: ${why}`);
    const look = fileSystem.look(path);
    if (look.is === 'unreadable') throw unreadable(look.why);
    if (look.is === 'file') return [path];
    if (look.is !== 'folder') return [];
    const listing = fileSystem.list(path);
    if (listing.is === 'unreadable') throw unreadable(listing.why);
    const [notUtf8] = listing.notUtf8;
    if (notUtf8 !== undefined) throw unreadable(`name not UTF-8: ${notUtf8}`);
    const files = listing.names.map((name) => inFolder(path, name));
    // What cannot be looked at may be a file to Falco, which is root: reading it will say so.
    return files.filter((file) => ['file', 'unreadable'].includes(fileSystem.look(file).is));
  }

  private mergeFile(file: string, include: Include): void {
    const content = this.readConfig(file);
    // With no more than a warning from Falco (FACTS 1.17).
    if (content.is === 'text') return;
    if (content.is === 'sequence')
      throw new NotKnown('rules_config_refused', `${file}: a sequence, not a mapping`);
    for (const [key, value] of content.pairs) {
      if (key === 'config_files')
        throw new NotKnown('rules_config_refused', `config_files in included ${file}`);
      refusedAs(file, () => this.keys.set(key, merge(this.get(key), value, include.strategy)));
    }
  }
}

/** What is refused as a finding, which says where. */
function refusedAs<T>(where: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof Refused) throw new NotKnown('rules_config_refused', `${where}: ${error.message}`);
    throw error;
  }
}

function includesOf(keys: Keys, version: FalcoVersion): readonly Include[] {
  const node = keys.get('config_files') ?? absent;
  const items = node.kind === 'sequence' ? node.items : node.kind === 'scalar' ? [node] : [];
  return items.map((item) => readInclude(item, version));
}

function readInclude(node: ConfigNode, version: FalcoVersion): Include {
  const plain = version.optionsAfterDropIns ? 'append' : 'replace';
  if (node.kind === 'scalar') return { ...pathOf(node), strategy: plain, unknown: node.unknown };
  if (node.kind === 'null') return { path: 'null', written: 'null', strategy: plain, unknown: [] };
  if (node.kind !== 'mapping' || !version.optionsAfterDropIns) throw new Refused('an item is not a path');
  const path = node.entries.get('path');
  if (path?.kind !== 'scalar') throw new Refused('an item has no path');
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

function merge(old: ConfigNode, value: ConfigNode, strategy: Include['strategy']): ConfigNode {
  if (strategy === 'add-only') return old.kind === 'absent' ? value : old;
  if (strategy !== 'append' || value.kind !== 'sequence') return value;
  if (value.items.length === 0) return old;
  if (old.kind === 'sequence') return { kind: 'sequence', items: [...old.items, ...value.items] };
  if (old.kind === 'absent' || old.kind === 'null') return value;
  throw new Refused('a sequence is appended to something else');
}
