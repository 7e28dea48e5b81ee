/**
 * Adds tags to the rules of one rules file by editing its text: every byte that is not an added tag stays.
 *
 * The parser only tells where each tag list ends. Where a tag goes:
 *
 *     tags: [a, b]      ->  tags: [a, b, staging]
 *     tags: []          ->  tags: [staging]
 *     tags:                 tags:
 *       - a             ->    - a
 *                             - staging
 *     (no tags)         ->  a last line `tags: [staging]` in the rule's item, so that no line of the rule moves
 *     {rule: X, …}      ->  {rule: X, …, tags: [staging]}
 *     tags: *elsewhere  ->  the list written out, if adding to it would change more than tags
 */
import { isSeq, type ParsedNode, visit, type YAMLMap, type YAMLSeq } from 'yaml';
import type { ReasonCode } from '../../reasons/reasons.ts';
import {
  isAlias,
  isMap,
  isNull,
  isScalar,
  keyName,
  lineAt,
  type Node,
  parseYaml,
  resolve,
  textOf,
  type YamlDocument,
} from '../../yaml/falco-yaml.ts';
import { type Change, onlyTagsAdded } from './only-tags-added.ts';
import { type ItemKind, kindOfItem } from './rules-items.ts';

/** What a user should know of one file. */
export interface FileProblem {
  readonly code: ReasonCode;
  /** Line in the file, from 1. */
  readonly line: number;
  readonly detail: string;
}

export interface TaggedFile {
  /** The text to publish: the same as what came in wherever nothing could be added safely. */
  readonly text: string;
  /** Rules that Falco would load from this file and that carry tags: full definitions and replaced tags. */
  readonly rules: number;
  /** How many of them got at least one tag now. */
  readonly tagged: number;
  /** How many of them had every tag before. */
  readonly alreadyTagged: number;
  /** How many of them carry not every tag now, as far as can be told. */
  readonly untagged: number;
  readonly problems: readonly FileProblem[];
  /** Every item is a full definition: Falco may load the file again after itself (DESIGN, Falco pods 1). */
  readonly loadsTwice: boolean;
}

/** Text to put in at an offset, in place of `length` characters. */
interface Edit {
  readonly at: number;
  readonly length: number;
  readonly text: string;
}

/** Something about the file that makes Falco refuse it: better not to touch it. */
class Refused {
  readonly node: Node;
  readonly detail: string;
  constructor(node: Node, detail: string) {
    this.node = node;
    this.detail = detail;
  }
}

interface RuleItem {
  readonly map: YAMLMap.Parsed;
  readonly document: YamlDocument;
  /** False behind an empty document, where Falco no longer reads (FACTS 1.13). */
  readonly loaded: boolean;
}

/**
 * Tags a rules file's text. `tags` are those that each rule must have, in order; none may be empty or hold
 * control characters. Never throws.
 */
export function tagRulesFile(text: string, tags: readonly string[]): TaggedFile {
  try {
    return new Tagging(text, tags).result();
  } catch (error) {
    // Walking a tree recurses as parsing does; whatever else goes wrong, Falco must still get its file.
    const detail = error instanceof RangeError ? 'nested too deeply' : String(error);
    return untouched(text, [{ code: 'rules_file_not_parsed', line: 1, detail }]);
  }
}

function untouched(text: string, problems: FileProblem[], rules = 0, loadsTwice = false): TaggedFile {
  return { text, rules, tagged: 0, alreadyTagged: 0, untagged: rules, problems, loadsTwice };
}

class Tagging {
  private readonly original: string;
  private readonly mark: string;
  private readonly text: string;
  private readonly tags: readonly string[];
  private readonly edits: Edit[] = [];
  /** What each edit does to the tree: the proof is made from it. */
  private readonly changes = new Map<ParsedNode, Change>();
  private readonly problems: FileProblem[] = [];
  private readonly foreign = new Map<YamlDocument, ReadonlySet<ParsedNode>>();
  private rules = 0;
  private tagged = 0;
  private alreadyTagged = 0;

  constructor(original: string, tags: readonly string[]) {
    this.original = original;
    // The parser would count the byte order mark as part of the first line's indentation.
    this.mark = original.startsWith('\uFEFF') ? '\uFEFF' : '';
    this.text = original.slice(this.mark.length);
    this.tags = tags;
  }

