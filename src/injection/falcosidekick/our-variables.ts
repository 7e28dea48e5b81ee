import type { V1EnvVar } from '@kubernetes/client-node';
import { type ChangeRecord, type ChangeRecords, hashOfText, type Status, type Unnamed } from '../status.ts';

type Entries = readonly V1EnvVar[];

/** What an entry says, however the API server spells it: an empty value is left out there. */
function meaningOf({ value, valueFrom }: V1EnvVar): string {
  const from = valueFrom ?? undefined;
  const { name = '', key = '', optional = false } = from?.secretKeyRef ?? {};
  return JSON.stringify(from?.secretKeyRef ? [name, key, optional] : (from ?? value ?? ''));
}

function hashOf(entry: V1EnvVar): string {
  return hashOfText(meaningOf(entry));
}

function lastOf(env: Entries, name: string): V1EnvVar | undefined {
  return env.findLast((entry) => entry.name === name);
}

function countOf(env: Entries, name: string): number {
  return env.filter((entry) => entry.name === name).length;
}

/** As the API server would spell it: an empty value is left out. */
function withoutName({ name: _, value, ...rest }: V1EnvVar): Unnamed {
  return value ? { value, ...rest } : rest;
}

function goneFrom(env: Entries, name: string): Record<number, Unnamed> {
  const places = env.map((entry, at) => [at, entry] as const).filter(([, entry]) => entry.name === name);
  return Object.fromEntries(places.map(([at, entry]) => [at, withoutName(entry)]));
}

/** What was done to an environment: nothing of what is not ours, so an empty record where nothing was. */
export function recordsBetween(before: Entries, after: Entries): ChangeRecords {
  const records: Record<string, ChangeRecord> = {};
  // Sorted: the annotation must not change with the order of the entries.
  const names = new Set([...before, ...after].map((entry) => entry.name));
  for (const name of [...names].sort()) {
    const [was, is] = [lastOf(before, name), lastOf(after, name)];
    const sameCount = countOf(before, name) === countOf(after, name);
    if (is === undefined) records[name] = { gone: goneFrom(before, name) };
    else if (was === undefined || !sameCount) records[name] = { is: hashOf(is) };
    else if (meaningOf(was) !== meaningOf(is)) records[name] = { is: hashOf(is), was: withoutName(was) };
  }
  return records;
}

/** Whether an environment holds what the records say that we wrote. */
export function isWrittenBy(env: Entries, records: ChangeRecords): boolean {
  return env.some((entry) => records[entry.name]?.is === hashOf(entry));
}

/**
 * An environment as it was before us:
 *
 * | last entry of the name     | record            | then                                      |
 * | -------------------------- | ----------------- | ----------------------------------------- |
 * | says what we wrote         | `is`              | goes                                      |
 * | says what we wrote         | `is`, `was`       | is again what it was                      |
 * | says something else        | `is`              | stays: somebody changed it, it is theirs  |
 * | none                       | `is`              | nothing to do                             |
 * | none                       | `gone`            | comes back                                |
 * | there                      | `gone`            | stays: somebody has put it there          |
 */
export function withoutOurVariables(env: Entries, { records = {} }: Status): Entries {
  const after = [...env];
  for (const [name, { is, was }] of Object.entries(records)) {
    const at = after.findLastIndex((entry) => entry.name === name);
    const entry = after[at];
    if (entry === undefined || is === undefined || hashOf(entry) !== is) continue;
    after.splice(at, 1, ...(was === undefined ? [] : [{ name, ...was }]));
  }
  for (const [name, { gone = {} }] of Object.entries(records)) {
    if (lastOf(after, name) !== undefined) continue;
    for (const [at, entry] of Object.entries(gone)) after.splice(Number(at), 0, { name, ...entry });
  }
  const same = after.length === env.length && after.every((entry, at) => entry === env[at]);
  return same ? env : after;
}

/**
 * `wanted` in the spelling and, where nothing is new or gone, in the places of `present`: what somebody else has put
 * behind ours since is not moved, and an entry that says the same stays the very same object.
 */
export function settledIn(present: Entries, wanted: Entries): Entries {
  const left = [...wanted];
  const inPlace = present.map((entry) => {
    const at = left.findIndex((one) => one.name === entry.name);
    return at < 0 ? undefined : left.splice(at, 1)[0];
  });
  const samePlaces = left.length === 0 && !inPlace.includes(undefined);
  const ordered = samePlaces ? inPlace.filter((entry) => entry !== undefined) : wanted;
  const settled = ordered.map((entry) => {
    if (present.includes(entry)) return entry;
    return present.find((one) => one.name === entry.name && meaningOf(one) === meaningOf(entry)) ?? entry;
  });
  const same = settled.length === present.length && settled.every((entry, at) => entry === present[at]);
  return same ? present : settled;
}
