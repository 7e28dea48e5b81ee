/**
 * A small model of Falco for tests: which rules files it reads and which rules with which tags it ends up with.
 *
 * Written apart from src/rules, on the recorded answers of the real engine (FACTS 1): the tests first hold the
 * model against those, then use it to judge what we publish.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isAlias, isMap, isScalar, isSeq, type Node, parseAllDocuments } from 'yaml';

export interface FalcoRun {
  /** Folder that stands for `/`. */
  readonly root: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** True for 0.38 to 0.40. */
  readonly old?: boolean;
}

export interface LoadedRule {
  readonly name: string;
  readonly tags: readonly string[];
}

export interface FalcoAnswer {
  readonly exit: 0 | 1;
  readonly rulesFiles: readonly string[];
  readonly rules: readonly LoadedRule[];
}

type Value = undefined | null | string | Value[] | { [key: string]: Value };
type Config = Map<string, Value>;

export function runFalco(run: FalcoRun): FalcoAnswer {
  const rulesFiles: string[] = [];
  try {
    const entries = configured(run);
    if (entries.every((entry) => kind(run, entry) === undefined)) throw new Error('no rules file at all');
    for (const entry of entries) rulesFiles.push(...filesAt(run, entry));
  } catch {
    return { exit: 1, rulesFiles: [], rules: [] };
  }
  return loadRules(run, rulesFiles);
}

/**
 * What Falco's settings name and is there: configuration and rules, files and folders. Empty if they are refused. A file
 * in a folder of drop-ins is not among them: Falco watches the folder, no file in it (FACTS 1.7).
 */
export function listedBy(run: FalcoRun): { readonly files: string[]; readonly folders: string[] } {
  const main = valuesOf(run, '-c').at(-1) ?? defaultConfig;
  const paths = [main];
  try {
    for (const include of sequence(settled(run).get('config_files'))) {
      paths.push(text(isObject(include) ? include.path : include));
    }
    paths.push(...configured(run));
  } catch {
    // The main file is still watched.
  }
  const of = (what: 'file' | 'folder') => paths.filter((path) => kind(run, path) === what);
  return { files: of('file'), folders: of('folder').map((path) => path.replace(/(?<=.)\/$/, '')) };
}

const defaultConfig = '/etc/falco/falco.yaml';

function valuesOf(run: FalcoRun, flag: string): string[] {
  return run.args.filter((_, index) => run.args[index - 1] === flag);
}

function configured(run: FalcoRun): string[] {
  if (run.args.some((arg) => /^-r./.test(arg))) throw new Error('glued -r');
  const config = configOf(run);
  const lists = [config.get('rules_files'), config.get('rules_file')];
  if (lists.every((list) => list !== undefined)) throw new Error('both keys');
  const fromArguments = valuesOf(run, '-r');
  if (fromArguments.some((path) => kind(run, path) === undefined)) throw new Error('no such -r');
  if (fromArguments.length > 0) return fromArguments;
  return lists.flatMap(sequence).map((item) => (item === null ? 'null' : text(item)));
}

/** The main file with the options that count before included files. */
function settled(run: FalcoRun): Config {
  const config: Config = new Map();
  const main = valuesOf(run, '-c').at(-1) ?? defaultConfig;
  for (const [key, value] of readPairs(run, main)) if (!config.has(key)) config.set(key, value);
  const first = valuesOf(run, '-o').filter((option) => run.old || option.startsWith('config_files'));
  for (const option of first) applyOption(config, option);
  return config;
}

function configOf(run: FalcoRun): Config {
  const options = valuesOf(run, '-o');
  const config = settled(run);
  for (const include of sequence(config.get('config_files'))) mergeInclude(run, config, include);
  for (const option of run.old ? [] : options) applyOption(config, option);
  return config;
}

function sequence(value: Value): Value[] {
  if (Array.isArray(value)) return value;
  return typeof value === 'string' ? [value] : [];
}

function text(value: Value): string {
  if (typeof value !== 'string') throw new Error('not a text');
  return value;
}

function mergeInclude(run: FalcoRun, config: Config, include: Value): void {
  if (run.old) text(include);
  const { path, strategy } = isObject(include) ? include : { path: include, strategy: undefined };
  for (const file of configFilesAt(run, text(path))) {
    for (const [key, value] of readPairs(run, file)) {
      if (key === 'config_files') throw new Error('nested config_files');
      mergeKey(config, key, value, run.old ? 'override' : strategy);
    }
  }
}

