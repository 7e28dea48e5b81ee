/** What Falco would make of a rules file, as far as tags are concerned. */

import type { Finding } from '../../reasons/reasons.ts';
import {
  type MappingNode,
  type Node,
  NotYaml,
  type ReadDocument,
  Reader,
  resolve,
  type SequenceNode,
  type TargetNode,
  TooLarge,
  textOf,
  valueUnder,
} from '../../yaml/falco-yaml.ts';
import { type ItemKind, keysWithValues, kindOfItem } from './rules-items.ts';

/** A rule whose tags are those in its item. */
export interface RuleItem {
  readonly map: MappingNode;
  /** The value of `tags`, and the list that it is or stands for; undefined without the key. */
  readonly tags: { readonly value: Node; readonly list: SequenceNode } | undefined;
  /** False behind an empty document, where Falco no longer reads (FACTS 1.13). */
  readonly loaded: boolean;
  /** The list is also something else than the tags of items: adding to it would change more than tags. */
  shared: boolean;
}

export interface RulesText {
  readonly rules: readonly RuleItem[];
  /** Every item is a full definition: Falco may load the file twice, tagged last (FACTS 1.13). */
  readonly loadsTwice: boolean;
  /** Why the file must stay as it is. */
  readonly finding: FileFinding | undefined;
}

/** What a user should know of one file. */
export interface FileFinding {
  readonly code: Finding['code'];
  /** Line in the file, from 1. */
  readonly line: number;
  readonly detail: string;
}

/** What Falco refuses of a document. */
class Refused extends Error {
  readonly line: number;
  constructor({ line }: Node, detail: string) {
    super(detail);
    this.line = line;
  }
}

/** Reads a rules file's text, a character for each byte. Never throws what it knows. */
export function readRules(text: string): RulesText {
  return new RulesReading().read(text);
}

class RulesReading {
  private readonly rules: RuleItem[] = [];
  private readonly kinds = new Set<ItemKind>();
  private loaded = true;
  /** Of the document that is read now: its rules, and what stands behind `tags` in its items. */
  private documentRules: RuleItem[] = [];
  private tagValues = new Set<Node>();

  read(text: string): RulesText {
    const finding = this.findingIn(text);
    const { rules, kinds } = this;
    const loadsTwice =
      finding === undefined && [...kinds].every((kind) => kind === 'rule' || kind === 'definition');
    return { rules, loadsTwice, finding };
  }

  private findingIn(text: string): FileFinding | undefined {
    try {
      const keysAt = { level: 1, keys: keysWithValues };
      const reader = new Reader(text, { keysAt, onItem: (item) => this.readItem(item) });
      for (;;) {
        this.documentRules = [];
        this.tagValues = new Set();
        const document = reader.nextDocument();
        if (document === undefined) return undefined;
        this.endDocument(document);
      }
    } catch (error) {
      // What Falco does not read cannot be wrong.
      if (!this.loaded && !(error instanceof TooLarge)) return undefined;
      this.rules.push(...this.documentRules);
      return findingOf(error);
    }
  }

  private endDocument(document: ReadDocument): void {
    const { root } = document;
    if (root.is === 'null') this.loaded = false;
    else if (root.is !== 'sequence') throw new Refused(root, 'the document is not a sequence');
    const shared = listsUsedElsewhere(document, this.tagValues);
    for (const rule of this.documentRules)
      rule.shared = rule.tags !== undefined && shared.has(rule.tags.list);
    this.rules.push(...this.documentRules);
  }

  private readItem(item: Node): void {
    const map = resolve(item);
    if (map.is === 'null') return;
    if (map.is !== 'mapping') throw new Refused(item, 'an item is not a mapping');
    const value = valueUnder(map, 'tags');
    if (value !== undefined) this.tagValues.add(value);
    const kind = kindOfItem(map);
    this.kinds.add(kind);
    if (kind !== 'rule' && kind !== 'tags_replaced') return;
    if (value === undefined && kind === 'tags_replaced')
      throw new Refused(map, 'override names tags, but the item has none');
    const tags = value === undefined ? undefined : { value, list: tagList(value) };
    this.documentRules.push({ map, tags, loaded: this.loaded, shared: false });
  }
}

function findingOf(error: unknown): FileFinding {
  if (error instanceof TooLarge)
    return { code: 'rules_file_too_large_to_tag', line: 1, detail: 'one item or what anchors name' };
  const code =
    error instanceof NotYaml
      ? 'rules_file_not_parsed'
      : error instanceof Refused
        ? 'rules_file_refused'
        : undefined;
  if (code !== undefined && (error instanceof NotYaml || error instanceof Refused))
    return { code, line: error.line, detail: error.message };
  throw error;
}

/** Falco takes only a list of texts (FACTS 1.10). */
function tagList(value: Node): SequenceNode {
  const list = resolve(value);
  if (list.is !== 'sequence') throw new Refused(value, 'tags is not a sequence');
  const wrong = list.items.find((tag) => resolve(tag).is !== 'scalar');
  if (wrong !== undefined) throw new Refused(wrong, 'a tag is not a scalar');
  return list;
}

/** Lists reachable as anything but `tags` of an item: by where they stand, or by an alias. */
function listsUsedElsewhere(
  { aliases, anchored }: ReadDocument,
  tagValues: ReadonlySet<Node>,
): ReadonlySet<TargetNode> {
  const found = new Set<TargetNode>(
    anchored.filter((node) => node.is === 'sequence' && !tagValues.has(node)),
  );
  for (const alias of aliases) if (!tagValues.has(alias)) found.add(alias.target);
  return found;
}

/** The name of a rule, for people. */
export function nameOf({ map }: RuleItem): string {
  return textOf(valueUnder(map, 'rule'));
}
