/** Falco's configuration as far as it decides about rules files: values, and how `-o` options change them. */
import { isMap, isSeq } from 'yaml';
import {
  isNull,
  isScalar,
  keyName,
  type Node,
  parseYaml,
  resolve,
  textOf,
  type YamlDocument,
} from '../../yaml/falco-yaml.ts';
import { utf8 } from './file-system.ts';
import { escapeVariables, expandVariables, type Lookup } from './variables.ts';

export interface ConfigScalar {
  readonly kind: 'scalar';
  readonly text: string;
  /** What stands in a config file for this text; undefined where nothing can. */
  readonly written: string | undefined;
  /** Variables in it that are not known here. */
  readonly unknown: readonly string[];
}

export interface ConfigList {
  readonly kind: 'list';
  readonly items: readonly ConfigNode[];
}

export interface ConfigMap {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<string, ConfigNode>;
}

export type ConfigNode =
  | { readonly kind: 'absent' }
  | { readonly kind: 'null' }
  | ConfigScalar
  | ConfigList
  | ConfigMap;

/** What Falco stops with. */
export interface ConfigRefusal {
  readonly kind: 'refused';
  readonly why: string;
}

export const absent: ConfigNode = { kind: 'absent' };

/** A text that came by an option: no variable in it is replaced (FACTS 1.13). */
export function literalScalar(text: string): ConfigScalar {
  return { kind: 'scalar', text, written: escapeVariables(text), unknown: [] };
}

/** Only these keys of a config file matter here; the rest is not even converted. */
export const keysThatMatter: ReadonlySet<string> = new Set([
  ...['config_files', 'rules_files', 'rules_file', 'watch_config_files'],
]);

export type ConfigContent =
  | { readonly is: 'pairs'; readonly pairs: readonly (readonly [string, ConfigNode])[] }
  /** No mapping: what that means depends on which config file it is. */
  | { readonly is: 'text' }
  | { readonly is: 'list' }
  | { readonly is: 'broken'; readonly why: string };

/**
 * Reads the first document of a config file: its keys that matter in order, doubles included, `${NAME}` expanded.
 * Aliases are followed, null and nothing at all have no keys.
 */
export function readConfigContent(bytes: Uint8Array, lookup: Lookup): ConfigContent {
  const text = utf8(bytes)?.replace(/^\uFEFF/, '');
  if (text === undefined) return { is: 'broken', why: 'not UTF-8' };
  const source = parseYaml(text, 'first');
  if (source.is === 'broken') return { is: 'broken', why: `line ${source.line}: ${source.why}` };
  const document = source.documents[0];
  const root = document?.contents ?? null;
  if (document === undefined || isNull(root)) return { is: 'pairs', pairs: [] };
  // An empty list has no items to stumble over.
  if (isSeq(root)) return root.items.length === 0 ? { is: 'pairs', pairs: [] } : { is: 'list' };
  if (!isMap(root)) return { is: 'text' };
  const pairs = root.items.flatMap(({ key, value }) => {
    const name = keyName(key, document) ?? '';
    return keysThatMatter.has(name) ? [[name, convert(value, document, lookup, 0)] as const] : [];
  });
  return { is: 'pairs', pairs };
}

/** No list of files is nested deeper; an alias inside its own anchor would never end. */
const deepest = 16;

