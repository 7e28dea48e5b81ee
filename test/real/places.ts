/** Where things lie. Caches are in `.cache/`, which git ignores. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { must } from './machine.ts';

export const root = resolve(import.meta.dirname, '../..');

/** Images, their root file systems and the volumes of test pods: one file system, as hard links are made in it. */
export const cache = join(root, '.cache', 'image');

/** Recorded AdmissionReviews, rendered charts and upstream's rules files; not part of the repository. */
const upstream = resolve(root, process.env.FEDERATION_UPSTREAM ?? '../shared/upstream');

export const upstreamFolder: string | undefined = existsSync(join(upstream, 'reviews'))
  ? upstream
  : undefined;

/** A new folder in the cache for one bundle or one pod's volumes; who asks for it removes it. */
export function scratchFolder(prefix: 'bundle-' | 'volumes-'): string {
  mkdirSync(cache, { recursive: true });
  // runc takes no paths with links in them.
  return realpathSync(mkdtempSync(join(cache, prefix)));
}

/** Removes such a folder, and before it the volumes in memory that are mounted there. */
export function removeScratch(folder: string): void {
  const mounted = readFileSync('/proc/self/mounts', 'utf8').matchAll(/^\S+ (\S+) /gm);
  for (const [, path = ''] of mounted) if (path.startsWith(`${folder}/`)) must('umount', [path]);
  rmSync(folder, { recursive: true, force: true });
}

/** Removes what a run that was stopped in its middle has left. */
export function removeLeftovers(): void {
  mkdirSync(cache, { recursive: true });
  for (const name of readdirSync(cache)) {
    if (/^(bundle|volumes)-/.test(name)) removeScratch(realpathSync(join(cache, name)));
  }
}
