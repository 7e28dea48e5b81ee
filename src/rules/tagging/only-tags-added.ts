/** The proof behind each edit: two trees are the same but for the tags that were meant to be added. */
import { isSeq, type ParsedNode, type YAMLMap, type YAMLSeq } from 'yaml';
import {
  isAlias,
  isMap,
  isNull,
  isScalar,
  type Node,
  textOf,
  type YamlDocument,
} from '../../yaml/falco-yaml.ts';

/** What was meant to happen to a node of the old tree. */
export interface Change {
  /** `grown`: a list got tags; `written_out`: an alias became a list; `key_added`: a mapping got `tags`. */
  readonly is: 'grown' | 'written_out' | 'key_added';
  readonly tags: readonly string[];
}

export function onlyTagsAdded(
  before: readonly YamlDocument[],
  after: readonly YamlDocument[],
  changes: ReadonlyMap<ParsedNode, Change>,
): boolean {
  const same = (a: Node, b: Node) => sameNode(a, b, changes);
  return (
    before.length === after.length &&
    before.every((one, index) => same(one.contents, after[index]?.contents ?? null))
  );
}

type Changes = ReadonlyMap<ParsedNode, Change>;

function sameNode(a: Node, b: Node, changes: Changes): boolean {
  if (a === null || b === null) return isNull(a) && isNull(b);
  const change = changes.get(a);
  if (change?.is === 'written_out') return isSeq(b) && isTagList(b.items, change.tags);
  if (isAlias(a)) return isAlias(b) && a.source === b.source;
  if (isAlias(b) || a.anchor !== b.anchor || a.tag !== b.tag) return false;
  if (isScalar(a)) return isScalar(b) && a.value === b.value && isNull(a) === isNull(b);
  if (isMap(a)) return isMap(b) && samePairs(a, b, change, changes);
  return isSeq(b) && sameItems(a, b, change, changes);
}

function sameItems(
  a: YAMLSeq.Parsed,
  b: YAMLSeq.Parsed,
  change: Change | undefined,
  changes: Changes,
): boolean {
  const added = b.items.slice(a.items.length);
  return (
    isTagList(added, change?.tags ?? []) &&
    a.items.every((item, index) => sameNode(item, b.items[index] ?? null, changes))
  );
}

function samePairs(
  a: YAMLMap.Parsed,
  b: YAMLMap.Parsed,
  change: Change | undefined,
  changes: Changes,
): boolean {
  const pairs = [...b.items];
  if (change !== undefined) {
    const isTags = (pair: (typeof pairs)[number] | undefined) =>
      textOf(pair?.key ?? null) === 'tags' && isSeq(pair?.value) && isTagList(pair.value.items, change.tags);
    if (isTags(pairs.at(-1))) pairs.pop();
    else if (isTags(pairs[0])) pairs.shift();
    else return false;
  }
  return (
    pairs.length === a.items.length &&
    a.items.every(({ key, value }, index) => {
      const other = pairs[index];
      return (
        other !== undefined && sameNode(key, other.key, changes) && sameNode(value, other.value, changes)
      );
    })
  );
}

function isTagList(items: readonly Node[], tags: readonly string[]): boolean {
  return (
    items.length === tags.length &&
    items.every(
      (item, index) => item !== null && isScalar(item) && !isNull(item) && item.value === tags[index],
    )
  );
}
