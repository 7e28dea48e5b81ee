import type { Operation } from 'fast-json-patch';
import { isRecord } from './record.ts';

/** A key as a JSON Pointer spells it (RFC 6901). */
function escaped(key: string): string {
  return key.includes('~') || key.includes('/') ? key.replaceAll('~', '~0').replaceAll('/', '~1') : key;
}

/**
 * The patch from one JSON value to another that was built from it: what is shared is not looked into, and nothing is
 * cloned. Lists are compared element by element, so elements are to be added at their end.
 *
 * On the hot path of admission: a third less time for a decision than with `compare` of fast-json-patch, which clones
 * each value. The tests hold it against that library.
 */
export function patchBetween(before: unknown, after: unknown): Operation[] {
  const operations: Operation[] = [];
  collect(before, after, '', operations);
  return operations;
}

function collect(before: unknown, after: unknown, path: string, into: Operation[]): void {
  if (before === after) return;
  if (Array.isArray(before) && Array.isArray(after) && after.length >= before.length) {
    for (let at = 0; at < before.length; at++) collect(before[at], after[at], `${path}/${at}`, into);
    for (let at = before.length; at < after.length; at++)
      into.push({ op: 'add', path: `${path}/${at}`, value: after[at] });
  } else if (isRecord(before) && isRecord(after)) collectFields(before, after, path, into);
  else into.push({ op: 'replace', path, value: after });
}

/** A field that is undefined is none: JSON has no such value. What every object inherits is none either. */
function own(record: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

function collectFields(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
  path: string,
  into: Operation[],
): void {
  for (const key of Object.keys(before)) {
    if (before[key] !== undefined && own(after, key) === undefined)
      into.push({ op: 'remove', path: `${path}/${escaped(key)}` });
  }
  for (const key of Object.keys(after)) {
    const value = after[key];
    const is = own(before, key);
    if (value === undefined || value === is) continue;
    const place = `${path}/${escaped(key)}`;
    if (is === undefined) into.push({ op: 'add', path: place, value });
    else collect(is, value, place, into);
  }
}
