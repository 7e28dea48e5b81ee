import { isDeepStrictEqual } from 'node:util';
import fastJsonPatch, { type Operation } from 'fast-json-patch';
import { type Document, isMap, isNode, isScalar, isSeq, type Node, type Pair, Scalar, visit } from 'yaml';
import { needsQuotes } from './kubernetes-scalars.ts';
import { parseYaml, readYaml } from './kubernetes-yaml.ts';

function applied(object: unknown, patch: readonly Operation[]): unknown {
  // fast-json-patch changes what it is given, operations' values included.
  return fastJsonPatch.applyPatch(object, structuredClone(patch)).newDocument;
}

/** Data of ours as a node: every text in it is one for all readers. */
function nodeOf(document: Document, data: unknown): Node {
  const node = document.createNode(data, { aliasDuplicateObjects: false });
  visit(node, {
    Scalar: (_, scalar) => {
      if (typeof scalar.value === 'string' && needsQuotes(scalar.value)) scalar.type = Scalar.QUOTE_DOUBLE;
    },
  });
  return node;
}

/** The keys of a JSON Pointer (RFC 6901). */
function keysOf(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** What stood beside a value that gives way stands beside the new one. */
function withComments(node: Node, before: unknown): Node {
  if (!isNode(before)) return node;
  const { comment, commentBefore } = before;
  // Behind a collection it would stand below it.
  if (isScalar(node)) Object.assign(node, { comment, commentBefore });
  else node.commentBefore = commentBefore ?? comment ?? null;
  return node;
}

function put(parent: unknown, key: string, node: Node, document: Document): void {
  if (!isMap(parent) && !isSeq(parent)) throw new Error('no mapping or sequence here');
  // `[]` and `{}` have brackets because they are empty.
  if (parent.items.length === 0) parent.flow = false;
  parent.set(isMap(parent) ? nodeOf(document, key) : key, withComments(node, parent.get(key, true)));
}

/** Leaves of equal keys the last one, which counts: a path would lead to the first one. */
function dropKeysThatDoNotCount(document: Document): void {
  visit(document, {
    Map: (_, map) => {
      const nameOf = ({ key }: Pair): unknown => (isScalar(key) ? key.value : key);
      const last = new Map(map.items.map((pair, at) => [nameOf(pair), at]));
      map.items = map.items.filter((pair, at) => last.get(nameOf(pair)) === at);
    },
  });
}

function applyTo(document: Document, operation: Operation): void {
  const keys = keysOf(operation.path);
  const key = keys.pop() ?? '';
  if (operation.op === 'remove') document.deleteIn([...keys, key]);
  else if (operation.op === 'add' || operation.op === 'replace')
    put(document.getIn(keys, true), key, nodeOf(document, operation.value), document);
  else throw new Error(`no ${operation.op} here`);
}

/** What readers take for a line break, or not at all, if it is not escaped. */
const unprintable = /[\x7f-\x9f\u2028\u2029\ufeff]/g;

/** In the style of what was there: sequences deeper than their key or not, blanks in brackets, line ends. */
function printed(document: Document, before: string): string {
  const text = document.toString({
    lineWidth: 0,
    flowCollectionPadding: /[{[] \S/.test(before),
    indentSeq: !/^( *)[^\s#-].*:[ \t]*\r?\n\1- /m.test(before),
    doubleQuotedMinMultiLineLength: Number.MAX_SAFE_INTEGER,
  });
  const escaped = text.replace(unprintable, (one) =>
    before.includes(one) ? one : `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return before.includes('\r\n') ? escaped.replaceAll('\n', '\r\n') : escaped;
}

function attempt(write: () => string): string | undefined {
  try {
    return write();
  } catch {
    // What the library cannot do (a path through an alias), or a defect of ours: the next way is tried.
    return undefined;
  }
}

/**
 * A YAML document with a JSON Patch applied.
 *
 * | way                      | keeps                                                                          |
 * | ------------------------ | ------------------------------------------------------------------------------ |
 * | the patch on its nodes   | comments and the spelling of scalars; not what blanks there were               |
 * | all of its data anew     | what it means: where aliases or merge keys are in the patch's way              |
 *
 * Each result is read again as kubectl does: it must be the document with the patch and nothing else.
 *
 * @param text as `readYaml` read it, without a byte order mark
 * @returns `undefined` where no way passes the proof
 */
export function patchedYaml(text: string, patch: readonly Operation[]): string | undefined {
  const read = readYaml(text);
  if (read.is === 'broken') return undefined;
  const wanted = applied(read.object, patch);
  const ways: readonly ((document: Document) => void)[] = [
    (document) => {
      dropKeysThatDoNotCount(document);
      for (const operation of patch) applyTo(document, operation);
    },
    (document) => {
      document.contents = withComments(nodeOf(document, wanted), document.contents);
    },
  ];
  for (const change of ways) {
    const written = attempt(() => {
      const document = parseYaml(text);
      change(document);
      return printed(document, text);
    });
    const again = written === undefined ? undefined : readYaml(written);
    if (again?.is === 'read' && isDeepStrictEqual(again.object, wanted)) return written;
  }
  return undefined;
}

/** What TypeScript does not know of JSON yet. Safe: the oldest Node of package.json has both. */
const json = JSON as unknown as {
  parse(text: string, revive: (key: string, value: unknown, context: { source: string }) => unknown): unknown;
  rawJSON(text: string): object;
};

/** A JSON text with a JSON Patch applied, in its indentation; numbers stay as they are spelled. */
export function patchedJson(text: string, patch: readonly Operation[]): string {
  const object = json.parse(text, (_, value, { source }) =>
    typeof value === 'number' ? json.rawJSON(source) : value,
  );
  const unit = /^\s*[{[]\r?\n([ \t]+)/.exec(text)?.[1];
  const written = JSON.stringify(applied(object, patch), null, unit);
  const [start, end] = [text.length - text.trimStart().length, text.trimEnd().length];
  const lines = text.includes('\r\n') ? written.replaceAll('\n', '\r\n') : written;
  return text.slice(0, start) + lines + text.slice(end);
}
