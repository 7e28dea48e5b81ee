import {
  type Alias,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  type Node as OwnNode,
  Scalar,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
import { isRecord } from '../injection/record.ts';
import { alignedItems, same } from './align.ts';
import { type Collection, type Entry, entriesOf, trailingComma } from './entries.ts';
import { type Addition, type FlowNotation, yamlFlow } from './flow-notation.ts';
import { isEmpty, isMergeKey, type Node, type ReadDocument } from './kubernetes-yaml.ts';
import {
  type BlockStyle,
  blockLines,
  inlineText,
  itemOf,
  nodeOfData,
  pairOf,
  rebuilt,
} from './print-node.ts';
import { CannotEdit, TextEdits } from './text-edits.ts';

/**
 * Brings a document to the wanted data by edits in its text: all that does not change keeps its spelling.
 *
 * Entries are added behind the line of the last one, at its indentation; where another place shares a node by an
 * alias and must not change with it, the alias gives way to what it stood for.
 *
 * @param text what `read` was read from
 * @returns the new text
 * @throws CannotEdit where the text has no place for the change
 */
export function editedText(
  text: string,
  read: ReadDocument,
  wanted: unknown,
  flow: FlowNotation = yamlFlow,
): string {
  const editor = new Editor(text, read, flow);
  editor.change(read.document.contents, wanted, undefined);
  return editor.finish();
}

function isBlockScalar(node: Node): boolean {
  return isScalar(node) && (node.type === Scalar.BLOCK_LITERAL || node.type === Scalar.BLOCK_FOLDED);
}

/** Whether a document's lists in block style stand deeper than their keys; so they do if it has none. */
function blockStyleOf(node: Node): BlockStyle {
  return { indentSeq: listsAreDeeper(node) ?? true };
}

function listsAreDeeper(node: Node): boolean | undefined {
  if (!isCollection(node) || node.flow === true) return undefined;
  for (const item of node.items) {
    const value = isMap(node) && 'value' in item ? item.value : item;
    // Safe: items of parsed collections are parsed nodes, and their values too.
    const child = value as Node;
    if (isMap(node) && isSeq(child) && child.flow !== true) {
      const [outer, inner] = [node.srcToken, child.srcToken];
      if (outer && inner && 'indent' in outer && 'indent' in inner) return inner.indent > outer.indent;
    }
    const found = listsAreDeeper(child);
    if (found !== undefined) return found;
  }
  return undefined;
}

class Editor {
  readonly #text: string;
  readonly #source: string;
  readonly #eol: string;
  readonly #read: ReadDocument;
  readonly #style: BlockStyle;
  readonly #flow: FlowNotation;
  readonly #edits = new TextEdits();
  /** What each node with an anchor stands for in the end. */
  readonly #anchored = new Map<OwnNode, unknown>();
  readonly #aliases: { readonly alias: Alias.Parsed; readonly wanted: unknown }[] = [];
  readonly #hasAnchors: boolean;

  constructor(text: string, read: ReadDocument, flow: FlowNotation) {
    this.#flow = flow;
    this.#text = text;
    this.#source = read.source;
    this.#eol = /\r?\n/.exec(text)?.[0] ?? '\n';
    this.#read = read;
    this.#style = blockStyleOf(read.document.contents);
    this.#hasAnchors = text.includes('&');
  }

  finish(): string {
    for (const { alias, wanted } of this.#aliases) {
      const target = alias.resolve(this.#read.document);
      if (target !== undefined && this.#anchored.has(target) && same(this.#anchored.get(target), wanted))
        continue;
      this.#edits.replace(alias.range[0], alias.range[1], inlineText(rebuilt(this.#read, alias, wanted)));
    }
    return this.#edits.applyTo(this.#text, this.#read.offsetInText);
  }

  /** @param entry where the node stands in a collection; `undefined` for the document itself */
  change(node: Node, wanted: unknown, entry: Entry | undefined): void {
    if (isAlias(node)) {
      this.#aliases.push({ alias: node, wanted });
      return;
    }
    if (node?.anchor !== undefined) this.#anchored.set(node, wanted);
    const isSame = same(this.#read.dataOf(node), wanted);
    if (isSame && !this.#hasAnchors) return;
    if (isMap(node) && isRecord(wanted)) this.#changeMap(node, wanted);
    else if (isSeq(node) && Array.isArray(wanted)) this.#changeSeq(node, wanted);
    else if (!isSame) this.#replace(node, wanted, entry);
  }

  #changeMap(map: YAMLMap.Parsed, wanted: Record<string, unknown>): void {
    const read = this.#read;
    // Safe: what a map stands for is a record.
    const before = read.dataOf(map) as Record<string, unknown>;
    const names = map.items.map(({ key }) => (isMergeKey(key) ? undefined : read.nameOf(key)));
    const gone = new Set<number>();
    map.items.forEach(({ value }, at) => {
      const name = names[at];
      const counts = name !== undefined && names.lastIndexOf(name) === at;
      if (name !== undefined && wanted[name] === undefined) gone.add(at);
      else if (counts && !same(before[name], wanted[name])) this.#changeField(map, at, wanted[name]);
      // Also what does not count, or is merged elsewhere: it goes on meaning what it means.
      else this.change(value, read.dataOf(value), undefined);
    });
    const lost = Object.keys(before).some((name) => wanted[name] === undefined && !names.includes(name));
    if (lost) throw new CannotEdit('a field to take away comes by a merge key');
    this.#take(map, gone, wanted);
    const news = Object.entries(wanted).filter(
      ([name, value]) => value !== undefined && !names.includes(name) && !same(before[name], value),
    );
    const last = map.items.length - 1;
    this.#add(
      map,
      last,
      gone,
      news.map(([key, value]) => ({ key, value, node: this.#nodeFor(map, key, value) })),
    );
  }

  /** A field that was merged in is written out with the spelling that it had. */
  #nodeFor(map: YAMLMap.Parsed, key: string, value: unknown): OwnNode {
    const merged = this.#read.nodeOf(map, key);
    return merged === undefined ? nodeOfData(value) : rebuilt(this.#read, merged, value);
  }

  #changeField(map: YAMLMap.Parsed, at: number, wanted: unknown): void {
    const value = map.items[at]?.value ?? null;
    const entry = entriesOf(map)[at];
    if (entry === undefined) throw new CannotEdit('a key that is nowhere');
    const becomesCollection = (Array.isArray(wanted) || isRecord(wanted)) && Object.keys(wanted).length > 0;
    const isNothing = this.#read.dataOf(value) === null || (isCollection(value) && value.items.length === 0);
    if (map.flow !== true && becomesCollection && isNothing && this.#isOnOneLine(entry)) {
      this.#fillBelow(map, entry, value, wanted);
    } else if (isCollection(value) && value.flow !== true && !becomesCollection && Array.isArray(wanted)) {
      this.#empty(value, entry);
    } else this.change(value, wanted, entry);
  }

  #isOnOneLine({ start, end }: Entry): boolean {
    return !this.#source.slice(start, end).includes('\n');
  }

  /** `labels:`, `initContainers: []`: the words for nothing go, and what is there now stands in lines below. */
  #fillBelow(map: YAMLMap.Parsed, entry: Entry, value: Node, wanted: unknown): void {
    if (value !== null && !isEmpty(value)) {
      const blanks = /[ \t]*$/.exec(this.#source.slice(entry.valueAt, value.range[0]))?.[0].length ?? 0;
      this.#edits.remove(value.range[0] - blanks, value.range[1]);
    }
    const deeper = isRecord(wanted) || this.#style.indentSeq ? 2 : 0;
    const column = this.#columnOf(map) + deeper;
    this.#putLines(this.#lineEnd(entry.end), blockLines(nodeOfData(wanted), this.#style), column);
  }

  /** A list in lines whose last item goes. */
  #empty(value: Collection, { colonEnd }: Entry): void {
    const entries = entriesOf(value);
    const [first, last] = [entries[0], entries.at(-1)];
    if (
      first === undefined ||
      last === undefined ||
      colonEnd === undefined ||
      !this.#isFirstInLine(first.start)
    )
      throw new CannotEdit('a list to empty that is not in lines of its own');
    this.#edits.insert(colonEnd, isSeq(value) ? ' []' : ' {}');
    this.#edits.remove(this.#lineStart(first.start), this.#lineEnd(last.end));
  }

  #changeSeq(seq: YAMLSeq.Parsed, wanted: readonly unknown[]): void {
    const before = seq.items.map((item) => this.#read.dataOf(item));
    const isChanged = !same(before, wanted);
    const entries = isChanged ? entriesOf(seq) : [];
    const steps = alignedItems(before, wanted);
    const gone = new Set(
      steps.flatMap(({ from, to }) => (from !== undefined && to === undefined ? [from] : [])),
    );
    this.#take(seq, gone, wanted);
    let last = -1;
    let news: Addition[] = [];
    for (const { from, to } of steps) {
      if (from === undefined) {
        if (to !== undefined) news.push({ value: to.value, node: nodeOfData(to.value) });
        continue;
      }
      this.#add(seq, last, gone, news);
      news = [];
      last = from;
      const item = seq.items[from];
      if (to !== undefined && item !== undefined) this.change(item, to.value, entries[from]);
    }
    this.#add(seq, last, gone, news);
  }

  /** Puts entries in behind the one at a place, which itself may be one that goes. */
  #add(collection: Collection, behind: number, gone: ReadonlySet<number>, news: readonly Addition[]): void {
    if (news.length === 0) return;
    if (collection.flow === true) this.#addInFlow(collection, behind, gone, news);
    else this.#addLines(collection, behind, news);
  }

  #addLines(collection: Collection, behind: number, news: readonly Addition[]): void {
    const entry = entriesOf(collection)[behind];
    if (entry === undefined) throw new CannotEdit('no entry to stand behind');
    const column = this.#columnOf(collection);
    const lines = news.flatMap(({ key, node }) =>
      blockLines(key === undefined ? itemOf(node) : pairOf(key, node), this.#style),
    );
    this.#putLines(this.#lineEnd(entry.end), lines, column);
  }

  #addInFlow(
    collection: Collection,
    behind: number,
    gone: ReadonlySet<number>,
    news: readonly Addition[],
  ): void {
    const entries = entriesOf(collection);
    if (gone.size === entries.length) {
      this.#edits.insert(
        collection.range[0] + 1,
        this.#flow.filled(news, this.#indentAt(collection.range[0])),
      );
      return;
    }
    const entry = entries[behind];
    const comma = behind === entries.length - 1 ? trailingComma(collection) : undefined;
    if (entry === undefined) throw new CannotEdit('no entry to stand behind');
    const indent = this.#isFirstInLine(entry.start) ? this.#indentAt(entry.start) : undefined;
    const next = entries[1];
    const gap = next === undefined ? undefined : this.#source.slice(next.start - 1, next.start);
    const between = indent === undefined ? this.#flow.between(gap) : this.#eol + indent;
    const joined = news.map((one) => between + this.#flow.print(one, indent)).join(',');
    if (comma !== undefined) this.#edits.insert(comma, joined);
    else if (indent === undefined) this.#edits.insert(entry.end, `,${joined}`);
    else {
      // A comment behind the entry stays with it.
      this.#edits.insert(entry.end, ',');
      this.#edits.insert(this.#commentEnd(entry.end), joined);
    }
  }

  #commentEnd(at: number): number {
    const comment = /^[ \t]+#[^\r\n]*/.exec(this.#source.slice(at, this.#lineEnd(at)))?.[0] ?? '';
    return at + comment.length;
  }

  /** What the line begins with, in the text as it was given. */
  #indentAt(at: number): string {
    const place = this.#read.offsetInText(at);
    return /(?:^|[\r\n])([ \t]*)[^\r\n]*$/.exec(this.#text.slice(0, place))?.[1] ?? '';
  }

  #take(collection: Collection, gone: ReadonlySet<number>, wanted: object): void {
    if (gone.size === 0) return;
    const entries = entriesOf(collection);
    if (collection.flow === true) {
      this.#takeFromFlow(collection, entries, gone);
      return;
    }
    const isEmptied = gone.size === entries.length && Object.keys(wanted).length === 0;
    if (isEmptied) throw new CannotEdit('nothing is left of a collection');
    entries.forEach((entry, at) => {
      if (!gone.has(at)) return;
      const next = entries[at + 1];
      if (this.#isFirstInLine(entry.start)) {
        this.#edits.remove(this.#lineStart(entry.start), this.#lineEnd(entry.end));
      } else if (next !== undefined) this.#edits.remove(entry.start, next.start);
      else throw new CannotEdit('an entry to take away shares its line');
    });
  }

  #takeFromFlow(collection: Collection, entries: readonly Entry[], gone: ReadonlySet<number>): void {
    if (gone.size === entries.length) {
      this.#edits.remove(collection.range[0] + 1, collection.range[1] - 1);
      return;
    }
    let kept: Entry | undefined;
    entries.forEach((entry, at) => {
      const next = entries[at + 1];
      if (!gone.has(at)) kept = entry;
      else if (kept !== undefined) this.#edits.remove(entries[at - 1]?.end ?? kept.end, entry.end);
      else if (next !== undefined) this.#edits.remove(entry.start, next.start);
    });
  }

  #replace(node: Node, wanted: unknown, entry: Entry | undefined): void {
    const text = this.#flow.print({ value: wanted, node: nodeOfData(wanted) }, undefined);
    if (node === null || isEmpty(node)) {
      if (entry === undefined) throw new CannotEdit('nothing to replace');
      const colon = entry.colonEnd === undefined && this.#source[entry.start] !== '-' ? ':' : '';
      this.#edits.insert(entry.valueAt, `${colon} ${text}`);
      return;
    }
    if (isCollection(node) && node.flow !== true) throw new CannotEdit('a block that becomes something else');
    this.#edits.replace(node.range[0], node.range[1], isBlockScalar(node) ? `${text}${this.#eol}` : text);
  }

  #putLines(at: number, lines: readonly string[], column: number): void {
    const indented = lines.map((line) => (line === '' ? '' : ' '.repeat(column) + line));
    const isCut = at > 0 && this.#source[at - 1] !== '\n';
    const block = indented.join(this.#eol);
    this.#edits.insert(at, isCut ? this.#eol + block : block + this.#eol);
  }

  #columnOf(collection: Collection): number {
    const [first] = entriesOf(collection);
    if (first === undefined) throw new CannotEdit('no entry to stand below');
    return first.start - this.#lineStart(first.start);
  }

  #lineStart(at: number): number {
    return this.#source.lastIndexOf('\n', at - 1) + 1;
  }

  #isFirstInLine(at: number): boolean {
    return /^ *$/.test(this.#source.slice(this.#lineStart(at), at));
  }

  /** Behind the line that an entry ends in; a block scalar ends behind its line already. */
  #lineEnd(at: number): number {
    if (at > 0 && this.#source[at - 1] === '\n') return at;
    const end = this.#source.indexOf('\n', at);
    return end === -1 ? this.#source.length : end + 1;
  }
}
