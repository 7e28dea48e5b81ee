import path from 'node:path';
import type { V1VolumeMount } from '@kubernetes/client-node';

export const configFolder = '/etc/falco';

/** Where the runtime mounts it: `/etc//falco/` is /etc/falco. */
export function placeOf({ mountPath }: V1VolumeMount): string {
  // Asked of each mount against each other: most paths are plain, and then this is all there is to do.
  return /\/[./]|\/$|^[^/]/.test(mountPath) ? path.posix.resolve('/', mountPath) : mountPath;
}

export function isAtOrBelow(place: string, folder: string): boolean {
  if (!place.startsWith(folder)) return false;
  return place.length === folder.length || folder === '/' || place.charAt(folder.length) === '/';
}
