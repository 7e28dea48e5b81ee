/** One event as falcosidekick takes it (FACTS 3.7, 3.15), read but not printed anew. */
import { messageOf } from '../reasons/message-of.ts';
import { type Priority, priorities } from '../settings/schema.ts';
import { deepest } from './bounds.ts';
import { isDeeperThan } from './json-members.ts';
import type { RefusalReason } from './refusal.ts';

/** What is wrong with an event: `reason` is a metric's label. */
export interface RefusedEvent {
  readonly reason: RefusalReason;
  readonly message: string;
}

/** The fields that are looked at; what else there is goes through as it is. */
export interface EventFields {
  readonly rule: string;
  readonly priority: string;
  readonly time: string;
  readonly output_fields?: Readonly<Record<string, unknown>> | null;
  readonly tags?: readonly (string | null)[] | null;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refused(reason: RefusedEvent['reason'], message: string): RefusedEvent {
  return { reason, message };
}

/** RFC 3339 as Go's decoder reads it; a 30th of February falcosidekick finds, and refuses by itself. */
const time = /^\d{4}-\d\d-\d\dT\d\d?:[0-5]\d:[0-5]\d(?:[.,]\d+)?(?:Z|[+-]\d\d:[0-5]\d)$/;

/** falcosidekick's spelling of priorities is loose, and `info` is Informational to it. */
export function priorityOf(text: string): Priority | undefined {
  const lower = text.toLowerCase();
  return priorities.find((one) => one === (lower === 'info' ? 'informational' : lower));
}

function wrongField(event: Record<string, unknown>): string | undefined {
  for (const key of ['output', 'source', 'hostname', 'uuid']) {
    const value = event[key];
    if (value !== undefined && value !== null && typeof value !== 'string') return `"${key}" must be a text`;
  }
  const { output_fields: fields, tags } = event;
  if (fields !== undefined && fields !== null && !isObject(fields))
    return '"output_fields" must be an object';
  // falcosidekick takes these for texts without a look, and breaks the connection off where they are none.
  for (const key of ['k8s.ns.name', 'k8s.pod.name']) {
    const value = fields?.[key];
    if (value !== undefined && value !== null && typeof value !== 'string') return `"${key}" must be a text`;
  }
  if (tags === undefined || tags === null) return undefined;
  const areTexts = Array.isArray(tags) && tags.every((tag) => typeof tag === 'string' || tag === null);
  return areTexts ? undefined : '"tags" must be a list of texts';
}

/** Checks a parsed body. @returns the fields that matter, or what is wrong with them */
function checked(body: unknown): EventFields | RefusedEvent {
  if (!isObject(body)) {
    return refused('not_one_event', 'it must be one JSON object, one event of Falco');
  }
  const { rule, priority, time: at } = body;
  if (typeof rule !== 'string' || rule === '') return refused('no_rule', '"rule" is missing');
  if (typeof at !== 'string' || !time.test(at))
    return refused('no_time', '"time" must be a time as in 2026-01-31T12:00:00.5Z');
  if (typeof priority !== 'string' || priorityOf(priority) === undefined)
    return refused('bad_priority', `"priority" must be one of ${priorities.join(', ')}`);
  const wrong = wrongField(body);
  if (wrong !== undefined) return refused('bad_field', wrong);
  // Safe: just checked.
  return body as unknown as EventFields;
}

/**
 * Reads an event. Empty `output_fields` are no fault here: what is added to them makes the event acceptable to
 * the hub.
 */
export function readEvent(
  body: string,
): { readonly text: string; readonly fields: EventFields } | RefusedEvent {
  if (isDeeperThan(body, deepest))
    return refused('too_deep', `objects and lists lie more than ${deepest} deep in each other`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch (error) {
    const oneLine = messageOf(error).replaceAll(/\s+/g, ' ');
    return refused('not_json', `not JSON, or more than one event: ${oneLine}`);
  }
  const fields = checked(parsed);
  return 'reason' in fields ? fields : { text: body, fields };
}
