/** Falco's configuration as far as it decides about rules files: values, and how `-o` options change them. */
import {
  byteText,
  decodeFile,
  keyName,
  type Node,
  NotYaml,
  Reader,
  resolve,
  TooLarge,
  unicodeText,
} from '../../yaml/falco-yaml.ts';
import { type FalcoOption, unexpandedIn } from './falco-arguments.ts';
import { escapeVariables, expandVariables, type Lookup } from './variables.ts';

export interface ConfigScalar {
  readonly kind: 'scalar';
  readonly text: string;
  /** What stands in a config file for this text; undefined where nothing can. */
  readonly written: string | undefined;
  /** Variables in it that are not known here. */
  readonly unknown: readonly string[];
}

export interface ConfigSequence {
  readonly kind: 'sequence';
  readonly items: readonly ConfigNode[];
}

export interface ConfigMapping {
  readonly kind: 'mapping';
  readonly entries: ReadonlyMap<string, ConfigNode>;
}

export type ConfigNode =
  | { readonly kind: 'absent' }
  | { readonly kind: 'null' }
  | ConfigScalar
  | ConfigSequence
  | ConfigMapping;

/** What Falco stops with. */
export class Refused extends Error {}

export const absent: ConfigNode = { kind: 'absent' };

/** A text that came by an option: no variable of a config file in it is replaced (FACTS 1.13), and one of an argument was before. */
export function literalScalar(text: string): ConfigScalar {
  const unknown = unexpandedIn(text);
  return { kind: 'scalar', text, written: unknown.length > 0 ? undefined : escapeVariables(text), unknown };
}

/** Only these keys of a config file matter here; the rest is not even converted. */
export const keysThatMatter: ReadonlySet<string> = new Set([
  ...['config_files', 'rules_files', 'rules_file', 'rules', 'watch_config_files'],
  ...['json_output', 'file_output', 'program_output', 'syslog_output', 'http_output', 'grpc_output'],
]);

/** Of these, texts are paths: one that is not UTF-8 would come out as another one. */
const pathKeys: ReadonlySet<string> = new Set(['config_files', 'rules_files', 'rules_file']);

export type ConfigContent =
  | { readonly is: 'pairs'; readonly pairs: readonly (readonly [string, ConfigNode])[] }
  /** No mapping: what that means depends on which config file it is. */
  | { readonly is: 'text' }
  | { readonly is: 'sequence' }
  | { readonly is: 'broken'; readonly why: string };

/**
 * Reads the first document of a config file: its keys that matter in order, doubles included, `${NAME}` expanded.
 * Aliases are followed, null and nothing at all have no keys. Other keys' values may hold whatever Falco reads.
 */
