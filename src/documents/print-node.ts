import {
  Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node as OwnNode,
  Pair,
  Scalar,
  YAMLMap,
  YAMLSeq,
} from 'yaml';
import { isRecord } from '../injection/record.ts';
import { alignedItems, same } from './align.ts';
import type { Node, ReadDocument } from './kubernetes-yaml.ts';
import { needsQuotes } from './plain-scalar.ts';

/** How blocks are printed: whether lists stand deeper than their key. */
export interface BlockStyle {
  readonly indentSeq: boolean;
}

/** Line breaks and whatever is not to be seen. */
const invisible = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u;

function textNode(text: string): Scalar {
  const scalar = new Scalar(text);
  if (invisible.test(text) || needsQuotes(text)) scalar.type = Scalar.QUOTE_DOUBLE;
  return scalar;
}

/** Plain data as nodes of a document whose scalars are all texts. */
export function nodeOfData(data: unknown): OwnNode {
  if (typeof data === 'string') return textNode(data);
  if (Array.isArray(data)) {
    const seq = new YAMLSeq();
    seq.items = data.map(nodeOfData);
    return seq;
  }
  if (isRecord(data)) {
    const map = new YAMLMap();
    const fields = Object.entries(data).filter(([, value]) => value !== undefined);
    map.items = fields.map(([key, value]) => new Pair(textNode(key), nodeOfData(value)));
    return map;
  }
  const scalar = new Scalar(String(data ?? null));
  scalar.type = Scalar.PLAIN;
  return scalar;
}

/**
 * A node brought to the wanted data, free of anchors, aliases, merge keys and keys that do not count. What does not
 * change keeps its spelling: numbers, quotes, comments.
 */
export function rebuilt(read: ReadDocument, node: Node, wanted: unknown): OwnNode {
  if (node === null) return nodeOfData(wanted);
  const target = isAlias(node) ? node.resolve(read.document) : node;
  if (isMap(target) && isRecord(wanted)) return rebuiltMap(read, target as YAMLMap.Parsed, wanted);
  if (isSeq(target) && Array.isArray(wanted)) return rebuiltSeq(read, target as YAMLSeq.Parsed, wanted);
  if (!isScalar(target) || !same(read.dataOf(node), wanted)) return nodeOfData(wanted);
  const scalar = new Scalar(target.value);
  scalar.type = target.type ?? Scalar.PLAIN;
  if (target.tag !== undefined) scalar.tag = target.tag;
  return withComments(scalar, node);
}

function withComments<T extends OwnNode>(copy: T, { comment, commentBefore, spaceBefore }: OwnNode): T {
  copy.comment = comment ?? null;
  copy.commentBefore = commentBefore ?? null;
  copy.spaceBefore = spaceBefore ?? false;
  return copy;
}

function rebuiltMap(read: ReadDocument, map: YAMLMap.Parsed, wanted: Record<string, unknown>): OwnNode {
  const copy = withComments(new YAMLMap(), map);
  copy.flow = map.flow ?? false;
  const own = new Map(map.items.map((pair) => [read.nameOf(pair.key), pair]));
  const fields = Object.entries(wanted).filter(([, value]) => value !== undefined);
  copy.items = fields.map(([key, value]) => {
    const from = read.nodeOf(map, key);
    const pair = own.get(key);
    const keyNode = pair === undefined ? textNode(key) : rebuilt(read, pair.key, read.dataOf(pair.key));
    return new Pair(keyNode, from === undefined ? nodeOfData(value) : rebuilt(read, from, value));
  });
  return copy;
}

function rebuiltSeq(read: ReadDocument, seq: YAMLSeq.Parsed, wanted: readonly unknown[]): OwnNode {
  const copy = withComments(new YAMLSeq(), seq);
  copy.flow = seq.flow ?? false;
  copy.items = alignedItems(seq.items.map(read.dataOf), wanted).flatMap(({ from, to }) => {
    if (to === undefined) return [];
    const node = from === undefined ? undefined : seq.items[from];
    return [node === undefined ? nodeOfData(to.value) : rebuilt(read, node, to.value)];
  });
  return copy;
}

/** What readers take for a line break, or not at all, in quotes too; only there it is printed. */
const unprintable = /[\x7f-\x9f\u2028\u2029\ufeff]/g;

function printed(node: OwnNode, { indentSeq }: BlockStyle): string {
  const document = new Document(node, { schema: 'failsafe', version: '1.1' });
  const text = document.toString({
    lineWidth: 0,
    flowCollectionPadding: false,
    indentSeq,
    doubleQuotedMinMultiLineLength: Number.MAX_SAFE_INTEGER,
  });
  return text.replace(unprintable, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The lines of a node in block style, not indented. */
export function blockLines(node: OwnNode, style: BlockStyle): readonly string[] {
  return printed(node, style).trimEnd().split('\n');
}

function flattened(node: OwnNode): OwnNode {
  if (isScalar(node)) {
    const scalar = new Scalar(node.value);
    const isBlock = node.type === Scalar.BLOCK_LITERAL || node.type === Scalar.BLOCK_FOLDED;
    // Neither may stand plain there for libyaml and go-yaml, though YAML 1.2 lets it.
    const isRefused = node.type !== Scalar.QUOTE_SINGLE && /^:|\?/.test(String(node.value));
    if (isBlock || isRefused) scalar.type = Scalar.QUOTE_DOUBLE;
    else if (node.type !== undefined) scalar.type = node.type;
    if (node.tag !== undefined) scalar.tag = node.tag;
    return scalar;
  }
  if (isSeq<OwnNode>(node)) {
    const seq = new YAMLSeq();
    seq.flow = true;
    seq.items = node.items.map(flattened);
    return seq;
  }
  if (!isMap<OwnNode, OwnNode>(node)) throw new Error('an alias is left');
  const map = new YAMLMap();
  map.flow = true;
  map.items = node.items.map(({ key, value }) => new Pair(flattened(key), value && flattened(value)));
  return map;
}

/** A node on one line, as it may stand in a flow collection. */
export function inlineText(node: OwnNode): string {
  // In a list: what may stand alone (`a, b`) may not do so there.
  const list = new YAMLSeq();
  list.flow = true;
  list.items = [flattened(node)];
  return printed(list, { indentSeq: true }).trimEnd().slice(1, -1);
}

/** A key and its value on one line, as they may stand in a flow collection. */
export function inlinePair(key: string, value: OwnNode): string {
  const map = new YAMLMap();
  map.items = [new Pair(textNode(key), value)];
  return inlineText(map).slice(1, -1);
}

export function pairOf(key: string, value: OwnNode): OwnNode {
  const map = new YAMLMap();
  map.items = [new Pair(textNode(key), value)];
  return map;
}

export function itemOf(value: OwnNode): OwnNode {
  const seq = new YAMLSeq();
  seq.items = [value];
  return seq;
}

/** A whole document anew: `---` where it had one. */
export function printedDocument(read: ReadDocument, wanted: unknown): string {
  const start = read.document.directives.docStart === true ? '---\n' : '';
  return start + printed(rebuilt(read, read.document.contents, wanted), { indentSeq: true });
}
