import fastJsonPatch, { type Operation } from 'fast-json-patch';
import { isRecord } from '../injection/record.ts';
import { same } from './align.ts';
import { editedText } from './edit-yaml.ts';
import { jsonFlow } from './flow-notation.ts';
import { type ReadDocument, readByVersion, readYaml, setField } from './kubernetes-yaml.ts';
import { printedDocument } from './print-node.ts';

/** A copy that shares nothing, not even with itself: what aliases stand for is one object in several places. */
function writtenOut(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(writtenOut);
  if (!isRecord(value) || Object.getPrototypeOf(value) !== Object.prototype) return value;
  const copy: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) setField(copy, key, writtenOut(field));
  return copy;
}

function applied(object: unknown, patch: readonly Operation[]): unknown {
  // fast-json-patch changes what it is given, operations' values included.
  const operations = patch.map((operation) => structuredClone(operation));
  return fastJsonPatch.applyPatch(writtenOut(object), operations).newDocument;
}

/** What a reader of a version must find in the edited text; `undefined` where it cannot read the first one. */
function wantedBy(version: '1.1' | '1.2', read: ReadDocument, patch: readonly Operation[]): unknown {
  try {
    const object = readByVersion(read.source, version);
    return object === undefined ? undefined : applied(object, patch);
  } catch {
    return undefined;
  }
}

/** Whether all readers find in a new text what they found in the old one, with the patch applied. */
function proof(read: ReadDocument, patch: readonly Operation[], wanted: unknown): (text: string) => boolean {
  const versions = (['1.1', '1.2'] as const).map(
    (version) => [version, wantedBy(version, read, patch)] as const,
  );
  return (text) => {
    const again = readYaml(text, false);
    if (again.is === 'broken' || !same(again.object, wanted)) return false;
    return versions.every(
      ([version, expected]) => expected === undefined || same(readByVersion(again.source, version), expected),
    );
  };
}

function attempt(edit: () => string): string | undefined {
  try {
    return edit();
  } catch {
    // No place for an edit, or a defect of ours: the next way is tried, and each one is proven.
    return undefined;
  }
}

/**
 * A YAML document with a JSON Patch applied.
 *
 * | way                                   | keeps                                                            |
 * | ------------------------------------- | ---------------------------------------------------------------- |
 * | edits in the text                     | everything that does not change, to the byte                     |
 * | printed anew, if that is not possible | comments, and the spelling of numbers and quotes; aliases go     |
 *
 * Each result is read again, as kubectl does and by the rules of YAML 1.1 and 1.2: it must be the document with the
 * patch and nothing else.
 *
 * @param text as `readYaml` read it, without a byte order mark
 * @returns `undefined` where no way passes the proof
 */
export function patchedYaml(text: string, patch: readonly Operation[]): string | undefined {
  const read = readYaml(text, true);
  if (read.is === 'broken') return undefined;
  const wanted = applied(read.object, patch);
  const isProven = proof(read, patch, wanted);
  const edited = attempt(() => editedText(text, read, wanted));
  if (edited !== undefined && isProven(edited)) return edited;
  const anew = attempt(() => printedDocument(read, wanted));
  const withLineEnds = text.includes('\r\n') ? anew?.replaceAll('\n', '\r\n') : anew;
  return withLineEnds !== undefined && isProven(withLineEnds) ? withLineEnds : undefined;
}

function isJsonOf(text: string, wanted: unknown): boolean {
  try {
    return same(JSON.parse(text), wanted);
  } catch {
    return false;
  }
}

/**
 * A JSON text with a JSON Patch applied: edited, else written anew with its indentation.
 *
 * @returns `undefined` where that would spell something else anew
 */
export function patchedJson(text: string, patch: readonly Operation[]): string | undefined {
  const object: unknown = JSON.parse(text);
  const wanted = applied(object, patch);
  const unit = /^\s*[{[]\r?\n([ \t]+)/.exec(text)?.[1];
  const flow = jsonFlow(unit, text.includes('\r\n') ? '\r\n' : '\n');
  // JSON is YAML but for tabs, which stand only between its tokens.
  const read = readYaml(text.replaceAll('\t', ' '), true);
  const edited = read.is === 'read' ? attempt(() => editedText(text, read, wanted, flow)) : undefined;
  if (edited !== undefined && isJsonOf(edited, wanted)) return edited;
  const end = /\s*$/.exec(text)?.[0] ?? '';
  const dense = (json: string): string => json.replace(/\s/g, '');
  return dense(JSON.stringify(object)) === dense(text) ? JSON.stringify(wanted, null, unit) + end : undefined;
}
