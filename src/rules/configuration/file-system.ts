/**
 * What this room sees of a file system: three questions, answers as values.
 *
 * `falcoFileSystem()` answers them from the disk. A `root` in front of every path lets tests show a tree that
 * lies elsewhere; the command itself uses none.
 */

import { closeSync, fstatSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { messageOf } from '../../reasons/message-of.ts';

/** What is at a path, symbolic links followed, as Falco does. */
export type Look =
  | { readonly is: 'file'; readonly size: number }
  | { readonly is: 'folder' | 'other' | 'missing' }
  | { readonly is: 'unreadable'; readonly why: string };

/** The names in a folder, sorted bytewise; those that are not UTF-8 apart, byte for byte as Latin-1. */
export type Listing =
  | { readonly is: 'names'; readonly names: readonly string[]; readonly notUtf8: readonly string[] }
  | { readonly is: 'unreadable'; readonly why: string };

export type Content =
  | { readonly is: 'bytes'; readonly bytes: Buffer }
  | { readonly is: 'too_large' }
  | { readonly is: 'unreadable'; readonly why: string };

export interface FileSystem {
  look(path: string): Look;
  list(path: string): Listing;
  /** Reads a regular file of at most `limit` bytes. */
  read(path: string, limit: number): Content;
}

/** Paths that stat(2) fails on with one of these are skipped by Falco without a word (FACTS 1.7). */
const missing: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG']);

export function errorCode(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return messageOf(error);
}

/** The disk, every path behind `root` (none: the paths as they are). */
export function falcoFileSystem(root = ''): FileSystem {
  return {
    look: (path) => look(root + path),
    list: (path) => list(root + path),
    read: (path, limit) => read(root + path, limit),
  };
}

function look(path: string): Look {
  try {
    const stats = statSync(path);
    if (stats.isFile()) return { is: 'file', size: stats.size };
    return { is: stats.isDirectory() ? 'folder' : 'other' };
  } catch (error) {
    const code = errorCode(error);
    return missing.has(code) ? { is: 'missing' } : { is: 'unreadable', why: code };
  }
}

function list(path: string): Listing {
  try {
    const names: Buffer[] = readdirSync(path, { encoding: 'buffer' });
    names.sort(Buffer.compare);
    const listing = { is: 'names' as const, names: [] as string[], notUtf8: [] as string[] };
    for (const name of names) {
      const text = utf8(name);
      if (text === undefined) listing.notUtf8.push(name.toString('latin1'));
      else listing.names.push(text);
    }
    return listing;
  } catch (error) {
    return { is: 'unreadable', why: errorCode(error) };
  }
}

function read(path: string, limit: number): Content {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    const stats = fstatSync(file);
    if (!stats.isFile()) return { is: 'unreadable', why: 'not a regular file' };
    if (stats.size > limit) return { is: 'too_large' };
    const bytes = readFileSync(file);
    return bytes.length > limit ? { is: 'too_large' } : { is: 'bytes', bytes };
  } catch (error) {
    return { is: 'unreadable', why: errorCode(error) };
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of bytes (a byte order mark kept), or undefined when they are not UTF-8. */
export function utf8(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * A text that changes whenever what is at a path does: its inode, size and times, or the number of the error. Links
 * are followed. src/launcher/watch.c writes the same.
 */
export function signatureOf(path: string): string {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch (error) {
    // Node has the number below 0.
    return error instanceof Error && 'errno' in error ? String(error.errno) : errorCode(error);
  }
}
