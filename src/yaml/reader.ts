/** Trees from tokens: the documents of a text as Falco's parser reads them. */
import { NotYaml } from './cursor.ts';
import {
  type AliasNode,
  keyName,
  type MappingNode,
  type Node,
  type NullNode,
  type Pair,
  type ScalarNode,
  type SequenceNode,
  type TargetNode,
} from './nodes.ts';
import type { Token, TokenKind } from './token.ts';
import { Tokens } from './tokens.ts';

/** What is kept of a text; the rest is read, but costs no memory. */
export interface Wanted {
  /** Only the values under these keys of the mappings so deep: 0 is a document, 1 an item of its list. */
  readonly keysAt?: { readonly level: number; readonly keys: ReadonlySet<string> };
  /** Takes each item of a document's list, which then is not kept. */
  readonly onItem?: (item: Node) => void;
}

export interface ReadDocument {
  readonly root: Node;
  readonly aliases: readonly AliasNode[];
  readonly anchored: readonly TargetNode[];
}

/** More was wanted at once than memory is meant for. */
export class TooLarge extends Error {}

/** Items and pairs, of some 100 to 300 bytes each. */
export const mostNodes = 100_000;

/** Falco's parser gives up there. */
const deepest = 499;

type Building<Shape> = { -readonly [Key in keyof Shape]: Shape[Key] };

const scalarStyles: ReadonlyMap<TokenKind, ScalarNode['style']> = new Map(
  (['plain', 'single_quoted', 'double_quoted', 'block_scalar'] as const).map((kind) => [kind, kind]),
);

/** Words that Falco's parser takes for null. */
const nulls: ReadonlySet<string> = new Set(['', '~', 'null', 'Null', 'NULL']);

/** Where a node begins, and what stands before it. */
interface Start {
  readonly at: number;
  readonly line: number;
  readonly column: number;
  readonly token: number;
  readonly anchor: string | undefined;
}

export class Reader {
  private readonly tokens: Tokens;
  private readonly wanted: Wanted;
  private taken = 0;
  private end = 0;
  private open = false;
  private line = 1;
  private stuck = false;
  /** Kept in one item, or in a document with anchors. */
  private nodes = 0;
  /** Whether the collections that are open now are flow lists. */
  private readonly flowLists: boolean[] = [];
  private anchors = new Map<string, Building<TargetNode>>();
  private anchored: TargetNode[] = [];
  private aliases: AliasNode[] = [];
  private directives = new Set<string>();

  constructor(text: string, wanted: Wanted = {}) {
    this.tokens = new Tokens(text);
    this.wanted = wanted;
  }

  /**
   * The next document; undefined at the end.
   *
   * @throws NotYaml where Falco's parser refuses the text, TooLarge
   */
  nextDocument(): ReadDocument | undefined {
    if (this.stuck) return undefined;
    this.readDirectives();
    if (this.tokens.peek() === undefined) return undefined;
    const before = this.taken;
    this.anchors = new Map();
    this.anchored = [];
    this.aliases = [];
    this.nodes = 0;
    if (this.isNext('document_start')) this.take();
    const root = this.node(true, 0);
    while (this.isNext('document_end')) this.take();
    // What belongs to nothing is an empty document, now and again.
    this.stuck = this.taken === before;
    return { root, aliases: this.aliases, anchored: this.anchored };
  }

  // --- tokens -----------------------------------------------------------------------------------------------

  private isNext(kind: TokenKind): boolean {
    return this.tokens.peek()?.kind === kind;
  }

  private take(): Token | undefined {
    const token = this.tokens.next();
    if (token === undefined) return undefined;
    this.taken++;
    this.line = token.line;
    // Others are made up: ends of what indentation held open, keys.
    if (token.end > token.at) {
      this.end = token.end;
      this.open = token.open;
    }
    return token;
  }

  private refuse(why: string): NotYaml {
    return new NotYaml(why, this.tokens.peek()?.line ?? this.line);
  }

  // --- directives -------------------------------------------------------------------------------------------

  private readDirectives(): void {
    let isFirst = true;
    while (this.isNext('directive')) {
      if (isFirst) this.directives = new Set();
      isFirst = false;
      const [name = '', ...words] = this.tokens.peek()?.value.split(' ') ?? [];
      if (name === 'YAML' || name === 'TAG') this.checkDirective(name, words);
      this.take();
    }
  }

