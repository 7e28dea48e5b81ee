/**
 * Events on disk, in one SQLite database. Everything is written in transactions that are on disk when they return
 * (write-ahead log, synchronous FULL); one transaction serves all events of a moment.
 *
 * Its files never take more than `limit` together, nor more than the disk has for them. When it is full, the oldest event
 * of the lowest priority goes first.
 */
import { closeSync, mkdirSync, openSync, statfsSync, statSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';

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
  /** Address that it came from: none takes more than its share. */
  readonly sender: string;
}

export interface WaitingEvent {
  /** Grows from event to event, and is never given twice. */
  readonly id: number;
  readonly priority: number;
  /** Bytes of its text. */
  readonly size: number;
}

/** What one transaction does. */
export interface Changes {
  readonly keep: readonly NewEvent[];
  /** Events that the hub has. */
  readonly delivered: readonly number[];
  /** Events that the hub will never take, and why: they are kept apart. */
  readonly rejected: readonly { readonly id: number; readonly reason: string }[];
}

/** How many events of which priority went because the spool was full: index in `priorities` to count. */
export type Dropped = ReadonlyMap<number, number>;

/** What came of a transaction. */
export interface Committed {
  /** Of the events that were to be kept, in order: their ids, or that they are there already. */
  readonly ids: readonly (number | 'duplicate')[];
  readonly dropped: Dropped;
}

/** How the database looks; an older one is brought to this when it is opened. */
const schemaVersion = 1;

/** Rejected events that stay for somebody to look at: the newest. */
const mostRejected = 1_000;

const pageSize = 4096;

/** Milliseconds for which a reader beside us, such as `--list-rejected`, is waited for. */
export const busyTimeout = 2_000;

/**
 * What the write-ahead log takes at the most: it is written back into the database after these pages, and a transaction
 * more may lie in it by then (see `largestTransaction`).
 */
const logPages = 512;

/** Bytes of events in one transaction, and rejected events; what is more is parted by whoever keeps events. */
export const largestTransaction = 1024 * 1024;
export const mostRejectedAtOnce = 1;

/** Log, its index and the database's own pages, and what is written before others go: what is not there for events. */
const overhead = logPages * pageSize + 3 * largestTransaction + 512 * 1024;

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
    sender TEXT NOT NULL,
    key TEXT,
    text TEXT NOT NULL
  ) STRICT;
  CREATE INDEX by_priority ON events (priority, id);
  CREATE INDEX by_sender ON events (sender, priority, id);
  CREATE TABLE rejected (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    text TEXT NOT NULL
  ) STRICT;
  CREATE TABLE spool (id TEXT NOT NULL) STRICT;
  INSERT INTO spool (id) VALUES (lower(hex(randomblob(8))));
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

/** Names of the files below the spool's folder. */
export const databaseName = 'events.db';
export const logSuffixes = ['-wal', '-shm'];

/** A sender that has so many times its share of what waits loses events first when the spool is full. */
const sharesAllowed = 1.5;

interface Statements {
  readonly insert: StatementSync;
  readonly next: StatementSync;
  readonly remove: StatementSync;
  readonly bySender: StatementSync;
  readonly reject: StatementSync;
  readonly trimRejected: StatementSync;
  readonly dropRejected: StatementSync;
  readonly lowestOfAll: StatementSync;
  readonly lowestOf: StatementSync;
  readonly oldest: StatementSync;
  readonly byId: StatementSync;
  readonly lines: StatementSync;
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
  private bytesOfSenders = new Map<string, number>();
  /** Which of the two tables of keys is the newer one, and bytes of its keys. */
  private newerKeys: 0 | 1 = 0;
  private bytesOfKeys = 0;

