/**
 * YAML as Falco's parser (yaml-cpp) reads it: every scalar is a string, the first of two equal keys counts, no
 * merge keys, and a flow collection may go on at any indentation. Positions are offsets in the text given.
 */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  Lexer,
  type ParsedNode,
  parseAllDocuments,
  type YAMLMap,
} from 'yaml';

/** A node or the nothing behind a key without a value. */
export type Node = ParsedNode | null;

export type YamlDocument = Document.Parsed;

export type YamlSource =
  | { readonly is: 'documents'; readonly documents: readonly YamlDocument[] }
  | { readonly is: 'broken'; readonly why: string; readonly line: number };

const options = {
  schema: 'failsafe',
  merge: false,
  uniqueKeys: false,
  strict: false,
  prettyErrors: false,
  logLevel: 'silent',
} as const;

/** How many oddly indented flow collections one file may have before it counts as broken. */
const mostFlowsStraightened = 100;

/**
 * Parses a stream without a byte order mark. `first` asks for the first document only: errors in later ones do
 * not count, since Falco does not read on in config files (FACTS 1.13). Never throws.
 */
export function parseYaml(source: string, first?: 'first'): YamlSource {
  try {
    const parsed = parseOnce(source, first);
    return parsed.is === 'broken' ? parseOnce(straightenFlows(source), first) : parsed;
  } catch (error) {
    // The parser recurses: nesting deep enough overflows the stack.
    const why = error instanceof RangeError ? 'nested too deeply' : String(error);
    return { is: 'broken', why, line: 1 };
  }
}

function parseOnce(source: string, first: 'first' | undefined): YamlSource {
  const all = [...parseAllDocuments(source, options)];
  const documents = first === undefined ? all : all.slice(0, 1);
  const error = documents.flatMap((document) => document.errors)[0];
  if (error === undefined) return { is: 'documents', documents };
  return { is: 'broken', why: error.message, line: lineAt(source, error.pos[0]) };
}

/** Number of the line, from 1, that an offset is in. */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) line++;
  return line;
}

/**
 * Puts each flow collection that the parser would cut short, because a line of it is not indented enough, on one
 * line, with blanks for line breaks and comments: same length, same meaning, so that positions stay true.
 */
function straightenFlows(source: string): string {
  let text = source;
  for (let count = 0; count < mostFlowsStraightened; count++) {
    const start = flowCutShort(text);
    if (start === undefined) return text;
    text = straightenFlowAt(text, start);
  }
  return text;
}

/** Marks among the lexer's tokens that stand for no text: a document's or a scalar's begin, a flow's made-up end. */
const flowEnd = '\u0018';
const withoutText: ReadonlySet<string> = new Set(['\u0002', '\u001f', flowEnd]);

/** Offset of the first outermost flow collection whose end the lexer had to make up. */
function flowCutShort(text: string): number | undefined {
  let offset = 0;
  let depth = 0;
  let start = 0;
  for (const token of new Lexer().lex(text)) {
    if (token === flowEnd && depth > 0) return start;
    if (withoutText.has(token)) continue;
    if (depth === 0) start = offset;
    depth = Math.max(0, depth + nesting(token));
    offset += token.length;
  }
  return undefined;
}

function nesting(token: string): number {
  if (token === '[' || token === '{') return 1;
  return token === ']' || token === '}' ? -1 : 0;
}

// A piece of a flow collection: a quoted scalar where one may begin, a comment, a line break, a bracket, or else.
const flowPiece =
  /(?<=[[{,:\s])"(?:[^"\\]|\\[\s\S])*"|(?<=[[{,:\s])'(?:[^']|'')*'|(?<=\s)#[^\r\n]*|[\r\n]|[[\]{}]|[\s\S]/gy;

function straightenFlowAt(text: string, start: number): string {
  let depth = 0;
  let straight = '';
  flowPiece.lastIndex = start;
  for (let match = flowPiece.exec(text); match !== null; match = flowPiece.exec(text)) {
    const piece = match[0];
    const comment = piece.startsWith('#') && /\s/.test(text.charAt(match.index - 1));
    straight += comment ? ' '.repeat(piece.length) : piece.replace(/[\r\n]/g, ' ');
    depth += nesting(piece);
    if (depth === 0) break;
  }
  return text.slice(0, start) + straight + text.slice(start + straight.length);
}

/** Whether the parser of Falco takes this for null: nothing at all, or one of the plain words for it. */
export function isNull(node: Node): boolean {
  if (node === null) return true;
  if (!isScalar(node) || node.tag !== undefined) return false;
  return node.type === 'PLAIN' && /^(?:|~|null|Null|NULL)$/.test(textOf(node));
}

/** The node that an alias stands for; other nodes stand for themselves, an alias of nothing is null. */
export function resolve(node: Node, document: YamlDocument): Node {
  if (node === null || !isAlias(node)) return node;
  // Safe: what a parsed document's alias resolves to was parsed with it.
  return (node.resolve(document) as ParsedNode | undefined) ?? null;
}

/** A scalar's text as Falco gets it; '' for other nodes. */
export function textOf(node: Node): string {
  return node !== null && isScalar(node) && typeof node.value === 'string' ? node.value : '';
}

/** The value under the first key of that name: undefined where there is no such key. */
export function valueUnder(map: YAMLMap.Parsed, name: string, document: YamlDocument): Node | undefined {
  const pair = map.items.find(({ key }) => keyName(key, document) === name);
  return pair === undefined ? undefined : pair.value;
}

/** A key's text; undefined for a key that is not a scalar. */
export function keyName(key: Node, document: YamlDocument): string | undefined {
  const resolved = resolve(key, document);
  return resolved !== null && isScalar(resolved) ? textOf(resolved) : undefined;
}

export { isAlias, isMap, isScalar };
