import type { Operation } from 'fast-json-patch';
import { type Document, parseDocument } from 'yaml';
import { decide } from '../admission/decide.ts';
import { injectObject } from '../admission/inject-object.ts';
import type { Annotations } from '../federation/identity.ts';
import { templatePath } from '../injection/pod-template.ts';
import { isRecord } from '../injection/record.ts';
import { messageOf } from '../reasons/message-of.ts';
import type { Finding } from '../reasons/reasons.ts';
import type { Settings } from '../settings/schema.ts';
import { patchedJson, patchedYaml } from './edit.ts';
import { splitDocuments } from './split.ts';

/** What became of one object in a stream. */
export interface ObjectReport {
  /** `DaemonSet falco/falco`, or where the object is if it cannot be named. */
  readonly about: string;
  readonly reason: Finding;
  readonly findings: readonly Finding[];
}

export interface StreamInjection {
  readonly output: string;
  readonly reports: readonly ObjectReport[];
  /** Pieces that could not be read; they are in the output as they were. */
  readonly problems: readonly string[];
}

export interface StreamOptions {
  readonly settings: Settings;
  /** Namespace of objects that name none. */
  readonly namespace: string | undefined;
}

interface Piece {
  readonly text: string;
  /** Plain data; `undefined` for pieces without an object (comments, empty documents). */
  readonly object: unknown;
  readonly document: Document | undefined;
  readonly problem: string | undefined;
}

/** The first line of what the parser says; the others draw the place. */
function firstLineOf(error: unknown): string {
  return messageOf(error).split('\n', 1)[0] ?? '';
}

function tryJson(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

/** One JSON text, or one on each line. */
function jsonPieces(text: string): Piece[] | undefined {
  if (!/^\s*\{/.test(text)) return undefined;
  const whole = tryJson(text);
  if (whole !== undefined) return [{ text, object: whole.value, document: undefined, problem: undefined }];
  const lines = text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
  const pieces = lines.map((line): Piece | undefined => {
    if (line.trim() === '') return { text: line, object: undefined, document: undefined, problem: undefined };
    const parsed = tryJson(line);
    return parsed && { text: line, object: parsed.value, document: undefined, problem: undefined };
  });
  return pieces.includes(undefined) ? undefined : pieces.filter((piece) => piece !== undefined);
}

function yamlPiece(text: string, firstLine: number): Piece {
  const failed = (why: string): Piece => ({
    text,
    object: undefined,
    document: undefined,
    problem: `document at line ${firstLine}: ${why}`,
  });
  try {
    const document = parseDocument(text);
    const [error] = document.errors;
    if (error !== undefined) return failed(firstLineOf(error));
    return { text, object: document.toJS(), document, problem: undefined };
  } catch (error) {
    return failed(firstLineOf(error));
  }
}

function readPieces(text: string): Piece[] {
  const json = jsonPieces(text);
  if (json !== undefined) return json;
  let line = 1;
  return splitDocuments(text).map((piece) => {
    const read = yamlPiece(piece, line);
    line += piece.split('\n').length - 1;
    return read;
  });
}

function metadataOf(object: unknown): Record<string, unknown> {
  return isRecord(object) && isRecord(object.metadata) ? object.metadata : {};
}

/** Annotations of the Namespace objects in the stream: the webhook would know them too. */
function namespacesIn(pieces: readonly Piece[]): ReadonlyMap<string, Annotations> {
  const namespaces = new Map<string, Annotations>();
  for (const { object } of pieces) {
    if (!isRecord(object) || object.kind !== 'Namespace') continue;
    const { name, annotations } = metadataOf(object);
    if (typeof name !== 'string' || !isRecord(annotations)) continue;
    const texts = Object.entries(annotations).flatMap(([key, value]) =>
      typeof value === 'string' ? [[key, value] as const] : [],
    );
    namespaces.set(name, Object.fromEntries(texts));
  }
  return namespaces;
}

interface ObjectResult {
  readonly patch: readonly Operation[];
  readonly reports: readonly ObjectReport[];
}

function injectOne(
  object: Record<string, unknown>,
  kind: string,
  options: StreamOptions,
  namespaces: ReadonlyMap<string, Annotations>,
): ObjectResult {
  const metadata = metadataOf(object);
  const namespace = typeof metadata.namespace === 'string' ? metadata.namespace : options.namespace;
  const name = [metadata.name, metadata.generateName].find((one) => typeof one === 'string') ?? '(no name)';
  const { patch, reason, findings } = injectObject(
    object,
    kind,
    options.settings,
    namespace === undefined ? undefined : namespaces.get(namespace),
  );
  const about = `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
  return { patch, reports: [{ about, reason, findings }] };
}

/** An object, or the items of a List. */
function injectAny(
  object: unknown,
  options: StreamOptions,
  namespaces: ReadonlyMap<string, Annotations>,
): ObjectResult {
  if (!isRecord(object) || typeof object.kind !== 'string') return { patch: [], reports: [] };
  if (templatePath(object.kind) === undefined && Array.isArray(object.items)) {
    const results = object.items.map((item: unknown) => injectAny(item, options, namespaces));
    return {
      patch: results.flatMap(({ patch }, at) =>
        patch.map((operation) => ({ ...operation, path: `/items/${at}${operation.path}` })),
      ),
      reports: results.flatMap(({ reports }) => reports),
    };
  }
  return injectOne(object, object.kind, options, namespaces);
}

/** An AdmissionReview gets the webhook's own answer. */
function answerReview(
  object: Record<string, unknown>,
  options: StreamOptions,
  namespaces: ReadonlyMap<string, Annotations>,
): { readonly text: string | undefined; readonly report: ObjectReport } {
  const { request, answer, reason, findings } = decide(object, {
    settings: () => options.settings,
    namespaceAnnotations: (namespace) => namespaces.get(namespace),
  });
  const about =
    request === undefined
      ? 'AdmissionReview'
      : `AdmissionReview of ${request.kind} ${request.namespace}/${request.name}`;
  return { text: answer && `${JSON.stringify(answer)}\n`, report: { about, reason, findings } };
}

/**
 * Injects every pod template in a stream of Kubernetes YAML or JSON.
 *
 * Documents that get no patch are in the output byte for byte. Nothing is ever lost: what cannot be read is passed
 * on as it is and named in `problems`. An AdmissionReview is replaced by the AdmissionReview that answers it.
 */
export function injectStream(text: string, options: StreamOptions): StreamInjection {
  const pieces = readPieces(text);
  const namespaces = namespacesIn(pieces);
  const reports: ObjectReport[] = [];
  const problems: string[] = [];
  const output = pieces.map(({ text: piece, object, document, problem }) => {
    if (problem !== undefined) problems.push(problem);
    if (isRecord(object) && object.kind === 'AdmissionReview') {
      const review = answerReview(object, options, namespaces);
      reports.push(review.report);
      return review.text ?? piece;
    }
    const result = injectAny(object, options, namespaces);
    reports.push(...result.reports);
    if (result.patch.length === 0) return piece;
    return document === undefined
      ? patchedJson(piece, object, result.patch)
      : patchedYaml(document, object, result.patch);
  });
  return { output: output.join(''), reports, problems };
}
