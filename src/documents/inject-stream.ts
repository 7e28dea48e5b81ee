import type { Operation } from 'fast-json-patch';
import { decide } from '../admission/decide.ts';
import { injectObject, type ObjectInjection } from '../admission/inject-object.ts';
import type { Annotations } from '../federation/effective-settings.ts';
import { templatePath } from '../injection/pod-template.ts';
import { isRecord } from '../injection/record.ts';
import { messageOf } from '../reasons/message-of.ts';
import { type Finding, reasons } from '../reasons/reasons.ts';
import type { Settings } from '../settings/schema.ts';
import { canHoldFalco } from './can-hold-falco.ts';
import { patchedJson, patchedYaml } from './edit.ts';
import { readYaml } from './kubernetes-yaml.ts';
import { isWithoutObject, splitDocuments, splitJson } from './split.ts';
import { metadataOf, namespaceOf, type Surroundings, surroundingsIn } from './surroundings.ts';

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
  /** Pieces that could not be read or changed; they are in the output as they were. */
  readonly problems: readonly string[];
  /** Whether something that is, or may be, Falco was not done: the table at `injectStream`. */
  readonly failed: boolean;
}

export interface StreamOptions {
  readonly settings: Settings;
  /** Namespace of objects that name none. */
  readonly namespace: string | undefined;
}

interface Piece {
  readonly text: string;
  readonly line: number;
  /** Offset of the JSON in it; `undefined` for YAML. */
  readonly json: number | undefined;
  /** Plain data; `undefined` for pieces without an object (comments, empty documents). */
  readonly object: unknown;
  readonly problem: string | undefined;
}

interface PieceResult {
  readonly text: string;
  readonly reports: readonly ObjectReport[];
  readonly problem?: string;
  readonly failed: boolean;
}

