import { isDeepStrictEqual } from 'node:util';
import fastJsonPatch, { type Operation } from 'fast-json-patch';
import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isSeq,
  type Node,
  Scalar,
  stringify,
  visit,
} from 'yaml';

const writing = { lineWidth: 0, flowCollectionPadding: false, aliasDuplicateObjects: false } as const;

function applied(object: unknown, patch: readonly Operation[]): unknown {
  // fast-json-patch changes what it is given, operations' values included.
  return fastJsonPatch.applyPatch(structuredClone(object), structuredClone([...patch])).newDocument;
}

function segmentsOf(path: string): string[] {
  return path
    .split('/')
    .slice(1)
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function applyToNode(document: Document, operation: Operation): void {
  const segments = segmentsOf(operation.path);
  const last = segments.pop() ?? '';
  const parent = segments.length === 0 ? document.contents : document.getIn(segments, true);
  if (!isCollection(parent)) throw new Error(`nothing at ${operation.path}`);
  if (operation.op === 'remove') {
    parent.delete(isSeq(parent) ? Number(last) : last);
    return;
  }
  if (operation.op !== 'add' && operation.op !== 'replace') throw new Error(`cannot ${operation.op}`);
  // Written out: a patch may share its parts, and nobody wants anchors in a manifest.
  const node = document.createNode(operation.value, { aliasDuplicateObjects: false });
  if (isSeq(parent) && operation.op === 'add') parent.items.splice(Number(last), 0, node);
  else if (isMap(parent)) parent.set(keyOf(parent, last), node);
  else parent.set(Number(last), node);
}

/** The key as the map has it, so that a quoted or commented key is found and kept. */
function keyOf(map: Node, key: string): unknown {
  if (!isMap(map)) return key;
  const pair = map.items.find(({ key: one }) => one instanceof Scalar && String(one.value) === key);
  return pair === undefined ? key : pair.key;
}

function hasAliases(document: Document): boolean {
  let found = false;
  visit(document, (_key, node) => {
    if (!isAlias(node)) return undefined;
    found = true;
    return visit.BREAK;
  });
  return found;
}

/**
 * A YAML document with a JSON Patch applied, as text that keeps the document's comments.
 *
 * Where an alias is in the way (a patch could then change two places), the object is written anew instead, without
 * comments.
 *
 * @param document parsed from the text; it is changed
 * @param object what the document holds, as plain data
 */
export function patchedYaml(document: Document, object: unknown, patch: readonly Operation[]): string {
  const wanted = applied(object, patch);
  try {
    if (!hasAliases(document)) {
      for (const operation of patch) applyToNode(document, operation);
      if (isDeepStrictEqual(document.toJS(), wanted)) return document.toString(writing);
    }
  } catch {
    // Something in the document is not where the patch looks for it: write it anew.
  }
  return `${document.directives?.docStart ? '---\n' : ''}${stringify(wanted, writing)}`;
}

/** A JSON text with a JSON Patch applied, indented as it was. */
export function patchedJson(text: string, object: unknown, patch: readonly Operation[]): string {
  const indent = /^[{[]\r?\n([ \t]+)/.exec(text.trimStart())?.[1];
  const end = /\s*$/.exec(text)?.[0] ?? '';
  return JSON.stringify(applied(object, patch), null, indent) + end;
}