function isObject(value: Value): value is { [key: string]: Value } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function configFilesAt(run: FalcoRun, path: string): string[] {
  const what = kind(run, path);
  if (what === 'folder') return regularFiles(run, path);
  return what === 'file' ? [path] : [];
}

function mergeKey(config: Config, key: string, value: Value, strategy: Value): void {
  const old = config.get(key);
  if (strategy === 'add-only') config.set(key, old === undefined ? value : old);
  else if (strategy === 'override' || !Array.isArray(value)) config.set(key, value);
  else if (typeof old === 'string') throw new Error('append to a text');
  else config.set(key, [...(Array.isArray(old) ? old : []), ...value]);
}

function applyOption(config: Config, option: string): void {
  const [, key = '', name, step, value = ''] =
    /^([^.[=]+)(?:\.(\w+))?(\[[^\]]*\])?=(.*)$/s.exec(option) ?? [];
  const parsed: Value = /^\{.*\}$/s.test(value) ? JSON.parse(value) : value;
  const old = config.get(key);
  if (name !== undefined) config.set(key, { ...(isObject(old) ? old : {}), [name]: parsed });
  else if (step === undefined) config.set(key, parsed);
  else if (step === '[]') config.set(key, [...appendable(old), parsed]);
  else config.set(key, withItem(old, Number(step.slice(1, -1)), parsed));
}

function appendable(value: Value): Value[] {
  if (value !== undefined && !Array.isArray(value)) throw new Error('not a numeric index');
  return value ?? [];
}

function withItem(old: Value, index: number, value: Value): Value {
  if (typeof old === 'string') throw new Error('a text has no items');
  const items = Array.isArray(old) ? old : [];
  return index > items.length ? {} : [...items.slice(0, index), value, ...items.slice(index + 1)];
}

