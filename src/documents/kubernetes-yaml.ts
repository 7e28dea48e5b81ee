/**
 * A YAML document as kubectl reads it (go-yaml behind sigs.k8s.io/yaml, FACTS 4.13): YAML 1.1, the last of two equal
 * keys counts, dates and numbers of base 60 are texts.
 */
import { type Document, isMap, isScalar, parseDocument, Scalar, type ScalarTag, visit } from 'yaml';
import { stringifyNumber, stringifyString } from 'yaml/util';
import { isRecord } from '../injection/record.ts';
import { messageOf } from '../reasons/message-of.ts';
import { readPlain } from './kubernetes-scalars.ts';

export type YamlReading =
  /** `object` is plain data; `undefined` where there is no object (comments, an empty document). */
  | { readonly is: 'read'; readonly object: unknown }
  | { readonly is: 'broken'; readonly why: string; readonly line: number };

/** A plain scalar: read as kubectl reads it, printed as it was spelled. */
const plain: Omit<ScalarTag, 'tag'> = {
  default: true,
  // All but the merge key, which the library knows.
  test: /^(?!<<$)/,
  identify: (value) => value === null || ['string', 'number', 'bigint', 'boolean'].includes(typeof value),
  resolve: readPlain,
  stringify: (scalar, ctx, onComment, onChompKeep) => {
    const { source, type, value } = scalar;
    const isSpelled = type === Scalar.PLAIN && source !== undefined;
    if (!isSpelled && (value === null || typeof value === 'boolean')) return String(value);
    if (!isSpelled && typeof value !== 'string') return stringifyNumber(scalar);
    return stringifyString(isSpelled ? { ...scalar, value: source } : scalar, ctx, onComment, onChompKeep);
  },
};

const named = (name: string): ScalarTag => ({ ...plain, tag: `tag:yaml.org,2002:${name}` });
const scalarTags: readonly ScalarTag[] = [
  ...['int', 'float', 'bool', 'null'].map(named),
  { ...named('str'), resolve: (text) => text },
];

/** Parses one document; its `errors` tell whether it could be read. */
export function parseYaml(text: string): Document.Parsed {
  // A carriage return alone ends a line too, which the parser does not know.
  return parseDocument(text.replace(/\r(?!\n)/g, '\n'), {
    version: '1.1',
    schema: 'failsafe',
    // The first two are for mappings and sequences; the third is `!!str`, which would spell its texts anew.
    customTags: (failsafe) => [...failsafe.slice(0, 2), ...scalarTags],
    merge: true,
    uniqueKeys: false,
    strict: false,
    prettyErrors: false,
    logLevel: 'silent',
  });
}

/** How many aliases a document may have, and nodes once they are written out; go-yaml has such limits too. */
const mostAliases = 10_000;
const mostNodes = 1_000_000;

function hasTooManyAliases(document: Document.Parsed): boolean {
  let aliases = 0;
  visit(document, { Alias: () => (++aliases > mostAliases ? visit.BREAK : undefined) });
  return aliases > mostAliases;
}

/** A copy that shares nothing with itself: what aliases stand for is one object in several places. */
function writtenOut(object: unknown): unknown {
  let nodes = 0;
  const copy = (value: unknown): unknown => {
    if (++nodes > mostNodes) throw new Error('its aliases stand for too much');
    if (Array.isArray(value)) return value.map(copy);
    if (!isRecord(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, copy(field)]));
  };
  return copy(object);
}

/** Whether it is a template that was not rendered: to YAML `{{ .x }}` is a mapping with a mapping as its key. */
function isTemplate(document: Document.Parsed): boolean {
  let found = false;
  visit(document, {
    Pair: (_, { key }) => {
      found ||= isMap(key);
      return found ? visit.BREAK : undefined;
    },
  });
  return found;
}

function whyOf(error: unknown): string {
  const message = messageOf(error);
  // The parser recurses: nesting deep enough overflows the stack.
  if (/call stack/.test(message)) return 'nested too deeply';
  // kubectl reads what is not indented, the library does not.
  const isOpen = /^Missing closing|sufficiently indented/.test(message);
  return isOpen ? `${message}; is it closed, and each of its lines indented deeper than its key?` : message;
}

/**
 * Reads one document; never throws.
 *
 * @param text without a byte order mark
 */
export function readYaml(text: string): YamlReading {
  try {
    const document = parseYaml(text);
    const [error] = document.errors;
    if (error !== undefined) {
      const line = text.slice(0, error.pos[0]).split('\n').length;
      return { is: 'broken', why: whyOf(error), line };
    }
    if (text.includes('{{') && isTemplate(document))
      return { is: 'broken', why: 'a mapping as a key: is it a template that was not rendered?', line: 1 };
    const { contents } = document;
    // A document of comments only is none.
    if (contents === null || (isScalar(contents) && contents.source === ''))
      return { is: 'read', object: undefined };
    if (!text.includes('*')) return { is: 'read', object: document.toJS() };
    if (hasTooManyAliases(document)) return { is: 'broken', why: 'it has too many aliases', line: 1 };
    return { is: 'read', object: writtenOut(document.toJS({ maxAliasCount: -1 })) };
  } catch (error) {
    return { is: 'broken', why: whyOf(error), line: 1 };
  }
}