  result(): TaggedFile {
    const source = parseYaml(this.text);
    if (source.is === 'broken') {
      return untouched(this.original, [
        { code: 'rules_file_not_parsed', line: source.line, detail: source.why },
      ]);
    }
    const kinds: ItemKind[] = [];
    const refused = this.readItems(source.documents, kinds);
    const loadsTwice =
      refused === undefined && kinds.every((kind) => kind === 'rule' || kind === 'definition');
    if (refused !== undefined) {
      this.report('rules_file_refused', refused.node, refused.detail);
      return untouched(this.original, this.problems, this.rules);
    }
    return this.published(source.documents, loadsTwice);
  }

  private published(documents: readonly YamlDocument[], loadsTwice: boolean): TaggedFile {
    const { problems, rules, tagged, alreadyTagged } = this;
    const text = this.mark + applyEdits(this.text, this.edits);
    if (this.edits.length > 0 && !this.proven(documents, text)) {
      problems.push({ code: 'rules_file_edit_unproven', line: 1, detail: 'the text is left as it was' });
      return untouched(this.original, problems, rules, loadsTwice);
    }
    return {
      ...{ text, rules, tagged, alreadyTagged, untagged: rules - tagged - alreadyTagged },
      ...{ problems, loadsTwice },
    };
  }

  /** Reads the edited text again: it must differ by exactly the tags that were meant. */
  private proven(documents: readonly YamlDocument[], text: string): boolean {
    const again = parseYaml(text.slice(this.mark.length));
    return again.is === 'documents' && onlyTagsAdded(documents, again.documents, this.changes);
  }

  private readItems(documents: readonly YamlDocument[], kinds: ItemKind[]): Refused | undefined {
    let loaded = true;
    for (const document of documents) {
      const root = document.contents;
      if (isNull(root)) {
        loaded = false;
        continue;
      }
      const refused = isSeq(root) ? this.readDocument(root, document, loaded, kinds) : notAList(root);
      if (refused !== undefined && loaded) return refused;
    }
    return undefined;
  }

  private readDocument(
    root: YAMLSeq.Parsed,
    document: YamlDocument,
    loaded: boolean,
    kinds: ItemKind[],
  ): Refused | undefined {
    for (const node of root.items) {
      const map = resolve(node, document);
      if (isNull(map)) continue;
      if (map === null || !isMap(map)) return new Refused(node, 'an item is not a mapping');
      const kind = kindOfItem(map, document);
      kinds.push(kind);
      if (kind !== 'rule' && kind !== 'tags_replaced') continue;
      const refused = this.tagItem({ map, document, loaded }, kind);
      if (refused !== undefined) return refused;
    }
    return undefined;
  }

  private tagItem(item: RuleItem, kind: ItemKind): Refused | undefined {
    const { map, document } = item;
    if (item.loaded) this.rules++;
    const pair = map.items.find(({ key }) => keyName(key, document) === 'tags');
    if (pair === undefined) {
      if (kind === 'tags_replaced') return new Refused(map, 'override of tags without tags');
      this.addKey(item);
      return undefined;
    }
    const list = resolve(pair.value, document);
    const refused = notATagList(list, document);
    if (refused !== undefined || list === null || !isSeq(list)) return refused;
    this.addToList(item, pair.value, list);
    return undefined;
  }

  private addToList(item: RuleItem, value: Node, list: YAMLSeq.Parsed): void {
    const had = list.items.map((tag) => textOf(resolve(tag, item.document)));
    const missing = this.tags.filter((tag) => !had.includes(tag));
    if (missing.length === 0) {
      if (item.loaded) this.alreadyTagged++;
      return;
    }
    // An alias of a list that is tagged already has its tags from there.
    if (this.changes.has(list)) this.count(item);
    else if (!this.foreignLists(item.document).has(list)) this.growList(item, list, missing);
    else if (value !== null && isAlias(value)) {
      this.change(
        item,
        value,
        { is: 'written_out', tags: [...had, ...missing] },
        {
          at: value.range[0],
          length: value.range[1] - value.range[0],
          text: `[${[...had, ...missing].map((tag) => tagText(tag)).join(', ')}]`,
        },
      );
    } else this.report('rules_tags_shared', value, nameOf(item));
  }

