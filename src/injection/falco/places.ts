import path from 'node:path';
import type { V1VolumeMount } from '@kubernetes/client-node';

export const configFolder = '/etc/falco';

/** Where the runtime mounts it: `/etc//falco/` is /etc/falco. */
export function placeOf({ mountPath }: V1VolumeMount): string {
  // Asked of each mount against each other: most paths are plain, and then this is all there is to do.
  return /\/[./]|\/$|^[^/]/.test(mountPath) ? path.posix.resolve('/', mountPath) : mountPath;
}

/** Places, to ask many times what lies at or below another one: in the order of their paths the answer stands beside it. */
export class Places {
  readonly #sorted: readonly string[];

  constructor(places: readonly string[]) {
    this.#sorted = places.map((place) => (place === '/' ? place : `${place}/`)).sort();
  }

  /** How many, two at the most. */
  atOrBelow(folder: string): number {
    const start = folder === '/' ? folder : `${folder}/`;
    const first = this.#firstFrom(start);
    const [one, other] = this.#sorted.slice(first, first + 2);
    return Number(one?.startsWith(start) === true) + Number(other?.startsWith(start) === true);
  }

  #firstFrom(text: string): number {
    let [low, high] = [0, this.#sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#sorted[middle] ?? '') < text) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export function isAtOrBelow(place: string, folder: string): boolean {
  if (!place.startsWith(folder)) return false;
  return place.length === folder.length || folder === '/' || place.charAt(folder.length) === '/';
}
