import { createHash } from 'node:crypto';
import { isRecord } from './record.ts';

/** A list's element without its name. */
export type Unnamed = Readonly<Record<string, unknown>>;

/** What we wrote, or took out, where a user has something of the same kind, as the status annotation keeps it. */
export interface ChangeRecord {
  /** Hash of what we wrote. */
  readonly is?: string;
  /** What stood in its place; absent where there was nothing. */
  readonly was?: Unnamed;
  /** What we took out, by its index in the list. */
  readonly gone?: Readonly<Record<number, Unnamed>>;
}

/** By name: of a variable of falcosidekick's, of an option of Falco's. */
export type ChangeRecords = Readonly<Record<string, ChangeRecord>>;

/** Tells whether something is still what we wrote. */
export function hashOfText(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

/** Reads the records of a status annotation; what has not their shape counts as none. */
export function readRecords(value: unknown): ChangeRecords {
  if (!isRecord(value)) return {};
  const records: Record<string, ChangeRecord> = {};
  for (const [name, record] of Object.entries(value)) {
    if (!isRecord(record)) continue;
    const { is, was, gone } = record;
    records[name] = {
      ...(typeof is === 'string' ? { is } : {}),
      ...(isRecord(was) ? { was } : {}),
      ...(isRecord(gone) ? { gone: readElements(gone) } : {}),
    };
  }
  return records;
}

function readElements(value: Readonly<Record<string, unknown>>): Record<number, Unnamed> {
  const elements: Record<number, Unnamed> = {};
  for (const [at, element] of Object.entries(value)) {
    if (/^\d{1,6}$/.test(at) && isRecord(element)) elements[Number(at)] = element;
  }
  return elements;
}
