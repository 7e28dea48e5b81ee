/** Paths as Falco spells and compares them. */
import { posix } from 'node:path';

/** A path in a folder, spelled as Falco does: no second slash. */
export function inFolder(folder: string, name: string): string {
  return folder.endsWith('/') ? folder + name : `${folder}/${name}`;
}

/** The folder for copies of what options add behind the list, which Falco loads last (FACTS 1.13). */
export function lastFolder(output: string): string {
  return inFolder(output, 'last');
}

export function samePath(a: string, b: string): boolean {
  const normal = (path: string) => posix.normalize(path).replace(/(?<=.)\/$/, '');
  return normal(a) === normal(b);
}
