/** Where the entries of a collection stand in the text, from the tokens that the parser keeps. */
import { type CST, isAlias, isCollection, isMap, isScalar, type YAMLMap, type YAMLSeq } from 'yaml';
import { isEmpty, type Node } from './kubernetes-yaml.ts';
import { CannotEdit } from './text-edits.ts';

export type Collection = YAMLMap.Parsed | YAMLSeq.Parsed;

/** An item with its dash, or a key with its value; offsets. */
export interface Entry {
  /** Of the dash, or of the key with its anchor and tag. */
  readonly start: number;
  /** Behind the last of what it says; comments do not count. */
  readonly end: number;
  /** Behind the key's colon; `undefined` for items, and for keys that have none. */
  readonly colonEnd: number | undefined;
  /** Where a value may be put in that is not there yet: behind the colon or dash, anchor and tag. */
  readonly valueAt: number;
}

type Token = CST.CollectionItem;

const blank: ReadonlySet<string> = new Set(['space', 'newline', 'comment', 'comma', 'byte-order-mark']);

function tokensOf(collection: Collection): readonly Token[] {
  const token = collection.srcToken;
  if (token === undefined || !('items' in token))
    throw new CannotEdit('a collection without brackets of its own');
  return token.items.filter(isEntry);
}

/** Comments and a comma at the end are kept as entries of nothing. */
function isEntry(token: Token): boolean {
  const filled = token.start.some(({ type }) => !blank.has(type));
  return filled || token.key != null || token.sep !== undefined || token.value !== undefined;
}

function lastEnd(tokens: readonly CST.SourceToken[] | undefined): number | undefined {
  const last = tokens?.findLast(({ type }) => !blank.has(type));
  return last && last.offset + last.source.length;
}

function endOfNode(node: Exclude<Node, null>): number {
  if (isScalar(node) || isAlias(node) || node.flow === true) return node.range[1];
  return entriesOf(node).at(-1)?.end ?? node.range[1];
}

function valueIn(collection: Collection, at: number): Node {
  if (!isMap(collection)) return collection.items[at] ?? null;
  return collection.items[at]?.value ?? null;
}

function entryOf(collection: Collection, { start, key, sep }: Token, at: number): Entry {
  const first = start.find(({ type }) => !blank.has(type));
  const value = valueIn(collection, at);
  const keyNode = isMap(collection) ? collection.items[at]?.key : undefined;
  const begin = first?.offset ?? key?.offset ?? (value !== null ? value.range[0] : undefined);
  if (begin === undefined) throw new CannotEdit('an entry that begins nowhere');
  const keyEnd = keyNode != null ? keyNode.range[1] : undefined;
  const valueAt = lastEnd(sep) ?? keyEnd ?? lastEnd(start) ?? begin;
  const colon = sep?.find(({ type }) => type === 'map-value-ind');
  const isThere = value !== null && (isCollection(value) || !isEmpty(value));
  return {
    start: begin,
    end: isThere ? endOfNode(value) : valueAt,
    colonEnd: colon && colon.offset + colon.source.length,
    valueAt,
  };
}

/** The entries in the order of the collection's items. */
export function entriesOf(collection: Collection): readonly Entry[] {
  const tokens = tokensOf(collection);
  if (tokens.length !== collection.items.length) throw new CannotEdit('entries that cannot be told apart');
  return tokens.map((token, at) => entryOf(collection, token, at));
}

/** Offset behind the comma that stands behind the last entry of a flow collection. */
export function trailingComma({ srcToken }: Collection): number | undefined {
  if (srcToken?.type !== 'flow-collection') return undefined;
  const last = srcToken.items.at(-1);
  if (last === undefined || isEntry(last)) return undefined;
  const comma = last.start.find(({ type }) => type === 'comma');
  return comma && comma.offset + 1;
}