  private growList(item: RuleItem, list: YAMLSeq.Parsed, missing: readonly string[]): void {
    const edit = list.flow ? this.growFlow(list, missing) : this.growBlock(list, missing);
    if (edit === undefined) this.report('rules_rule_not_tagged', list, nameOf(item));
    else this.change(item, list, { is: 'grown', tags: missing }, edit);
  }

  private growFlow(list: YAMLSeq.Parsed, missing: readonly string[]): Edit {
    const last = list.items.at(-1);
    const quoted = isScalar(last) && last.type === 'QUOTE_DOUBLE';
    const texts = missing.map((tag) => tagText(tag, quoted)).join(', ');
    if (last === undefined) return this.insert(this.openBracket(list), texts);
    return this.insert(last.range[1], `, ${texts}`);
  }

  /** Offset behind the `[` or `{`: an anchor or a tag may stand in front of it. */
  private openBracket(collection: YAMLSeq.Parsed | YAMLMap.Parsed): number {
    return collection.range[0] + 1;
  }

  private growBlock(list: YAMLSeq.Parsed, missing: readonly string[]): Edit | undefined {
    const column = list.range[0] - this.lineStart(list.range[0]);
    return this.addLines(
      endOfContent(list, this.text),
      column,
      missing.map((tag) => `- ${tagText(tag)}`),
    );
  }

  private addKey(item: RuleItem): void {
    const { map } = item;
    const flow = `[${this.tags.map((tag) => tagText(tag)).join(', ')}]`;
    const edit = map.flow ? this.addFlowKey(map, flow) : this.addBlockKey(map, flow);
    if (edit === undefined) this.report('rules_rule_not_tagged', map, nameOf(item));
    else this.change(item, map, { is: 'key_added', tags: this.tags }, edit);
  }

  private addFlowKey(map: YAMLMap.Parsed, flow: string): Edit {
    const last = map.items.at(-1)?.value ?? null;
    const first = map.items[0]?.key;
    const key = first !== undefined && isScalar(first) && first.type === 'QUOTE_DOUBLE' ? '"tags"' : 'tags';
    if (last !== null && last.range[1] > last.range[0])
      return this.insert(last.range[1], `, ${key}: ${flow}`);
    return this.insert(this.openBracket(map), `${key}: ${flow}, `);
  }

  private addBlockKey(map: YAMLMap.Parsed, flow: string): Edit | undefined {
    const column = map.range[0] - this.lineStart(map.range[0]);
    return this.addLines(endOfContent(map, this.text), column, [`tags: ${flow}`]);
  }