function convert(node: Node, document: YamlDocument, lookup: Lookup, depth: number): ConfigNode {
  const resolved = resolve(node, document);
  if (isNull(resolved) || resolved === null || depth > deepest) return { kind: 'null' };
  if (isScalar(resolved)) {
    const raw = textOf(resolved);
    return { kind: 'scalar', written: raw, ...expandVariables(raw, lookup) };
  }
  if (isSeq(resolved)) {
    return { kind: 'list', items: resolved.items.map((item) => convert(item, document, lookup, depth + 1)) };
  }
  const entries = new Map<string, ConfigNode>();
  for (const { key, value } of isMap(resolved) ? resolved.items : []) {
    const name = keyName(key, document) ?? '';
    if (!entries.has(name)) entries.set(name, convert(value, document, lookup, depth + 1));
  }
  return { kind: 'map', entries };
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

/** An `-o` option as Falco reads it; undefined for a key that does not matter here. */
export function readOption(option: string, objects: boolean): ConfigOption | ConfigRefusal | undefined {
  const equals = option.indexOf('=');
  if (equals === -1) return { kind: 'refused', why: `option ${option} has no =` };
  const match = /^([^.[\\]+)(.*)$/s.exec(option.slice(0, equals));
  const key = match?.[1] ?? '';
  if (!keysThatMatter.has(key)) return undefined;
  const steps = readSteps(match?.[2] ?? '');
  if (steps === undefined)
    return { kind: 'refused', why: `option ${option} has a key that Falco does not understand` };
  const value = readOptionValue(option.slice(equals + 1), objects);
  return value === undefined
    ? { kind: 'refused', why: `option ${option} is not valid YAML` }
    : { key, steps, value };
}

function readSteps(path: string): PathStep[] | undefined {
  const steps: PathStep[] = [];
  let rest = path;
  while (rest !== '') {
    const match = /^\[([^\]]*)\]|^\.([^.[]+)/.exec(rest);
    if (match === null) return undefined;
    const index = match[1];
    const number = /^\s*[+-]?\d+/.exec(index ?? '');
    if (index === undefined) steps.push({ to: 'key', name: match[2] ?? '' });
    else if (index === '') steps.push({ to: 'end' });
    else if (number === null) return undefined;
    else steps.push({ to: 'index', index: Number(number[0]) });
    rest = rest.slice(match[0].length);
  }
  return steps;
}

function readOptionValue(value: string, objects: boolean): ConfigNode | undefined {
  if (!objects || !value.startsWith('{') || !value.endsWith('}')) return literalScalar(value);
  const source = parseYaml(value, 'first');
  const document = source.is === 'documents' ? source.documents[0] : undefined;
  if (document === undefined) return undefined;
  return literally(convert(document.contents, document, () => undefined, 0));
}

/** The tree with each text as it was written: options are not expanded. */
function literally(node: ConfigNode): ConfigNode {
  if (node.kind === 'scalar') return literalScalar(node.written ?? node.text);
  if (node.kind === 'list') return { kind: 'list', items: node.items.map(literally) };
  if (node.kind !== 'map') return node;
  return { kind: 'map', entries: new Map([...node.entries].map(([key, value]) => [key, literally(value)])) };
}

/** The value with what the steps lead to set; as yaml-cpp does it, odd conversions included (FACTS 1.13). */
export function setAt(
  node: ConfigNode,
  steps: readonly PathStep[],
  value: ConfigNode,
): ConfigNode | ConfigRefusal {
  const [step, ...rest] = steps;
  if (step === undefined) return value;
  if (step.to === 'end') return setAtEnd(node, rest, value);
  if (node.kind === 'scalar') return { kind: 'refused', why: 'a path leads into a plain value' };
  if (step.to === 'index') return setAtIndex(node, step.index, rest, value);
  return setInMap(node, step.name, rest, value);
}

function setAtEnd(
  node: ConfigNode,
  rest: readonly PathStep[],
  value: ConfigNode,
): ConfigNode | ConfigRefusal {
  if (node.kind !== 'absent' && node.kind !== 'list') {
    return { kind: 'refused', why: '[] on a key that is null, a text or a mapping' };
  }
  const item = setAt({ kind: 'null' }, rest, value);
  if (item.kind === 'refused') return item;
  return { kind: 'list', items: [...(node.kind === 'list' ? node.items : []), item] };
}

function setAtIndex(
  node: ConfigNode,
  index: number,
  rest: readonly PathStep[],
  value: ConfigNode,
): ConfigNode | ConfigRefusal {
  const items = node.kind === 'list' ? node.items : [];
  // An index past the end turns the list into a mapping, which then holds no rules files.
  if (node.kind === 'map' || index < 0 || index > items.length)
    return setInMap(node, String(index), rest, value);
  const item = setAt(items[index] ?? absent, rest, value);
  if (item.kind === 'refused') return item;
  return { kind: 'list', items: [...items.slice(0, index), item, ...items.slice(index + 1)] };
}

function setInMap(
  node: ConfigNode,
  key: string,
  rest: readonly PathStep[],
  value: ConfigNode,
): ConfigNode | ConfigRefusal {
  const entries = new Map(node.kind === 'map' ? node.entries : []);
  const changed = setAt(entries.get(key) ?? absent, rest, value);
  if (changed.kind === 'refused') return changed;
  return { kind: 'map', entries: entries.set(key, changed) };
}
