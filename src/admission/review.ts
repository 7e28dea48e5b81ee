/** The fields of an AdmissionReview's request that this webhook reads, checked. */
export interface AdmissionRequest {
  readonly uid: string;
  readonly kind: string;
  readonly operation: string;
  readonly subResource: string;
  readonly namespace: string;
  /** `metadata.name`, or `metadata.generateName` where the API server has not made a name yet (FACTS 4.4). */
  readonly name: string;
  readonly dryRun: boolean;
  readonly object: unknown;
}

/** An `admission.k8s.io/v1` AdmissionReview that answers a request. */
export interface AdmissionReview {
  readonly apiVersion: string;
  readonly kind: 'AdmissionReview';
  readonly response: {
    readonly uid: string;
    /** Always: this webhook never keeps an object out (FACTS 4.3). */
    readonly allowed: true;
    readonly patchType?: 'JSONPatch';
    /** Base64 of a JSON Patch. */
    readonly patch?: string;
    readonly warnings?: readonly string[];
    readonly auditAnnotations?: Readonly<Record<string, string>>;
  };
}

export const reviewVersion = 'admission.k8s.io/v1';

function field(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export type ReviewResult =
  | { readonly ok: true; readonly request: AdmissionRequest }
  /** `uid` and `apiVersion` as far as they are there: with a uid the API server can be given an answer. */
  | { readonly ok: false; readonly uid: string; readonly apiVersion: string; readonly why: string };

/** Reads an AdmissionReview from outside. Never throws. */
export function readReview(review: unknown): ReviewResult {
  const request = field(review, 'request');
  const uid = text(field(request, 'uid'));
  const apiVersion = text(field(review, 'apiVersion'));
  const refuse = (why: string): ReviewResult => ({ ok: false, uid, apiVersion, why });
  if (typeof review !== 'object' || review === null) return refuse('the body is not a JSON object');
  const reviewKind = field(review, 'kind');
  if (reviewKind !== 'AdmissionReview') return refuse(`kind is ${shown(reviewKind)}, not "AdmissionReview"`);
  if (apiVersion !== reviewVersion) {
    return refuse(`apiVersion is ${shown(field(review, 'apiVersion'))}, not "${reviewVersion}"`);
  }
  if (typeof request !== 'object' || request === null) return refuse('request is missing');
  if (uid === '') return refuse('request.uid is missing');
  const kind = text(field(field(request, 'kind'), 'kind'));
  if (kind === '') return refuse('request.kind.kind is missing');
  const object = field(request, 'object');
  const metadata = field(object, 'metadata');
  return {
    ok: true,
    request: {
      uid,
      kind,
      operation: text(field(request, 'operation')),
      subResource: text(field(request, 'subResource')),
      namespace: text(field(request, 'namespace')) || text(field(metadata, 'namespace')),
      name:
        text(field(metadata, 'name')) ||
        text(field(request, 'name')) ||
        text(field(metadata, 'generateName')),
      dryRun: field(request, 'dryRun') === true,
      object,
    },
  };
}

function shown(value: unknown): string {
  const told = JSON.stringify(value) ?? 'missing';
  return told.length > 60 ? `${told.slice(0, 57)}...` : told;
}
