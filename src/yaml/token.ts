/** What Falco's parser cuts a text into, and what waits for a colon to be decided. */

export type TokenKind =
  | 'directive'
  | 'document_start'
  | 'document_end'
  | 'block_sequence'
  | 'block_mapping'
  | 'block_sequence_end'
  | 'block_mapping_end'
  | 'block_entry'
  | 'flow_sequence'
  | 'flow_mapping'
  | 'flow_sequence_end'
  | 'flow_mapping_end'
  | 'flow_entry'
  | 'key'
  | 'value'
  | 'anchor'
  | 'alias'
  | 'tag'
  | 'plain'
  | 'single_quoted'
  | 'double_quoted'
  | 'block_scalar';

export interface Token {
  readonly kind: TokenKind;
  /** What a scalar, an anchor, an alias, a tag or a directive says; '' for others. */
  readonly value: string;
  /** Offsets of the begin and behind the end; the same for tokens without text. */
  readonly at: number;
  readonly end: number;
  /** From 1. */
  readonly line: number;
  readonly column: number;
  /** Nothing can be put behind it without changing it: it goes on to the end of the text. */
  readonly open: boolean;
  sure: 'sure' | 'unsure' | 'void';
}

/** A collection that indentation holds open. */
export interface Indent {
  readonly column: number;
  readonly of: 'nothing' | 'sequence' | 'mapping';
  sure: Token['sure'];
}

/** What would be a key if a colon came. */
export interface PossibleKey {
  readonly at: number;
  readonly line: number;
  readonly flowLevel: number;
  /** It is a flow collection itself. */
  readonly isFlow: boolean;
  readonly indent: Indent | undefined;
  readonly tokens: readonly Token[];
}

/** Makes a key of what could be one, or nothing of it. */
export function decide(key: PossibleKey, sure: 'sure' | 'void'): void {
  if (key.indent !== undefined) key.indent.sure = sure;
  for (const token of key.tokens) token.sure = sure;
}
