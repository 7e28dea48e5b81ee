/**
 * A YAML document as kubectl reads it (go-yaml behind sigs.k8s.io/yaml, FACTS 4.13): YAML 1.1, the last of two equal
 * keys counts, quoted texts and flow collections may go on at any indentation, a merge key counts where it stands.
 */
import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type ParsedNode,
  parseDocument,
  Scalar,
  type YAMLMap,
} from 'yaml';
import { messageOf } from '../reasons/message-of.ts';
import { readPlain } from './plain-scalar.ts';
import { type Straight, straightened } from './straighten.ts';

/** A node, or the nothing behind a key. */
export type Node = ParsedNode | null;

/** `source` is what positions count in. */
export interface ReadDocument extends Straight {
  readonly document: Document.Parsed;
  /** Plain data; `undefined` where there is no object (comments, an empty document). */
  readonly object: unknown;
  /** What a node of the document stands for, anchors, aliases and merge keys resolved. */
  readonly dataOf: (node: Node) => unknown;
  /** The node behind a key, where it comes from by a merge key too. */
  readonly nodeOf: (map: YAMLMap.Parsed, key: string) => Node | undefined;
  /** The name that a key has for Kubernetes. */
  readonly nameOf: (key: Node) => string;
}

export type YamlReading =
  | ({ readonly is: 'read' } & ReadDocument)
  | { readonly is: 'broken'; readonly why: string; readonly line: number };

/** Every scalar stays the text that it is; what it stands for is worked out here. */
const lenient = {
  merge: false,
  uniqueKeys: false,
  strict: false,
  prettyErrors: false,
  logLevel: 'silent',
} as const;

/** How many nodes a document may have once its aliases are written out; go-yaml has such a limit too. */
const mostNodes = 1_000_000;

/**
 * Reads one document; never throws.
 *
 * @param text without a byte order mark
 * @param tokens whether the nodes are to keep their tokens, for edits
 */
export function readYaml(text: string, tokens: boolean): YamlReading {
  try {
    const { straight, document } = parsed(text, tokens);
    const [error] = document.errors;
    if (error !== undefined) {
      const line = straight.source.slice(0, error.pos[0]).split('\n').length;
      return { is: 'broken', why: error.message.split('\n', 1)[0] ?? '', line };
    }
    const reader = new DataReader(document);
    const { contents } = document;
    // A document of comments only is none.
    const object = contents === null || isEmpty(contents) ? undefined : reader.dataOf(contents);
    return {
      is: 'read',
      ...straight,
      document,
      object,
      dataOf: (node) => reader.dataOf(node),
      nodeOf: (map, key) => reader.fieldsOf(map).get(key),
      nameOf: (key) => reader.nameOf(key),
    };
  } catch (error) {
    // The parser recurses: nesting deep enough overflows the stack.
    const why = error instanceof RangeError ? 'nested too deeply' : messageOf(error);
    return { is: 'broken', why, line: 1 };
  }
}

function parsed(text: string, tokens: boolean): { straight: Straight; document: Document.Parsed } {
  const options = { ...lenient, schema: 'failsafe', version: '1.1', keepSourceTokens: tokens } as const;
  // A carriage return alone ends a line too, which the parser does not know.
  const source = text.replace(/\r(?!\n)/g, '\n');
  const asItIs: Straight = { source, offsetInText: (offset) => offset };
  const document = parseDocument(source, options);
  if (document.errors.length === 0) return { straight: asItIs, document };
  const straight = straightened(source);
  if (straight.source === source) return { straight: asItIs, document };
  return { straight, document: parseDocument(straight.source, options) };
}

/**
 * The same text read by the library's own rules for a version: somebody else's eyes for the proof that an edit did
 * what it should. `undefined` where they cannot read it.
 *
 * @param source of a document that `readYaml` has read
 */
export function readByVersion(source: string, version: '1.1' | '1.2'): unknown {
  try {
    const document = parseDocument(source, { ...lenient, version, merge: true });
    return document.errors.length === 0 ? document.toJS({ maxAliasCount: -1 }) : undefined;
  } catch {
    return undefined;
  }
}

/** Whether nothing is written here, not even a word for null. */
export function isEmpty(node: Node): boolean {
  return node === null || (isScalar(node) && node.type === Scalar.PLAIN && node.source === '');
}