/** JSON between the `---` of a stream of YAML: it stays JSON. */
function jsonIn(text: string): { readonly json: number; readonly object: unknown } | undefined {
  const start = /^(?:---[ \t]*\r?\n)?(?=\s*\{)/.exec(text)?.[0].length;
  if (start === undefined) return undefined;
  try {
    return { json: start, object: JSON.parse(text.slice(start)) };
  } catch {
    return undefined;
  }
}

function yamlPiece(text: string, line: number): Piece {
  const piece = { text, line, json: undefined, object: undefined, problem: undefined } as const;
  if (isWithoutObject(text)) return piece;
  const json = jsonIn(text);
  if (json !== undefined) return { ...piece, ...json };
  const read = readYaml(text);
  if (read.is === 'read') return { ...piece, object: read.object };
  const where = read.line === 1 ? '' : `line ${line + read.line - 1}: `;
  return { ...piece, problem: `document at line ${line}: ${where}${read.why}` };
}

function jsonPieces(text: string): Piece[] | undefined {
  let line = 1;
  try {
    return splitJson(text)?.map((piece): Piece => {
      const read: Piece = { text: piece, line, json: 0, object: JSON.parse(piece), problem: undefined };
      line += piece.split('\n').length - 1;
      return read;
    });
  } catch {
    // YAML that begins with a brace.
    return undefined;
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

interface ObjectResult {
  readonly patch: readonly Operation[];
  readonly reports: readonly ObjectReport[];
}

function injectSafely(inject: () => ObjectInjection): ObjectInjection {
  try {
    return inject();
  } catch (error) {
    // A defect of ours: it must not cost the other objects of the stream.
    return { reason: { code: 'internal_error', detail: messageOf(error) }, findings: [], patch: [] };
  }
}

/** Groups whose workloads have their pod template where Kubernetes has it, or are malformed. */
const ownGroups: ReadonlySet<string> = new Set(['v1', 'apps', 'batch', 'extensions']);

/** Whether an object of another group has no template there: a Rollout with a workloadRef, a Volcano Job. */
function isWithoutTemplate({ apiVersion, kind, spec }: Record<string, unknown>): boolean {
  const group = typeof apiVersion === 'string' ? (apiVersion.split('/', 1)[0] ?? '') : '';
  const [isOwn, isRollout] = [ownGroups.has(group) || group === '', kind === 'Rollout'];
  return (!isOwn || isRollout) && isRecord(spec) && spec.template === undefined;
}

/** How deep an object is searched; no API nests pod templates deeper. */
const deepest = 50;

/** Whatever in an object looks like a pod template: its `spec` has `containers`. */
function* templatesIn(value: unknown, depth = 0): Generator<unknown> {
  if (typeof value !== 'object' || value === null || depth > deepest) return;
  if (isRecord(value) && isRecord(value.spec) && Array.isArray(value.spec.containers)) yield value;
  for (const inner of Object.values(value)) yield* templatesIn(inner, depth + 1);
}

/** Whether Falco or falcosidekick is in a template inside an object of a kind that is not known. */
function holdsFalco(object: unknown, settings: Settings): boolean {
  return templatesIn(object).some((template) => {
    const { reason } = injectObject(template, 'Pod', settings, undefined);
    return !['not_falco', 'pod_malformed', 'falco_only_looks', 'opted_out'].includes(reason.code);
  });
}

function injectByKind(
  object: Record<string, unknown>,
  kind: string,
  settings: Settings,
  namespaceAnnotations: Annotations,
  secretOf: (name: string) => ReadonlyMap<string, string> | undefined,
): ObjectInjection {
  const known = isWithoutTemplate(object) ? '' : kind;
  const injection = injectObject(object, known, settings, namespaceAnnotations, { secretOf });
  const isMissed = injection.reason.code === 'kind_without_pod' && holdsFalco(object, settings);
  return isMissed ? { ...injection, reason: { code: 'kind_not_injected', detail: kind } } : injection;
}

function injectOne(
  object: Record<string, unknown>,
  kind: string,
  options: StreamOptions,
  surroundings: Surroundings,
): ObjectResult {
  const metadata = metadataOf(object);
  const namespace = namespaceOf(object, options.namespace);
  const name = [metadata.name, metadata.generateName].find((one) => typeof one === 'string') ?? '(no name)';
  const { patch, reason, findings } = injectSafely(() =>
    injectByKind(object, kind, options.settings, surroundings.annotationsOf(namespace), (secret) =>
      surroundings.secretOf(namespace, secret),
    ),
  );
  const about = `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
  return { patch, reports: [{ about, reason, findings }] };
}

/** An object, or the items of a List. */
function injectAny(object: unknown, options: StreamOptions, surroundings: Surroundings): ObjectResult {
  if (!isRecord(object) || typeof object.kind !== 'string') return { patch: [], reports: [] };
  if (templatePath(object.kind) === undefined && Array.isArray(object.items)) {
    const results = object.items.map((item: unknown) => injectAny(item, options, surroundings));
    return {
      patch: results.flatMap(({ patch }, at) =>
        patch.map((operation) => ({ ...operation, path: `/items/${at}${operation.path}` })),
      ),
      reports: results.flatMap(({ reports }) => reports),
    };
  }
  return injectOne(object, object.kind, options, surroundings);
}

const isError = ({ reason }: ObjectReport): boolean => reasons[reason.code].severity === 'error';

/** An AdmissionReview gets the webhook's own answer. */
function answerReview(
  text: string,
  object: Record<string, unknown>,
  options: StreamOptions,
  surroundings: Surroundings,
): PieceResult {
  const { request, answer, reason, findings } = decide(object, {
    settings: () => options.settings,
    namespaceAnnotations: surroundings.annotationsOf,
  });
  const about =
    request === undefined
      ? 'AdmissionReview'
      : `AdmissionReview of ${request.kind} ${request.namespace}/${request.name}`;
  const report = { about, reason, findings };
  return {
    text: answer === undefined ? text : `${JSON.stringify(answer)}\n`,
    reports: [report],
    failed: isError(report),
  };
}

function injectPiece(piece: Piece, options: StreamOptions, surroundings: Surroundings): PieceResult {
  const { text, object, problem, json, line } = piece;
  if (problem !== undefined) return { text, reports: [], problem, failed: canHoldFalco(text) };
  if (isRecord(object) && object.kind === 'AdmissionReview')
    return answerReview(text, object, options, surroundings);
  const { patch, reports } = injectAny(object, options, surroundings);
  const failed = reports.some(isError) && canHoldFalco(text);
  if (patch.length === 0) return { text, reports, failed };
  const patched = json === undefined ? patchedYaml(text, patch) : patchedJson(text.slice(json), patch);
  if (patched !== undefined) return { text: text.slice(0, json ?? 0) + patched, reports, failed };
  const why =
    'the change cannot be written so that kubectl reads it as meant; write its anchors and tags out';
  return { text, reports: [], problem: `document at line ${line}: ${why}`, failed: true };
}

/**
 * Injects every pod template in a stream of Kubernetes YAML or JSON.
 *
 * Documents that get no patch are in the output byte for byte; others keep what they mean, as `patchedYaml` says.
 * Nothing is ever lost: what cannot be read is passed on as it is and named in `problems`. An AdmissionReview is
 * replaced by the AdmissionReview that answers it. What fails and what does not, since Helm throws a whole
 * installation away when its post-renderer fails (FACTS 4.14):
 *
 * | document                                            | printed  | told       | failed |
 * | --------------------------------------------------- | -------- | ---------- | ------ |
 * | read, nothing to do                                 | as it is | report     | no     |
 * | read, Falco or falcosidekick                        | injected | report     | no     |
 * | read, Falco, but no edit of it passes its proof     | as it is | problem    | yes    |
 * | read, a pod template not shaped so; may hold Falco  | as it is | report     | yes    |
 * | read, a pod template not shaped so; holds none      | as it is | report     | no     |
 * | cannot be read; may hold Falco                      | as it is | problem    | yes    |
 * | cannot be read; holds none                          | as it is | problem    | no     |
 * | an AdmissionReview without a request to answer      | as it is | report     | yes    |
 */
export function injectStream(text: string, options: StreamOptions): StreamInjection {
  // Kept out of the parser's sight: it would count as the first line's indentation.
  const mark = text.startsWith('\uFEFF') ? '\uFEFF' : '';
  const pieces = readPieces(text.slice(mark.length));
  const objects = pieces.map(({ object }) => object);
  const surroundings = surroundingsIn(objects, options.namespace);
  const results = pieces.map((piece) => injectPiece(piece, options, surroundings));
  return {
    output: mark + results.map((result) => result.text).join(''),
    reports: results.flatMap(({ reports }) => reports),
    problems: results.flatMap(({ problem }) => (problem === undefined ? [] : [problem])),
    failed: results.some(({ failed }) => failed),
  };
}
