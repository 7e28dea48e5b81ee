/**
 * Events on disk, in one SQLite database. Everything is written in transactions that are on disk when they return
 * (write-ahead log, synchronous FULL); one transaction serves all events of a moment.
 *
 * Its files never take more than `limit` together, nor more than the disk has for them. When it is full, the oldest event
 * of the lowest priority goes first.
 */
import { mkdirSync, renameSync, rmSync, statfsSync, statSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { messageOf } from '../reasons/message-of.ts';

/** An event to be kept. */
export interface NewEvent {
  /** Its sender's name for it: one that came already is not kept again. */
  readonly key?: string | undefined;
  /** JSON, completed. */
  readonly text: string;
  /** Index in `priorities`: 0 is the highest. */
  readonly priority: number;
  /** Milliseconds since 1970. */
  readonly received: number;
}

export interface WaitingEvent extends NewEvent {
  /** Grows from event to event, and is never given twice. */
  readonly id: number;
}

/** What one transaction does. */
export interface Changes {
  readonly keep: readonly NewEvent[];
  /** Events that the hub has. */
  readonly delivered: readonly number[];
  /** Events that the hub will never take, with the HTTP status that said so: they are kept apart. */
  readonly rejected: readonly { readonly id: number; readonly status: number }[];
}

/** How many events of which priority went because the spool was full: index in `priorities` to count. */
export type Dropped = ReadonlyMap<number, number>;

/** What came of a transaction. */
export interface Committed {
  /** Of the events that were to be kept, in order: their ids, or why there is none. */
  readonly ids: readonly (number | 'duplicate' | 'dropped')[];
  readonly dropped: Dropped;
}

export interface RejectedEvent {
  readonly at: number;
  readonly status: number;
  readonly text: string;
}

/** How the database looks; an older one is brought to this when it is opened. */
const schemaVersion = 1;

/** Rejected events that stay for somebody to look at: the newest. */
const mostRejected = 1_000;

const pageSize = 4096;

/** Milliseconds for which a reader beside us, such as `--list-rejected`, is waited for. */
const busyTimeout = 2_000;

/**
 * What the write-ahead log takes at the most: it is written back into the database after these pages, and a transaction
 * more may lie in it by then (see `largestTransaction`).
 */
const logPages = 512;

/** Bytes of events in one transaction, and rejected events; what is more is parted by whoever keeps events. */
export const largestTransaction = 2 * 1024 * 1024;
export const mostRejectedAtOnce = 2;

/** Log, its index and the database's own pages: what is not there for events. */
const overhead = logPages * pageSize + 2 * largestTransaction + 512 * 1024;

/** Milliseconds between two looks at how much room the disk has. */
const lookAtDiskEvery = 1_000;

/** Below this there would be no room for events. */
export const smallestSpool = 2 * overhead;

const schema = `
  CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    size INTEGER NOT NULL,
    text TEXT NOT NULL
  ) STRICT;
  CREATE INDEX by_priority ON events (priority, id, size);
  CREATE TABLE rejected (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    status INTEGER NOT NULL,
    text TEXT NOT NULL
  ) STRICT;
  CREATE TABLE keys0 (key TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
  CREATE TABLE keys1 (key TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
  PRAGMA user_version = ${schemaVersion};
`;

/**
 * Keys of the last events are remembered in two tables: the older one goes as a whole when the newer one has this part
 * of the limit, so that forgetting costs next to nothing.
 */
const partForKeys = 64;
const roomForKey = 40;

/**
 * Lets the ids of a new spool begin behind those of any older one: an id that is still on its way must not stand for
 * another event when a damaged spool gave way to a new one.
 */
function firstIds(behind: number): string {
  return `INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ${Math.max(behind, Date.now() * 1000)});`;
}

/** The database's numbers for "this file is no database (any more)" (SQLITE_CORRUPT, SQLITE_NOTADB). */
export function isDamaged(error: unknown): boolean {
  return [11, 26].includes(errorNumber(error) & 0xff);
}

export function isFull(error: unknown): boolean {
  return (errorNumber(error) & 0xff) === 13;
}

function isReadOnly(error: unknown): boolean {
  return (errorNumber(error) & 0xff) === 8;
}

/** Whether what is there can still be read after this error. */
export function isStillReadable(error: unknown): boolean {
  return isFull(error) || isReadOnly(error);
}

function errorNumber(error: unknown): number {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode
    : 0;
}

/** Names of the files below the spool's folder. */
const databaseName = 'events.db';
const logSuffixes = ['-wal', '-shm'];

/** The longest row that SQLite keeps in one page; of a longer one a little stays there, the rest gets pages of its own. */
const longestInPage = pageSize - 35;
const shortestInPage = 489;

/** Bytes that an event takes on disk: its part of a page, or pages of its own, and its place in the index. */
function roomFor(size: number): number {
  const row = size + 24;
  if (row > longestInPage)
    return Math.ceil((row - shortestInPage) / (pageSize - 4)) * pageSize + shortestInPage + 40;
  return pageSize / Math.floor((pageSize - 12) / row) + 40;
}

interface Statements {
  readonly insert: StatementSync;
  readonly next: StatementSync;
  readonly remove: StatementSync;
  readonly reject: StatementSync;
  readonly trimRejected: StatementSync;
  readonly dropRejected: StatementSync;
  readonly lowest: StatementSync;
  readonly oldestOf: StatementSync;
  readonly oldest: StatementSync;
  readonly pages: StatementSync;
  readonly freePages: StatementSync;
  readonly hasKey: StatementSync;
  readonly addKey: readonly [StatementSync, StatementSync];
}

/** One open spool. Every method throws what SQLite does; whoever keeps events deals with it. */
export class Spool {
  private readonly folder: string;
  private readonly database: DatabaseSync;
  private readonly run: Statements;
  private limit: number;
  private roomOnDisk = Number.POSITIVE_INFINITY;
  private lookedAtDisk = Number.NEGATIVE_INFINITY;
  private waitingEvents = 0;
  private waitingBytes = 0;
  /** Which of the two tables of keys is the newer one, and bytes of its keys. */
  private newerKeys: 0 | 1 = 0;
  private bytesOfKeys = 0;

  /**
   * Opens the spool in a folder, or makes one there.
   *
   * @param limit bytes that its files may take together; at least `smallestSpool`
   * @param idsBehind the ids of a new one are larger than this
   * @throws what SQLite or the file system does; an Error that names the remedy where a newer version made the spool
   */
  constructor(folder: string, limit: number, idsBehind = 0) {
    mkdirSync(folder, { recursive: true });
    this.folder = folder;
    this.limit = limit;
    this.database = new DatabaseSync(path.join(folder, databaseName), { timeout: busyTimeout });
    try {
      this.prepareDatabase(idsBehind);
      this.run = this.prepareStatements();
      this.count();
    } catch (error) {
      this.database.close();
      throw error;
    }
  }

  private prepareDatabase(idsBehind: number): void {
    this.database.exec(`
      PRAGMA page_size = ${pageSize};
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA wal_autocheckpoint = ${logPages};
      PRAGMA journal_size_limit = ${logPages * pageSize};
      PRAGMA cache_size = -2048;
      PRAGMA temp_store = MEMORY;
    `);
    const version = this.number('PRAGMA user_version', 'user_version');
    if (version > schemaVersion) {
      throw new Error(
        `the spool in ${this.folder} is of a newer version (${version}; this program knows ${schemaVersion}): run the newer program again, or give another folder with --spool`,
      );
    }
    if (version === 0) this.transaction(() => this.database.exec(schema + firstIds(idsBehind)));
  }

  private prepareStatements(): Statements {
    const { database } = this;
    return {
      insert: database.prepare('INSERT INTO events (received, priority, size, text) VALUES (?, ?, ?, ?)'),
      next: database.prepare(
        'SELECT id, received, priority, text FROM events WHERE id > ? ORDER BY id LIMIT 1',
      ),
      remove: database.prepare('DELETE FROM events WHERE id = ? RETURNING size, priority'),
      reject: database.prepare(
        'INSERT INTO rejected (at, status, text) SELECT ?, ?, text FROM events WHERE id = ?',
      ),
      trimRejected: database.prepare('DELETE FROM rejected WHERE id <= (SELECT max(id) FROM rejected) - ?'),
      dropRejected: database.prepare(
        'DELETE FROM rejected WHERE id IN (SELECT id FROM rejected ORDER BY id LIMIT 1)',
      ),
      lowest: database.prepare('SELECT max(priority) AS priority FROM events'),
      oldestOf: database.prepare('SELECT id FROM events WHERE priority = ? ORDER BY id LIMIT 64'),
      oldest: database.prepare('SELECT received FROM events ORDER BY id LIMIT 1'),
      pages: database.prepare('PRAGMA page_count'),
      freePages: database.prepare('PRAGMA freelist_count'),
      hasKey: database.prepare(
        'SELECT 1 FROM keys0 WHERE key = ?1 UNION ALL SELECT 1 FROM keys1 WHERE key = ?1',
      ),
      addKey: [
        database.prepare('INSERT INTO keys0 (key) VALUES (?)'),
        database.prepare('INSERT INTO keys1 (key) VALUES (?)'),
      ],
    };
  }

  private number(sql: string, column: string): number {
    return Number(this.database.prepare(sql).get()?.[column] ?? 0);
  }

  private count(): void {
    const row = this.database.prepare('SELECT count(*) AS events, total(size) AS bytes FROM events').get();
    this.waitingEvents = Number(row?.events ?? 0);
    this.waitingBytes = Number(row?.bytes ?? 0);
    const [first, second] = ([0, 1] as const).map((table) =>
      this.number(`SELECT total(length(key) + ${roomForKey}) AS bytes FROM keys${table}`, 'bytes'),
    );
    this.newerKeys = (first ?? 0) > (second ?? 0) ? 1 : 0;
    this.bytesOfKeys = Math.min(first ?? 0, second ?? 0);
  }

  /** Remembers a key. @returns whether it is a new one */
  private isNew({ key }: NewEvent): boolean {
    if (key === undefined) return true;
    if (this.run.hasKey.get(key) !== undefined) return false;
    if (this.bytesOfKeys > this.limit / partForKeys) {
      this.newerKeys = this.newerKeys === 0 ? 1 : 0;
      this.bytesOfKeys = 0;
      this.database.exec(`DELETE FROM keys${this.newerKeys}`);
    }
    this.run.addKey[this.newerKeys].run(key);
    this.bytesOfKeys += key.length + roomForKey;
    return true;
  }

  private transaction<Result>(work: () => Result): Result {
    this.database.exec('BEGIN IMMEDIATE');
    const { waitingEvents, waitingBytes, newerKeys, bytesOfKeys } = this;
    try {
      const result = work();
      this.database.exec('COMMIT');
      return result;
    } catch (error) {
      Object.assign(this, { waitingEvents, waitingBytes, newerKeys, bytesOfKeys });
      try {
        this.database.exec('ROLLBACK');
      } catch {
        // SQLite has rolled back by itself after most errors; the first error is the one to tell.
      }
      throw error;
    }
  }

  /** Makes the limit another one; a smaller one takes effect as events go. */
  resize(limit: number): void {
    this.limit = limit;
  }

  /** Does all of it or nothing. */
  commit({ keep, delivered, rejected }: Changes): Committed {
    const dropped = new Map<number, number>();
    const ids = this.transaction(() => {
      for (const { id, status } of rejected) {
        this.run.reject.run(Date.now(), status, id);
        this.remove(id);
      }
      if (rejected.length > 0) this.run.trimRejected.run(mostRejected);
      for (const id of delivered) this.remove(id);
      const fresh = new Set(keep.filter((event) => this.isNew(event)));
      const staying = new Set(this.withRoomFor([...fresh], dropped));
      return keep.map((event) => {
        if (staying.has(event)) return this.insert(event);
        return fresh.has(event) ? 'dropped' : 'duplicate';
      });
    });
    return { ids, dropped };
  }

  /** Writes something that changes nothing. @throws where the spool cannot be written */
  proveWritable(): void {
    this.transaction(() => this.database.exec('UPDATE sqlite_sequence SET seq = seq'));
  }

  private insert({ received, priority, text }: NewEvent): number {
    const size = Buffer.byteLength(text);
    const { lastInsertRowid } = this.run.insert.run(received, priority, size, text);
    this.waitingEvents++;
    this.waitingBytes += size;
    return Number(lastInsertRowid);
  }

  /** @returns the removed event's priority; undefined where it is gone already */
  private remove(id: number): number | undefined {
    const row = this.run.remove.get(id);
    if (row === undefined) return undefined;
    this.waitingEvents--;
    this.waitingBytes -= Number(row.size);
    return Number(row.priority);
  }

  /** Bytes of the database that are in use; pages that deleted events left are used again. */
  private used(): number {
    const pages = Number(this.run.pages.get()?.page_count ?? 0);
    return (pages - Number(this.run.freePages.get()?.freelist_count ?? 0)) * pageSize;
  }

  /**
   * Bytes that the files may take: on a disk that is smaller than the limit, or that others use too, what is there. What
   * the spool itself writes does not change it.
   */
  private bound(): number {
    const now = performance.now();
    if (now - this.lookedAtDisk > lookAtDiskEvery) {
      const { bavail, bsize } = statfsSync(this.folder);
      this.roomOnDisk = this.size() + bavail * bsize;
      this.lookedAtDisk = now;
    }
    return Math.min(this.limit, this.roomOnDisk);
  }

  /** Makes room. @returns those of the new events that stay: they may themselves be of the lowest priority */
  private withRoomFor(keep: readonly NewEvent[], dropped: Map<number, number>): readonly NewEvent[] {
    let needed = keep.reduce((sum, { text }) => sum + roomFor(Buffer.byteLength(text)), 0);
    const most = this.bound() - overhead;
    const hasRoom = (): boolean => this.used() + needed <= most;
    const drop = (priority: number): void => {
      dropped.set(priority, (dropped.get(priority) ?? 0) + 1);
    };
    const staying = [...keep];
    while (!hasRoom()) {
      // The hub will never take these: what still waits is worth more.
      if (this.run.dropRejected.run().changes > 0) continue;
      const lowest = this.run.lowest.get()?.priority;
      const stored = typeof lowest === 'number' ? lowest : -1;
      const at = indexOfLowest(staying);
      const fresh = staying[at];
      if (fresh !== undefined && fresh.priority > stored) {
        staying.splice(at, 1);
        needed -= roomFor(Buffer.byteLength(fresh.text));
        drop(fresh.priority);
      } else if (stored === -1) break;
      else this.dropOldest(stored, hasRoom, drop);
    }
    return staying;
  }

  private dropOldest(priority: number, hasRoom: () => boolean, drop: (priority: number) => void): void {
    for (const { id } of this.run.oldestOf.all(priority)) {
      if (this.remove(Number(id)) !== undefined) drop(priority);
      if (hasRoom()) return;
    }
  }

  /** The oldest event behind that of an id; undefined where none is. */
  next(after: number): WaitingEvent | undefined {
    const row = this.run.next.get(after);
    if (row === undefined) return undefined;
    const { id, received, priority, text } = row;
    return { id: Number(id), received: Number(received), priority: Number(priority), text: String(text) };
  }

  /** What waits: events, and the bytes of their texts. */
  waiting(): { readonly events: number; readonly bytes: number } {
    return { events: this.waitingEvents, bytes: this.waitingBytes };
  }

  /** When the oldest waiting event was received, milliseconds since 1970. */
  oldest(): number | undefined {
    const row = this.run.oldest.get();
    return row === undefined ? undefined : Number(row.received);
  }

  /** Bytes that its files take. */
  size(): number {
    const file = path.join(this.folder, databaseName);
    return ['', ...logSuffixes].reduce((sum, suffix) => sum + sizeOf(file + suffix), 0);
  }

  close(): void {
    this.database.close();
  }
}

/** The oldest of the lowest priority. */
function indexOfLowest(events: readonly NewEvent[]): number {
  let found = -1;
  for (const [at, { priority }] of events.entries()) {
    if (priority > (events[found]?.priority ?? -1)) found = at;
  }
  return found;
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

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
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
export function openSpool(folder: string, limit: number, idsBehind = 0): OpenedSpool {
  const damaged = path.join(folder, damagedName);
  if (!exists(damaged)) {
    try {
      return { spool: new Spool(folder, limit, idsBehind), saved: undefined };
    } catch (error) {
      if (!isDamaged(error)) throw error;
      setAside(folder);
    }
  }
  const damagedFiles = ['', ...logSuffixes].map((suffix) => damaged + suffix);
  const size = damagedFiles.reduce((sum, file) => sum + sizeOf(file), 0);
  const spool = new Spool(folder, Math.max(smallestSpool, limit - size), idsBehind);
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

/** Events of a damaged database, as far as they can be read. */
function* readable(file: string): Generator<NewEvent> {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file, { readOnly: true });
    for (const row of database.prepare('SELECT received, priority, text FROM events').iterate()) {
      yield { received: Number(row.received), priority: Number(row.priority), text: String(row.text) };
    }
  } catch {
    // What cannot be read is lost; how many events there were, nobody knows.
  } finally {
    database?.close();
  }
}

/** What the hub has refused for good, oldest first, of a spool that may be in use. @throws where there is none */
export function rejectedEvents(folder: string): RejectedEvent[] {
  const database = new DatabaseSync(path.join(folder, databaseName), { readOnly: true });
  try {
    return database
      .prepare('SELECT at, status, text FROM rejected ORDER BY id')
      .all()
      .map(({ at, status, text }) => ({ at: Number(at), status: Number(status), text: String(text) }));
  } finally {
    database.close();
  }
}

/** Why the spool could not do something, for people. */
export function whySpoolFailed(error: unknown, folder: string): string {
  if (isFull(error)) return `${folder}: the disk is full`;
  if (isReadOnly(error)) return `${folder}: the disk, or a file in it, is read-only`;
  return `${folder}: ${messageOf(error)}`;
}
