/** What SQLite's errors say of a spool (its numbers: https://www.sqlite.org/rescode.html). */
import { messageOf } from '../reasons/message-of.ts';

/** The number without what is more precise; 0 for another error. */
function codeOf(error: unknown): number {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode & 0xff
    : 0;
}

/** SQLITE_CORRUPT, SQLITE_NOTADB: this file is no database (any more). */
export const isDamaged = (error: unknown): boolean => [11, 26].includes(codeOf(error));

/** SQLITE_FULL. */
export const isFull = (error: unknown): boolean => codeOf(error) === 13;

/** SQLITE_READONLY. */
const isReadOnly = (error: unknown): boolean => codeOf(error) === 8;

/** SQLITE_BUSY: another process has it. */
export const isLocked = (error: unknown): boolean => codeOf(error) === 5;

/** Whether what is there can still be read after this error. */
export const isStillReadable = (error: unknown): boolean => isFull(error) || isReadOnly(error);

/** Why the spool could not do something, for people. */
export function whySpoolFailed(error: unknown, folder: string): string {
  if (isFull(error)) return `${folder}: the disk is full`;
  if (isReadOnly(error)) return `${folder}: the disk, or a file in it, is read-only`;
  return `${folder}: ${messageOf(error)}`;
}
