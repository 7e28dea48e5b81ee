/** The trees that a text is to Falco's parser: every scalar is a text, and an alias is what it stands for. */

/** Where a node stands. Nothing at all, where a value is missing, stands behind what came before it. */
export interface Place {
  /** Offsets of the begin and behind the end: comments and blank lines behind it do not belong to it. */
  readonly at: number;
  readonly end: number;
  /** From 1. */
  readonly line: number;
  readonly column: number;
  /** How many tokens of the text come before it (anchor and tag do), and how many before what follows it. */
  readonly token: number;
  readonly endToken: number;
  /** Nothing can be put behind it without changing it: it is as it is because the text ends there. */
  readonly open: boolean;
}

interface Common extends Place {
  readonly anchor: string | undefined;
}

export interface NullNode extends Common {
  readonly is: 'null';
}

export interface ScalarNode extends Common {
  readonly is: 'scalar';
  /** A character for each byte. */
  readonly text: string;
  readonly style: 'plain' | 'single_quoted' | 'double_quoted' | 'block_scalar' | 'empty';
}

export interface SequenceNode extends Common {
  readonly is: 'sequence';
  readonly style: 'block' | 'flow';
  /** Empty where nobody wanted to know. */
  readonly items: readonly Node[];
}

export interface MappingNode extends Common {
  readonly is: 'mapping';
  /** `compact`: a pair within a flow list, without brackets of its own. */
  readonly style: 'block' | 'flow' | 'compact';
  /** Empty where nobody wanted to know. */
  readonly pairs: readonly Pair[];
}

export interface AliasNode extends Common {
  readonly is: 'alias';
  readonly target: TargetNode;
}

export interface Pair {
  readonly key: Node;
  readonly value: Node;
  /** Offset behind it, the colon included. */
  readonly end: number;
  readonly endToken: number;
  readonly open: boolean;
}

/** What an alias can stand for. */
export type TargetNode = NullNode | ScalarNode | SequenceNode | MappingNode;

export type Node = TargetNode | AliasNode;

/** The node that an alias stands for; other nodes stand for themselves. */
export function resolve(node: Node): TargetNode {
  return node.is === 'alias' ? node.target : node;
}

/** The value under the first key of that name: undefined where there is no such key. */
export function valueUnder(map: MappingNode, name: string): Node | undefined {
  return map.pairs.find(({ key }) => keyName(key) === name)?.value;
}

/** A key's text; undefined for a key that is not a text. */
export function keyName(key: Node): string | undefined {
  const resolved = resolve(key);
  return resolved.is === 'scalar' ? resolved.text : undefined;
}

/** A scalar's text, a character for each byte; '' for what is none. */
export function textOf(node: Node | undefined): string {
  const resolved = node === undefined ? undefined : resolve(node);
  return resolved?.is === 'scalar' ? resolved.text : '';
}
