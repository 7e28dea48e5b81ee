/**
 * YAML as Falco's parser (yaml-cpp) reads it: every scalar is a text, the first of two equal keys counts, there are no
 * merge keys, quoted texts and flow collections go on at any indentation, a comment needs no blank before it.
 *
 * A reader of our own: with another parser than Falco's, each difference is a rules file that stays untagged or a
 * configuration that is misread. Held against yaml-cpp by texts made at random (docs/performance.md says how many).
 */
export { breakAt, isBreak, NotYaml } from './cursor.ts';
export {
  applyEdits,
  byteText,
  decodeFile,
  type EncodedText,
  type TextEdit,
  unicodeText,
} from './encoding.ts';
export * from './nodes.ts';
export { mostNodes, type ReadDocument, Reader, TooLarge } from './reader.ts';
export type { Token, TokenKind } from './token.ts';
export { Tokens } from './tokens.ts';