export function isMergeKey(key: Node): boolean {
  return isScalar(key) && key.type === Scalar.PLAIN && key.value === '<<' && key.tag === undefined;
}

/** A field like any other, also one named `__proto__`. */
export function setField(record: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') {
    Object.defineProperty(record, key, { value, enumerable: true, configurable: true, writable: true });
  } else record[key] = value;
}

function scalarData({ value, type, tag }: Scalar): unknown {
  // Safe to take for a text: the failsafe schema makes nothing else of a scalar.
  const text = typeof value === 'string' ? value : '';
  if (tag === 'tag:yaml.org,2002:binary') return Buffer.from(text, 'base64').toString();
  const isTyped = tag !== undefined && /^tag:yaml\.org,2002:(?:int|float|bool|null)$/.test(tag);
  return isTyped || (tag === undefined && type === Scalar.PLAIN) ? readPlain(text) : text;
}

class DataReader {
  readonly #document: Document.Parsed;
  readonly #data = new Map<Node, unknown>();
  readonly #sizes = new Map<Node, number>();
  readonly #fields = new Map<YAMLMap.Parsed, ReadonlyMap<string, Node>>();
  /** What is being worked out: an alias of it in its own inside has no end. */
  readonly #open = new Set<Node>();
  readonly #merging = new Set<Node>();

  constructor(document: Document.Parsed) {
    this.#document = document;
  }

  dataOf(node: Node): unknown {
    if (node === null) return null;
    if (isAlias(node)) return this.dataOf(this.#targetOf(node));
    if (isScalar(node)) return scalarData(node);
    if (this.#sizes.has(node)) return this.#data.get(node);
    if (this.#open.has(node)) throw new Error('an alias stands inside of what it stands for');
    this.#open.add(node);
    const data = isSeq(node) ? node.items.map((item) => this.dataOf(item)) : this.#mapData(node);
    this.#open.delete(node);
    this.#data.set(node, data);
    this.#sizes.set(node, this.#sizeOf(node));
    return data;
  }

  #mapData(map: YAMLMap.Parsed): Record<string, unknown> {
    const data: Record<string, unknown> = {};
    for (const [key, value] of this.fieldsOf(map)) setField(data, key, this.dataOf(value));
    return data;
  }

  /** The node that counts for each key: the last one written, merged ones as if they stood where the merge does. */
  fieldsOf(map: YAMLMap.Parsed): ReadonlyMap<string, Node> {
    const known = this.#fields.get(map);
    if (known !== undefined) return known;
    const fields = new Map<string, Node>();
    this.#merging.add(map);
    for (const { key, value } of map.items) {
      if (isMergeKey(key)) for (const [name, node] of this.#merged(value)) fields.set(name, node);
      else fields.set(this.nameOf(key), value);
    }
    this.#merging.delete(map);
    this.#fields.set(map, fields);
    return fields;
  }

  #merged(value: Node): readonly (readonly [string, Node])[] {
    const target = isAlias(value) ? this.#targetOf(value) : value;
    // Of several maps the first ones count most.
    if (isSeq(target) && target === value)
      return target.items.toReversed().flatMap((item) => this.#merged(item));
    if (!isMap(target) || this.#merging.has(target)) throw new Error('a merge key needs a map');
    return [...this.fieldsOf(target)];
  }

  nameOf(key: Node): string {
    const data = this.dataOf(key);
    return typeof data === 'object' && data !== null ? JSON.stringify(data) : String(data);
  }

  #targetOf(alias: Alias): Node {
    const target = alias.resolve(this.#document);
    if (target === undefined) throw new Error(`no anchor for the alias *${alias.source}`);
    // Safe: what an alias of a parsed document stands for was parsed with it.
    return target as ParsedNode;
  }

  /** How many nodes there are once aliases are written out. */
  #sizeOf(node: Node): number {
    const target = isAlias(node) ? this.#targetOf(node) : node;
    const known = this.#sizes.get(target);
    if (known !== undefined) return known;
    let size = 1;
    if (isSeq(target)) for (const item of target.items) size += this.#sizeOf(item);
    if (isMap(target)) for (const value of this.fieldsOf(target).values()) size += this.#sizeOf(value);
    if (size > mostNodes) throw new Error('its aliases stand for too much');
    return size;
  }
}