  private checkDirective(name: 'YAML' | 'TAG', words: readonly string[]): void {
    const what = name === 'YAML' ? name : `${name} ${words[0]}`;
    if (this.directives.has(what)) throw this.refuse(`duplicate directive %${what}`);
    this.directives.add(what);
    const version = /^([+-]?\d+)(?!\d).[+-]?\d+$/s.exec(words[0] ?? '')?.[1];
    const isRight = name === 'TAG' ? words.length === 2 : words.length === 1 && Number(version) <= 1;
    if (!isRight) throw this.refuse(`invalid directive %${name}`);
  }

  // --- nodes ------------------------------------------------------------------------------------------------

  private node(keep: boolean, level: number): Node {
    if (level >= deepest) throw this.refuse('nested too deeply');
    const first = this.tokens.peek();
    if (first === undefined) return this.nothing(undefined);
    if (first.kind === 'value') return this.map(this.startAt(first, undefined), 'compact', keep, level);
    if (first.kind === 'alias') return this.alias(first);
    const { anchor, isTagged } = this.properties();
    const token = this.tokens.peek();
    if (token === undefined) return this.registered(this.nothing(anchor));
    return this.content(this.startAt(first, anchor), token, isTagged, keep, level);
  }

  private content(start: Start, token: Token, isTagged: boolean, keep: boolean, level: number): Node {
    const style = scalarStyles.get(token.kind);
    if (style !== undefined) return this.scalar(start, token, style, isTagged);
    if (token.kind === 'block_sequence' || token.kind === 'flow_sequence') {
      return this.list(start, token.kind === 'block_sequence' ? 'block' : 'flow', keep, level);
    }
    if (token.kind === 'block_mapping' || token.kind === 'flow_mapping') {
      return this.map(start, token.kind === 'block_mapping' ? 'block' : 'flow', keep, level);
    }
    if (token.kind === 'key' && this.flowLists.at(-1) === true)
      return this.map(start, 'compact', keep, level);
    if (!isTagged) return this.registered(this.nothing(start.anchor));
    return this.registered({ ...this.placed(start), is: 'scalar', text: '', style: 'empty' });
  }

  private startAt({ at, line, column }: Token, anchor: string | undefined): Start {
    return { at, line, column, token: this.taken, anchor };
  }

  private placed<Begun extends Start>(start: Begun) {
    return { ...start, end: this.end, endToken: this.taken, open: this.open };
  }

  private registered<Made extends Building<TargetNode>>(node: Made): Made {
    if (node.anchor === undefined) return node;
    this.anchors.set(node.anchor, node);
    this.anchored.push(node);
    return node;
  }

  private kept<Part>(parts: Part[]): Part[] {
    this.nodes++;
    if (this.nodes > mostNodes) throw new TooLarge();
    return parts;
  }

  /** No text at all: it stands behind what came before. */
  private nothing(anchor: string | undefined): NullNode {
    const { end, line, taken } = this;
    return {
      is: 'null',
      anchor,
      at: end,
      end,
      line,
      column: 0,
      token: taken,
      endToken: taken,
      open: this.open,
    };
  }

  private alias(token: Token): AliasNode {
    const start = this.startAt(token, undefined);
    const target = this.anchors.get(token.value);
    if (target === undefined) throw this.refuse(`undefined alias *${token.value}`);
    this.take();
    const node: AliasNode = { ...this.placed(start), is: 'alias', target };
    this.aliases.push(node);
    return node;
  }

  private properties(): { readonly anchor: string | undefined; readonly isTagged: boolean } {
    let anchor: string | undefined;
    let tag = '';
    for (let token = this.tokens.peek(); token !== undefined; token = this.tokens.peek()) {
      if (token.kind === 'tag' && tag !== '') throw this.refuse('a second tag');
      if (token.kind === 'anchor' && anchor !== undefined) throw this.refuse('a second anchor');
      if (token.kind === 'tag') tag = token.value;
      else if (token.kind === 'anchor') anchor = token.value;
      else break;
      this.take();
    }
    return { anchor, isTagged: tag !== '' && tag !== '!<?>' };
  }

