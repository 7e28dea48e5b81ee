import type { ClusterConnection } from './connection.ts';
import { type ClusterRequest, describeResource, pluralOf } from './resource.ts';
import type { Answered } from './shared-connection.ts';

/** What came of a request that failed; the message names what was asked for, and of whom. */
export class ClusterError extends Error {
  /** HTTP status of the answer; undefined where there was none. */
  readonly status: number | undefined;
  /** Milliseconds for which the API server asked to be left alone; 0: it did not. */
  readonly retryAfter: number;

  constructor(
    { server }: ClusterConnection,
    { verb, resource }: ClusterRequest,
    why: string,
    status?: number,
    retryAfter = 0,
  ) {
    super(`${verb} ${describeResource(resource)} at ${server}: ${why}`);
    this.name = 'ClusterError';
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Whether an error is the API server's answer of one of these statuses. */
export function hasStatus(error: unknown, ...statuses: readonly number[]): boolean {
  return error instanceof ClusterError && error.status !== undefined && statuses.includes(error.status);
}

function textOf(value: unknown, key: string): string {
  const text: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
  return typeof text === 'string' ? text : '';
}

function remedy({ verb, resource }: ClusterRequest, status: number): string {
  if ('url' in resource) return '';
  const { group, namespace, name, subresource } = resource;
  switch (status) {
    case 401:
      return '; the token or client certificate was not accepted';
    case 403: {
      const where = namespace === undefined ? 'a ClusterRole' : `a Role in namespace "${namespace}"`;
      const isNamed = name !== undefined && verb !== 'create' && subresource === undefined;
      const which = isNamed ? `, resourceNames ["${name}"]` : '';
      return `; this requires ${where} with apiGroups ["${group}"], resources ["${pluralOf(resource)}"]${which}, verbs ["${verb}"]`;
    }
    default:
      return '';
  }
}

/** Milliseconds of a Retry-After header; the API server gives seconds. */
function millisecondsOf(retryAfter: string | undefined): number {
  return /^\d+$/.test(retryAfter ?? '') ? Number(retryAfter) * 1_000 : 0;
}

/**
 * The error for an answer that is no success.
 *
 * @param body the Status object that should have come with it
 */
export function refusal(
  connection: ClusterConnection,
  request: ClusterRequest,
  { status, retryAfter }: Omit<Answered, 'body'>,
  body: unknown,
): ClusterError {
  const said = [String(status), textOf(body, 'reason'), textOf(body, 'message')].filter(
    (text) => text !== '',
  );
  return new ClusterError(
    connection,
    request,
    said.join(' ') + remedy(request, status),
    status,
    millisecondsOf(retryAfter),
  );
}
