/** What is in a folder, to see whether a run changed anything. */
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join, relative } from 'node:path';

/** Each path below `folder` with everything that a change, a rewrite or a replacement of it would alter. */
export function snapshot(folder: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const walk = (path: string): void => {
    const { ino, mode, uid, gid, mtimeMs, size } = lstatSync(path);
    const kind = mode & 0o170000;
    const isFolder = kind === 0o040000;
    const content = isFolder ? '' : kind === 0o120000 ? readlinkSync(path) : readFileSync(path, 'latin1');
    // A folder's size and time say only that something in it came or went, which the paths themselves tell.
    const facts = isFolder ? { ino, mode, uid, gid } : { ino, mode, uid, gid, mtimeMs, size, content };
    found.set(relative(folder, path), JSON.stringify(facts));
    if (isFolder) for (const name of readdirSync(path)) walk(join(path, name));
  };
  walk(folder);
  return found;
}

/** The paths that were added, changed or taken away between two snapshots. */
export function changedPaths(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): readonly string[] {
  const paths = new Set([...before.keys(), ...after.keys()]);
  return [...paths].filter((path) => before.get(path) !== after.get(path)).toSorted();
}