  /** New lines behind the line that `end` is in; undefined where something else follows on that line. */
  private addLines(end: number, column: number, lines: readonly string[]): Edit | undefined {
    const indented = lines.map((line) => ' '.repeat(column) + line);
    if (end > 0 && this.text.charAt(end - 1) === '\n') {
      // Behind a block scalar, whose last line break is its own.
      const eol = this.lineBreak(end - 1);
      return this.insert(end, indented.map((line) => line + eol).join(''));
    }
    const rest = /^[ \t]*(?:(?<=[ \t])#[^\r\n]*)?(?=[\r\n]|$)/.exec(this.restOfLine(end));
    if (rest === null) return undefined;
    const at = end + rest[0].length;
    const eol = this.lineBreak(this.text.indexOf('\n', at));
    return this.insert(at, indented.map((line) => eol + line).join(''));
  }

  private restOfLine(from: number): string {
    const end = this.text.indexOf('\n', from);
    return this.text.slice(from, end === -1 ? undefined : end + 1);
  }

  private lineStart(offset: number): number {
    return this.text.lastIndexOf('\n', offset - 1) + 1;
  }

  /** The kind of line break at `at`, or the file's first one where there is none. */
  private lineBreak(at: number): string {
    const found = at === -1 ? this.text.indexOf('\n') : at;
    return found > 0 && this.text.charAt(found - 1) === '\r' ? '\r\n' : '\n';
  }

  private insert(at: number, text: string): Edit {
    return { at, length: 0, text };
  }

  private change(item: RuleItem, node: ParsedNode, change: Change, edit: Edit): void {
    // The same item may be loaded again by an alias: one edit serves both.
    if (!this.changes.has(node)) {
      this.edits.push(edit);
      this.changes.set(node, change);
    }
    this.count(item);
  }

  private count(item: RuleItem): void {
    if (item.loaded) this.tagged++;
  }

  private report(code: ReasonCode, node: Node, detail: string): void {
    this.problems.push({ code, line: lineAt(this.text, node?.range?.[0] ?? 0), detail });
  }

  /** Lists that something else than an item's tags stands for or points to: growing them would change that. */
  private foreignLists(document: YamlDocument): ReadonlySet<ParsedNode> {
    const known = this.foreign.get(document);
    if (known !== undefined) return known;
    const found = listsUsedElsewhere(document);
    this.foreign.set(document, found);
    return found;
  }
}

function notAList(root: Node): Refused {
  return new Refused(root, 'the document is not a list');
}

/** Falco takes only a list of scalars (FACTS 1.10). */
function notATagList(list: Node, document: YamlDocument): Refused | undefined {
  if (list === null || !isSeq(list)) return new Refused(list, 'tags is not a list');
  for (const tag of list.items) {
    const resolved = resolve(tag, document);
    if (isNull(resolved) || !isScalar(resolved)) return new Refused(tag, 'a tag is not a text');
  }
  return undefined;
}

/** Lists reachable as anything but `tags` of an item at the top: by where they stand, or by an alias. */
function listsUsedElsewhere(document: YamlDocument): ReadonlySet<ParsedNode> {
  const found = new Set<ParsedNode>();
  const tagValues = new Set<unknown>();
  const root = document.contents;
  for (const node of isSeq(root) ? root.items : []) {
    const item = resolve(node, document);
    if (item === null || !isMap(item)) continue;
    for (const { key, value } of item.items) if (keyName(key, document) === 'tags') tagValues.add(value);
  }
  visit(document, {
    Seq(_, list) {
      // Safe: every node of a parsed document is a parsed one.
      if (list !== root && list.anchor !== undefined && !tagValues.has(list)) found.add(list as ParsedNode);
    },
    Alias(_, alias) {
      const target = alias.resolve(document);
      // Safe: as above.
      if (isSeq(target) && !tagValues.has(alias)) found.add(target as ParsedNode);
    },
  });
  return found;
}

/** Offset behind the last character that belongs to a node: comments and blank lines behind it do not. */
function endOfContent(node: ParsedNode, text: string): number {
  if (isSeq(node) && !node.flow) return endOfContent(node.items.at(-1) ?? node, text);
  if (!isMap(node) || node.flow) return node.range[1];
  const pair = node.items.at(-1);
  const value = pair?.value ?? null;
  if (pair === undefined || (value !== null && value.range[1] > value.range[0])) {
    return value === null ? node.range[1] : endOfContent(value, text);
  }
  // Nothing behind the key but its colon.
  const colon = /^[ \t]*:/.exec(text.slice(pair.key.range[1], pair.key.range[1] + 80));
  return pair.key.range[1] + (colon?.[0].length ?? 0);
}

function nameOf(item: RuleItem): string {
  const pair = item.map.items.find(({ key }) => keyName(key, item.document) === 'rule');
  return `rule ${textOf(resolve(pair?.value ?? null, item.document))}`;
}

/** A tag as YAML: plain where every reader takes it for a text without structure, otherwise in double quotes. */
function tagText(tag: string, quoted = false): string {
  const plain = /^[A-Za-z0-9_][\w.-]*$/.test(tag) && !/^(?:null|Null|NULL)$/.test(tag);
  return plain && !quoted ? tag : JSON.stringify(tag);
}

function applyEdits(text: string, edits: readonly Edit[]): string {
  let result = '';
  let from = 0;
  for (const edit of [...edits].sort((a, b) => a.at - b.at)) {
    result += text.slice(from, edit.at) + edit.text;
    from = edit.at + edit.length;
  }
  return result + text.slice(from);
}
