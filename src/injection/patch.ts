import type { Operation } from 'fast-json-patch';
import { isRecord } from './record.ts';

/** A key as a JSON Pointer spells it (RFC 6901). */
function escaped(key: string): string {
  return key.includes('~') || key.includes('/') ? key.replaceAll('~', '~0').replaceAll('/', '~1') : key;
}

/**
 * The patch from one JSON value to another that was built from it: what is shared is not looked into, and nothing is
 * cloned. Lists are compared element by element, so elements are to be added at their end; those that are gone are
 * removed first, the last one first, so that nobody else's element is written anew (FACTS 5).
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
  if (Array.isArray(before) && Array.isArray(after)) collectElements(before, after, path, into);
  else if (isRecord(before) && isRecord(after)) collectFields(before, after, path, into);
  else into.push({ op: 'replace', path, value: after });
}

function collectElements(
  before: readonly unknown[],
  after: readonly unknown[],
  path: string,
  into: Operation[],
): void {
  const gone = goneFrom(before, after);
  for (const at of gone.toReversed()) into.push({ op: 'remove', path: `${path}/${at}` });
  const out = new Set(gone);
  const kept = gone.length === 0 ? before : before.filter((_, at) => !out.has(at));
  for (let at = 0; at < kept.length; at++) collect(kept[at], after[at], `${path}/${at}`, into);
  for (let at = kept.length; at < after.length; at++)
    into.push({ op: 'add', path: `${path}/${at}`, value: after[at] });
}

/** What an element of a Kubernetes list is known by: a mount by its path, all others by their name. */
function keyOf(element: unknown): unknown {
  return isRecord(element) ? (own(element, 'mountPath') ?? own(element, 'name')) : element;
}

/** Indexes, ascending, of elements to remove: those known by nothing in `after`, and what is then too many. */
function goneFrom(before: readonly unknown[], after: readonly unknown[]): number[] {
  if (before.every((element, at) => at < after.length && keyOf(element) === keyOf(after[at]))) return [];
  const names = new Set(after.map(keyOf));
  const gone = before.every(isRecord)
    ? before.flatMap((element, at) => (names.has(keyOf(element)) ? [] : [at]))
    : [];
  const surplus = before.length - gone.length - after.length;
  if (surplus <= 0) return gone;
  // Texts, and elements of one name: those before the end that both lists have.
  const out = new Set(gone);
  const places = before.map((_, at) => at).filter((at) => !out.has(at));
  let end = places.length;
  while (end > surplus && keyOf(before[places[end - 1] ?? 0]) === keyOf(after[end - 1 - surplus])) end--;
  return [...gone, ...places.slice(end - surplus, end)].sort((a, b) => a - b);
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