function parse(source: string): Node[] {
  const options = { schema: 'failsafe', merge: false, uniqueKeys: false, strict: false } as const;
  // yaml-cpp lets a flow list go on at any indentation.
  const straight = source.replace(/\[\n[^\]#]*\n\]/g, (list) => list.replace(/\n\s*/g, ' '));
  const documents = parseAllDocuments(straight.replace(/^\uFEFF/, ''), options);
  return [...documents].map((document) => {
    if (document.errors.length > 0) throw new Error('broken');
    // Safe for the model: aliases are resolved once, here, so that nodes need no document.
    return resolved(document.contents, (node) =>
      isAlias(node) ? (node.resolve(document) ?? null) : node,
    ) as Node;
  });
}

function resolved(node: unknown, resolve: (node: unknown) => unknown): unknown {
  const target = resolve(node);
  if (isSeq(target)) target.items = target.items.map((item) => resolved(item, resolve));
  if (isMap(target)) for (const pair of target.items) pair.value = resolved(pair.value, resolve);
  return target;
}

function plain(node: unknown, env: FalcoRun['env'] | undefined): Value {
  if (isSeq(node)) return node.items.map((item) => plain(item, env));
  if (isMap(node)) {
    const object: { [key: string]: Value } = {};
    for (const { key, value } of node.items) object[String(key)] ??= plain(value, env);
    return object;
  }
  if (!isScalar(node)) return null;
  const value = String(node.value ?? '');
  if (node.type === 'PLAIN' && /^(|~|null|Null|NULL)$/.test(value)) return null;
  return env === undefined
    ? value
    : value.replace(/(?<!\$)\$\{(\w+)\}/g, (_, name: string) => env[name] ?? '').replaceAll('$${', '${');
}

function readPairs(run: FalcoRun, path: string): [string, Value][] {
  const root = readRoot(run, path);
  return isMap(root) ? root.items.map(({ key, value }) => [String(key), plain(value, run.env)]) : [];
}

/** What a config file holds: a text in the main file stops Falco, as a list with items does in an included one. */
function readRoot(run: FalcoRun, path: string): Node | undefined {
  const [root] = parse(readFileSync(join(run.root, path), 'utf8'));
  const isMain = path === (valuesOf(run, '-c').at(-1) ?? defaultConfig);
  if (isMain && isScalar(root) && plain(root, undefined) !== null) throw new Error('a text');
  if (!isMain && isSeq(root) && root.items.length > 0) throw new Error('a list');
  return root;
}

/** Whether Falco looks for what changes. */
export function watches(run: FalcoRun): boolean {
  const value = configOf(run).get('watch_config_files');
  return typeof value !== 'string' || !/^(?:[nN]|[nN]o|NO|[oO]ff|OFF|[fF]alse|FALSE)$/.test(value);
}

/** What Falco then has of keys about its outputs. */
export function outputsOf(run: FalcoRun): Readonly<Record<string, Value>> {
  const config = configOf(run);
  const keys = ['json_output', 'file_output', 'http_output', 'program_output', 'syslog_output'];
  return Object.fromEntries(keys.map((key) => [key, config.get(key)]));
}

function kind(run: FalcoRun, path: string): 'file' | 'folder' | undefined {
  const stats = statSync(join(run.root, path), { throwIfNoEntry: false });
  return stats?.isDirectory() ? 'folder' : stats?.isFile() ? 'file' : undefined;
}

function regularFiles(run: FalcoRun, folder: string): string[] {
  const names = readdirSync(join(run.root, folder)).sort((a, b) =>
    Buffer.compare(Buffer.from(a), Buffer.from(b)),
  );
  return names.map((name) => folder.replace(/\/?$/, `/${name}`)).filter((path) => kind(run, path) === 'file');
}

function filesAt(run: FalcoRun, entry: string): string[] {
  const what = kind(run, entry);
  if (what === undefined) return [];
  const files = what === 'folder' ? regularFiles(run, entry) : [entry];
  // Each ending counts where the path has it for the first time.
  return files.filter((file) => run.old || /^(?:(?!\.yaml).)*\.yaml$|^(?:(?!\.yml).)*\.yml$/.test(file));
}

function loadRules(run: FalcoRun, files: readonly string[]): FalcoAnswer {
  const loaded = new Map<string, Set<string>>();
  const read: string[] = [];
  try {
    for (const file of files) {
      read.push(file);
      loadFile(readFileSync(join(run.root, file), 'utf8'), loaded);
    }
  } catch {
    return { exit: 1, rulesFiles: read, rules: [] };
  }
  const rules = [...loaded].map(([name, tags]) => ({ name, tags: sorted(tags) }));
  return { exit: 0, rulesFiles: read, rules };
}

export function sorted(tags: Iterable<string>): string[] {
  return [...new Set(tags)].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

type Loaded = Map<string, Set<string>>;
type Item = { [key: string]: Value };

function loadFile(source: string, loaded: Loaded): void {
  for (const root of parse(source)) {
    const items = plain(root, undefined);
    if (items === null) return;
    if (!Array.isArray(items)) throw new Error('not a list');
    for (const item of items) loadItem(item, loaded);
  }
}

function loadItem(item: Value, loaded: Loaded): void {
  if (item === null) return;
  if (!isObject(item)) throw new Error('not a mapping');
  if (!('rule' in item) || 'macro' in item || 'list' in item) return;
  const name = text(item.rule);
  if (isObject(item.override) && Object.keys(item.override).length > 0)
    loadOverride(name, item, item.override, loaded);
  else if (item.append === 'true') loadAppend(name, item, loaded);
  else loadRule(name, item, loaded);
}

function loadOverride(name: string, item: Item, override: Item, loaded: Loaded): void {
  const known = loaded.get(name);
  if (known === undefined) throw new Error('override of nothing');
  if ('tags' in item && !('tags' in override)) throw new Error('stray tags');
  if (override.tags === 'replace') loaded.set(name, new Set(tagsOf(item)));
  if (override.tags === 'append') loaded.set(name, new Set([...known, ...tagsOf(item)]));
}

function loadAppend(name: string, item: Item, loaded: Loaded): void {
  if (!loaded.has(name)) throw new Error('append to nothing');
  if (!('condition' in item) && !('exceptions' in item)) throw new Error('append of nothing');
}

function loadRule(name: string, item: Item, loaded: Loaded): void {
  const there = ['condition', 'output', 'desc', 'priority'].filter((key) => key in item);
  if (there.length === 0 && 'enabled' in item) return;
  if (there.length < 4) throw new Error('incomplete');
  if ((item.source ?? 'syscall') === 'syscall') loaded.set(name, new Set(tagsOf(item)));
}

function tagsOf(item: { [key: string]: Value }): string[] {
  if (!('tags' in item)) return [];
  if (!Array.isArray(item.tags)) throw new Error('not a sequence');
  return item.tags.map(text);
}