  private scalar(start: Start, token: Token, style: ScalarNode['style'], isTagged: boolean): Node {
    this.take();
    if (style === 'plain' && !isTagged && nulls.has(token.value)) {
      return this.registered({ ...this.placed(start), is: 'null' });
    }
    return this.registered({ ...this.placed(start), is: 'scalar', text: token.value, style });
  }

  // --- lists ------------------------------------------------------------------------------------------------

  private list(start: Start, style: 'block' | 'flow', keep: boolean, level: number): Node {
    const items: Node[] = [];
    const list: Building<SequenceNode> = this.registered({
      ...this.placed(start),
      is: 'sequence',
      style,
      items,
    });
    // An alias may point to what is in it.
    const keepItems = keep || list.anchor !== undefined;
    this.take();
    this.flowLists.push(style === 'flow');
    const readItem = () => {
      const item = this.node(keepItems, level + 1);
      if (level === 0 && this.wanted.onItem !== undefined) this.handOver(item, this.wanted.onItem);
      else if (keepItems) this.kept(items).push(item);
    };
    if (style === 'flow') this.flowItems(readItem);
    else this.blockItems(readItem);
    this.flowLists.pop();
    return Object.assign(list, this.placed(start));
  }

  private handOver(item: Node, onItem: (item: Node) => void): void {
    onItem(item);
    if (this.anchored.length === 0) this.nodes = 0;
  }

  private blockItems(readItem: () => void): void {
    while (!this.isNext('block_sequence_end')) {
      if (!this.isNext('block_entry'))
        throw this.refuse('a sequence item is missing or indented differently');
      this.take();
      // Nothing behind the dash is null, which is no matter in lists of rules or files.
      readItem();
    }
    this.take();
  }

  private flowItems(readItem: () => void): void {
    while (!this.isNext('flow_sequence_end')) {
      readItem();
      if (this.isNext('flow_entry')) this.take();
      else if (!this.isNext('flow_sequence_end')) throw this.refuse('missing ] of a flow sequence');
    }
    this.take();
  }

  // --- mappings ---------------------------------------------------------------------------------------------

  private map(start: Start, style: MappingNode['style'], keep: boolean, level: number): Node {
    const pairs: Pair[] = [];
    const map: Building<MappingNode> = this.registered({
      ...this.placed(start),
      is: 'mapping',
      style,
      pairs,
    });
    const keepPairs = keep || map.anchor !== undefined;
    const readPair = () => {
      const pair = this.pair(keepPairs, level);
      if (keepPairs) this.kept(pairs).push(pair);
    };
    this.flowLists.push(false);
    if (style === 'compact') readPair();
    else if (style === 'flow') this.flowPairs(readPair);
    else this.blockPairs(readPair);
    this.flowLists.pop();
    return Object.assign(map, this.placed(start));
  }

  private pair(keep: boolean, level: number): Pair {
    let key: Node = this.nothing(undefined);
    if (this.isNext('key')) {
      this.take();
      key = this.node(keep, level + 1);
    }
    const hasColon = this.isNext('value');
    if (hasColon) this.take();
    const value = hasColon
      ? this.node(keep && this.isWanted(key, level), level + 1)
      : this.nothing(undefined);
    // Without its colon a key is one only because the text, or the document, ends there.
    if (!hasColon) this.open = true;
    return { key, value, end: this.end, endToken: this.taken, open: this.open };
  }

  private isWanted(key: Node, level: number): boolean {
    const { keysAt } = this.wanted;
    return keysAt === undefined || keysAt.level !== level || keysAt.keys.has(keyName(key) ?? '');
  }

  private blockPairs(readPair: () => void): void {
    this.take();
    while (!this.isNext('block_mapping_end')) {
      if (!this.isNext('key') && !this.isNext('value')) throw this.refuse('expected a key or a colon');
      readPair();
    }
    this.take();
  }

  private flowPairs(readPair: () => void): void {
    this.take();
    while (!this.isNext('flow_mapping_end')) {
      readPair();
      if (this.isNext('flow_entry')) this.take();
      else if (!this.isNext('flow_mapping_end')) throw this.refuse('missing } of a flow mapping');
    }
    this.take();
  }
}
