/** The one spool of a folder: kept to one process, and saved as far as it can be read where it is damaged. */
import {
  closeSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
} from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import {
  busyTimeout,
  databaseName,
  largestTransaction,
  logSuffixes,
  type NewEvent,
  Spool,
  sizeOf,
  smallestSpool,
} from './spool.ts';
import { isDamaged, isFull, isLocked } from './sqlite-errors.ts';

/**
 * Keeps other forwarders away from a spool for as long as this process lives.
 *
 * @returns what lets them in again
 * @throws where another one has it
 */
export function lockSpool(folder: string): () => void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const lock = new DatabaseSync(path.join(folder, 'lock.db'), { timeout: busyTimeout });
  try {
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    if (!isLocked(error)) throw error;
    throw new Error('another forwarder uses this spool: stop it, or give another folder with --spool');
  }
  return () => lock.close();
}

/** An open spool, and how many events of a damaged one are in it; undefined where none was damaged. */
export interface OpenedSpool {
  readonly spool: Spool;
  readonly saved: number | undefined;
}

const damagedName = `${databaseName}.damaged`;

function exists(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false }) !== undefined;
}

/** Moves a damaged spool out of the way; opening has a look at what can still be read of it. */
export function setAside(folder: string): void {
  for (const suffix of ['', ...logSuffixes]) {
    const [from, to] = [path.join(folder, databaseName + suffix), path.join(folder, damagedName + suffix)];
    rmSync(to, { force: true });
    if (exists(from)) renameSync(from, to);
  }
}

/**
 * Opens the spool in a folder. One that is damaged gives way to a new one with all of it that can still be read and has
 * room beside it; its files then go, as they would count against the limit for ever.
 *
 * @throws as the constructor does
 */
export function openSpool(folder: string, limit: number): OpenedSpool {
  const damaged = path.join(folder, damagedName);
  if (!exists(damaged)) {
    try {
      return { spool: new Spool(folder, limit), saved: undefined };
    } catch (error) {
      if (!isDamaged(error)) throw error;
      setAside(folder);
    }
  }
  const damagedFiles = ['', ...logSuffixes].map((suffix) => damaged + suffix);
  const size = damagedFiles.reduce((sum, file) => sum + sizeOf(file), 0);
  const spool = new Spool(folder, Math.max(smallestSpool, limit - size));
  try {
    copyReadable(damaged, spool);
    for (const file of damagedFiles) rmSync(file, { force: true });
    spool.resize(limit);
    return { spool, saved: spool.waiting().events };
  } catch (error) {
    spool.close();
    throw error;
  }
}

/** Copies until the disk is full: what does not fit would not fit the next time either. */
function copyReadable(damaged: string, spool: Spool): void {
  let batch: NewEvent[] = [];
  let bytes = 0;
  const commit = (): void => {
    spool.commit({ keep: batch, delivered: [], rejected: [] });
    batch = [];
    bytes = 0;
  };
  try {
    for (const event of readable(damaged)) {
      batch.push(event);
      bytes += event.text.length;
      if (bytes > largestTransaction / 2) commit();
    }
    commit();
  } catch (error) {
    if (!isFull(error)) throw error;
  }
}

/** Ids that are looked for one by one, as indexes and lists may be damaged: more than a spool has. */
const mostProbed = 4_000_000;

/** Gives a file that was cut off its length again: pages without anything cost no more than what was on them. */
function lengthen(file: string): void {
  const header = Buffer.alloc(32);
  const descriptor = openSync(file, 'r');
  readSync(descriptor, header, 0, header.length, 0);
  closeSync(descriptor);
  const length = header.readUInt32BE(28) * header.readUInt16BE(16);
  // Not more than a spool can have.
  if (length > sizeOf(file) && length < 2 ** 40) truncateSync(file, length);
}

/** The last id that a damaged database has given, as far as it says. */
function lastId(database: DatabaseSync): number {
  try {
    return Number(database.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'events'").get()?.seq);
  } catch {
    return mostProbed;
  }
}

/** Events of a damaged database, as far as they can be read: a page costs what is on it. */
function* readable(file: string): Generator<NewEvent> {
  let database: DatabaseSync | undefined;
  try {
    lengthen(file);
    database = new DatabaseSync(file, { readOnly: true });
    const byId = database.prepare('SELECT received, priority, sender, key, text FROM events WHERE id = ?');
    const last = lastId(database);
    for (let id = Math.max(1, last - mostProbed); id <= last; id++) {
      try {
        const row = byId.get(id);
        if (row === undefined) continue;
        yield {
          ...{ received: Number(row.received), priority: Number(row.priority), sender: String(row.sender) },
          ...{ key: typeof row.key === 'string' ? row.key : undefined, text: String(row.text) },
        };
      } catch {
        // It was on the damaged page.
      }
    }
  } catch {
    // What cannot be read is lost; how many events there were, nobody knows.
  } finally {
    database?.close();
  }
}