  /**
   * Opens the spool in a folder, or makes one there.
   *
   * @param limit bytes that its files may take together; at least `smallestSpool`
   * @throws what SQLite or the file system does; an Error that names the remedy where a newer version made the spool
   */
  constructor(folder: string, limit: number) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.folder = folder;
    this.limit = limit;
    // SQLite gives its other files the mode of this one.
    const file = path.join(folder, databaseName);
    closeSync(openSync(file, 'a', 0o600));
    this.database = new DatabaseSync(file, { timeout: busyTimeout });
    try {
      this.prepareDatabase();
      this.run = this.prepareStatements();
      this.count();
    } catch (error) {
      this.database.close();
      throw error;
    }
  }

  private prepareDatabase(): void {
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
    if (version === 0) this.transaction(() => this.database.exec(schema));
  }

  private prepareStatements(): Statements {
    const { database } = this;
    return {
      insert: database.prepare(
        'INSERT INTO events (received, priority, size, sender, key, text) VALUES (?, ?, ?, ?, ?, ?)',
      ),
      next: database.prepare(
        'SELECT id, priority, size FROM events WHERE priority = ? AND id > ? ORDER BY id LIMIT ?',
      ),
      remove: database.prepare('DELETE FROM events WHERE id IN (SELECT value FROM json_each(?))'),
      bySender: database.prepare(
        'SELECT sender, count(*) AS events, total(size) AS bytes FROM events WHERE id IN (SELECT value FROM json_each(?)) GROUP BY sender',
      ),
      reject: database.prepare(
        'INSERT INTO rejected (at, reason, text) SELECT ?, ?, text FROM events WHERE id = ?',
      ),
      trimRejected: database.prepare('DELETE FROM rejected WHERE id <= (SELECT max(id) FROM rejected) - ?'),
      dropRejected: database.prepare(
        'DELETE FROM rejected WHERE id IN (SELECT id FROM rejected ORDER BY id LIMIT 1)',
      ),
      lowestOfAll: database.prepare(
        'SELECT id, priority FROM events WHERE priority = (SELECT max(priority) FROM events) ORDER BY id LIMIT 64',
      ),
      lowestOf: database.prepare(
        'SELECT id, priority FROM events WHERE sender = ?1 AND priority = (SELECT max(priority) FROM events WHERE sender = ?1) ORDER BY id LIMIT 64',
      ),
      oldest: database.prepare('SELECT received FROM events ORDER BY id LIMIT 1'),
      byId: database.prepare('SELECT id, priority, size FROM events WHERE id = ?'),
      lines: database.prepare(
        `SELECT CAST(group_concat(format('{"key":"%s","event":%s}%s', coalesce(events.key, spool.id || '/' || events.id), text, char(10)), '' ORDER BY ids.key) AS BLOB) AS lines
         FROM json_each(?) AS ids CROSS JOIN events ON events.id = ids.value CROSS JOIN spool`,
      ),
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
    const rows = this.database
      .prepare('SELECT sender, count(*) AS events, total(size) AS bytes FROM events GROUP BY sender')
      .all();
    for (const { sender, events, bytes } of rows) {
      this.waitingEvents += Number(events);
      this.waitingBytes += Number(bytes);
      this.bytesOfSenders.set(String(sender), Number(bytes));
    }
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
    const bytesOfSenders = new Map(this.bytesOfSenders);
    try {
      const result = work();
      this.database.exec('COMMIT');
      return result;
    } catch (error) {
      Object.assign(this, { waitingEvents, waitingBytes, newerKeys, bytesOfKeys, bytesOfSenders });
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
      for (const { id, reason } of rejected) this.run.reject.run(Date.now(), reason, id);
      if (rejected.length > 0) this.run.trimRejected.run(mostRejected);
      const gone = [...rejected.map(({ id }) => id), ...delivered];
      if (gone.length > 0) this.remove(gone);
      const kept = keep.map((event) => (this.isNew(event) ? this.insert(event) : 'duplicate'));
      if (keep.length > 0) this.makeRoom(dropped);
      return kept;
    });
    return { ids, dropped };
  }

  /** Writes something that changes nothing. @throws where the spool cannot be written */
  proveWritable(): void {
    // What was seen of a full disk is not true any more.
    this.lookedAtDisk = Number.NEGATIVE_INFINITY;
    this.transaction(() => this.database.exec('UPDATE sqlite_sequence SET seq = seq'));
  }

  private insert({ received, priority, sender, key, text }: NewEvent): number {
    const size = Buffer.byteLength(text);
    const { lastInsertRowid } = this.run.insert.run(received, priority, size, sender, key ?? null, text);
    this.counted(sender, 1, size);
    return Number(lastInsertRowid);
  }

  /** Those that are gone already do not count. */
  private remove(ids: readonly number[]): void {
    const list = JSON.stringify(ids);
    for (const { sender, events, bytes } of this.run.bySender.all(list))
      this.counted(String(sender), -Number(events), -Number(bytes));
    this.run.remove.run(list);
  }

  private counted(sender: string, events: number, bytes: number): void {
    this.waitingEvents += events;
    this.waitingBytes += bytes;
    const now = (this.bytesOfSenders.get(sender) ?? 0) + bytes;
    if (now <= 0) this.bytesOfSenders.delete(sender);
    else this.bytesOfSenders.set(sender, now);
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

  /** Lets go what is worth least until the rest has room. */
  private makeRoom(dropped: Map<number, number>): void {
    const most = this.bound() - overhead;
    const hasRoom = (): boolean => this.used() <= most;
    while (!hasRoom()) {
      // The hub will never take these: what still waits is worth more.
      if (this.run.dropRejected.run().changes > 0) continue;
      if (!this.dropSome(hasRoom, dropped)) return;
    }
  }

  /** @returns whether there was anything to drop */
  private dropSome(hasRoom: () => boolean, dropped: Map<number, number>): boolean {
    const greedy = this.greediest();
    const rows = greedy === undefined ? this.run.lowestOfAll.all() : this.run.lowestOf.all(greedy);
    for (const row of rows) {
      const priority = Number(row.priority);
      this.remove([Number(row.id)]);
      dropped.set(priority, (dropped.get(priority) ?? 0) + 1);
      if (hasRoom()) break;
    }
    return rows.length > 0;
  }

  /** The sender that has the most, if that is far more than its share: not even its Emergencies push out the others'. */
  private greediest(): string | undefined {
    const share = this.waitingBytes / this.bytesOfSenders.size;
    let [greedy, most]: [string | undefined, number] = [undefined, share * sharesAllowed];
    for (const [sender, bytes] of this.bytesOfSenders) if (bytes > most) [greedy, most] = [sender, bytes];
    return greedy;
  }

  /** Events of a priority behind that of an id, oldest first. */
  next(priority: number, after: number, most: number): WaitingEvent[] {
    // Safe: these are the columns.
    return this.run.next.all(priority, after, most) as unknown as WaitingEvent[];
  }

  byId(id: number): WaitingEvent | undefined {
    return this.run.byId.get(id) as unknown as WaitingEvent | undefined;
  }

  /** These events as lines of a body, in this order; their bytes, as texts would fill the heap. */
  lines(ids: readonly number[]): Uint8Array {
    // Safe: it is a BLOB, as there is one event at least.
    return this.run.lines.get(JSON.stringify(ids))?.lines as Uint8Array;
  }

  /** Random, of this spool for ever. */
  id(): string {
    return String(this.database.prepare('SELECT id FROM spool').get()?.id);
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

/** Bytes of a file; 0 where there is none. */
export function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
