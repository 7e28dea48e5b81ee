/** Events that the hub has refused for good: a spool keeps the newest apart, for somebody to look at. */
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { busyTimeout, databaseName } from './spool.ts';

export interface RejectedEvent {
  readonly id: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly reason: string;
  readonly text: string;
}

/** What the hub has refused for good, oldest first, of a spool that may be in use. @throws where there is none */
export function rejectedEvents(folder: string): RejectedEvent[] {
  const database = new DatabaseSync(path.join(folder, databaseName), { readOnly: true });
  try {
    return database
      .prepare('SELECT id, at, reason, text FROM rejected ORDER BY id')
      .all()
      .map(({ id, at, reason, text }) => ({
        ...{ id: Number(id), at: Number(at) },
        ...{ reason: String(reason), text: String(text) },
      }));
  } finally {
    database.close();
  }
}

/** Rejected events that have been sent again are not kept apart any more. */
export function forgetRejected(folder: string, ids: readonly number[]): void {
  const database = new DatabaseSync(path.join(folder, databaseName), { timeout: busyTimeout });
  try {
    const forget = database.prepare('DELETE FROM rejected WHERE id = ?');
    for (const id of ids) forget.run(id);
  } finally {
    database.close();
  }
}