export function readConfigContent(bytes: Uint8Array, lookup: Lookup): ConfigContent {
  try {
    const { text } = decodeFile(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    const root = firstDocument(text);
    if (root === undefined || root.is === 'null') return { is: 'pairs', pairs: [] };
    // An empty list has no items to stumble over.
    if (root.is === 'sequence')
      return root.items.length === 0 ? { is: 'pairs', pairs: [] } : { is: 'sequence' };
    if (root.is !== 'mapping') return { is: 'text' };
    const pairs = root.pairs.flatMap(({ key, value }) => {
      const name = keyName(key) ?? '';
      if (!keysThatMatter.has(name)) return [];
      return [[name, new Conversion(lookup, pathKeys.has(name)).convert(value, 0)] as const];
    });
    return { is: 'pairs', pairs };
  } catch (error) {
    if (error instanceof NotYaml) return { is: 'broken', why: `line ${error.line}: ${error.message}` };
    if (error instanceof TooLarge) return { is: 'broken', why: 'its lists of files are too long' };
    throw error;
  }
}

/** Falco reads no further in config files (FACTS 1.13). */
function firstDocument(text: string): Node | undefined {
  return new Reader(text, { keysAt: { level: 0, keys: keysThatMatter } }).nextDocument()?.root;
}

/** No list of files is nested deeper; an alias inside its own anchor would never end. */
const deepest = 16;

/** More than any list of files has, and little enough where aliases multiply each other. */
const mostConverted = 100_000;

class Conversion {
  private readonly lookup: Lookup;
  private readonly isPaths: boolean;
  private converted = 0;

  constructor(lookup: Lookup, isPaths: boolean) {
    this.lookup = lookup;
    this.isPaths = isPaths;
  }

  /** @throws NotYaml for a path that is not UTF-8; TooLarge */
  convert(node: Node, depth: number): ConfigNode {
    this.converted++;
    if (this.converted > mostConverted) throw new TooLarge();
    const resolved = resolve(node);
    if (resolved.is === 'null' || depth > deepest) return { kind: 'null' };
    if (resolved.is === 'scalar') {
      const raw = unicodeText(resolved.text);
      if (raw === undefined && this.isPaths) throw new NotYaml('a path that is not UTF-8', resolved.line);
      if (raw === undefined) return { kind: 'scalar', text: resolved.text, written: undefined, unknown: [] };
      return { kind: 'scalar', written: raw, ...expandVariables(raw, this.lookup) };
    }
    if (resolved.is === 'sequence') {
      return { kind: 'sequence', items: resolved.items.map((item) => this.convert(item, depth + 1)) };
    }
    const entries = new Map<string, ConfigNode>();
    for (const { key, value } of resolved.pairs) {
      const name = keyName(key) ?? '';
      if (!entries.has(name)) entries.set(name, this.convert(value, depth + 1));
    }
    return { kind: 'mapping', entries };
  }
}

export interface ConfigOption {
  readonly key: string;
  /** Steps below the key: indexes, `[]`, further keys. */
  readonly steps: readonly PathStep[];
  readonly value: ConfigNode;
}

type PathStep =
  | { readonly to: 'key'; readonly name: string }
  | { readonly to: 'index'; readonly index: number }
  | { readonly to: 'end' };

/** An `-o` option as Falco reads it; undefined for a key that does not matter here. @throws Refused */
export function readOption({ key, path, value }: FalcoOption, objects: boolean): ConfigOption | undefined {
  if (value === undefined) throw new Refused('there is no =');
  if (!keysThatMatter.has(key)) return undefined;
  return { key, steps: readSteps(path), value: readOptionValue(value, objects) };
}

function readSteps(path: string): PathStep[] {
  const steps: PathStep[] = [];
  let rest = path;
  while (rest !== '') {
    const [whole = '', index, name = ''] = /^\[([^\]]*)\]|^\.([^.[]+)/.exec(rest) ?? [];
    const number = /^\s*[+-]?\d+/.exec(index ?? '');
    if (whole === '' || (index && number === null))
      throw new Refused('it has a key that Falco does not understand');
    if (index === undefined) steps.push({ to: 'key', name });
    else steps.push(number === null ? { to: 'end' } : { to: 'index', index: Number(number[0]) });
    rest = rest.slice(whole.length);
  }
  return steps;
}

function readOptionValue(value: string, objects: boolean): ConfigNode {
  if (!objects || !value.startsWith('{') || !value.endsWith('}')) return literalScalar(value);
  try {
    const root = new Reader(byteText(value)).nextDocument()?.root;
    if (root !== undefined) return literally(new Conversion(() => undefined, true).convert(root, 0));
  } catch (error) {
    if (!(error instanceof NotYaml || error instanceof TooLarge)) throw error;
  }
  throw new Refused('it is not valid YAML');
}

/** The tree with each text as it was written: options are not expanded. */
function literally(node: ConfigNode): ConfigNode {
  if (node.kind === 'scalar') return literalScalar(node.written ?? node.text);
  if (node.kind === 'sequence') return { kind: 'sequence', items: node.items.map(literally) };
  if (node.kind !== 'mapping') return node;
  return {
    kind: 'mapping',
    entries: new Map([...node.entries].map(([key, value]) => [key, literally(value)])),
  };
}

/**
 * The value with what the steps lead to set; as yaml-cpp does it, odd conversions included (FACTS 1.13).
 *
 * @throws Refused
 */
export function setAt(node: ConfigNode, steps: readonly PathStep[], value: ConfigNode): ConfigNode {
  const [step, ...rest] = steps;
  if (step === undefined) return value;
  if (step.to === 'end') return setAtEnd(node, rest, value);
  if (node.kind === 'scalar') throw new Refused('a path leads into a scalar');
  if (step.to === 'index') return setAtIndex(node, step.index, rest, value);
  return setInMap(node, step.name, rest, value);
}

function setAtEnd(node: ConfigNode, rest: readonly PathStep[], value: ConfigNode): ConfigNode {
  if (node.kind !== 'absent' && node.kind !== 'sequence')
    throw new Refused('[] on a key that is null, a scalar or a mapping');
  const item = setAt({ kind: 'null' }, rest, value);
  return { kind: 'sequence', items: [...(node.kind === 'sequence' ? node.items : []), item] };
}

function setAtIndex(
  node: ConfigNode,
  index: number,
  rest: readonly PathStep[],
  value: ConfigNode,
): ConfigNode {
  const items = node.kind === 'sequence' ? node.items : [];
  // An index past the end turns the list into a mapping, which then holds no rules files.
  if (node.kind === 'mapping' || index < 0 || index > items.length)
    return setInMap(node, String(index), rest, value);
  const item = setAt(items[index] ?? absent, rest, value);
  return { kind: 'sequence', items: [...items.slice(0, index), item, ...items.slice(index + 1)] };
}

function setInMap(node: ConfigNode, key: string, rest: readonly PathStep[], value: ConfigNode): ConfigNode {
  const entries = new Map(node.kind === 'mapping' ? node.entries : []);
  return { kind: 'mapping', entries: entries.set(key, setAt(entries.get(key) ?? absent, rest, value)) };
}
