/** What one entry of rules_files means to Falco: the files it loads from there, or why we leave it as it is. */
import { posix } from 'node:path';
import type { Finding } from '../../reasons/reasons.ts';
import type { RulesFilesEntry } from './effective-rules-files.ts';
import type { FalcoVersion } from './falco-version.ts';
import type { FileSystem } from './file-system.ts';
import { inFolder } from './paths.ts';

export interface RulesFile {
  /** Spelled as Falco logs it. */
  readonly path: string;
  /** Its name in whatever folder it lies in: names decide the order there. */
  readonly name: string;
}

/** Its files, or why it stays as it is. */
export type EntryContent = readonly RulesFile[] | Finding;

/**
 * Lists the rules files behind an entry in Falco's order: the file itself, or the folder's regular files by name,
 * links followed, sub-folders (a ConfigMap's `..data` too) left out; from 0.41 only .yaml and .yml (FACTS 1.13),
 * by the whole path.
 */
export function rulesFilesOf(
  fileSystem: FileSystem,
  entry: RulesFilesEntry,
  version: FalcoVersion,
): EntryContent {
  const { path, written = path, unknown } = entry;
  if (unknown.length > 0) return kept('rules_entry_variable_unknown', `${written}: ${unknown.join(', ')}`);
  if (!path.startsWith('/')) return kept('rules_entry_relative', path);
  const look = fileSystem.look(path);
  if (look.is === 'missing') return kept('rules_entry_missing', path);
  if (look.is === 'unreadable') return kept('rules_entry_unreadable', `${path}: ${look.why}`);
  if (look.is === 'folder') return filesInFolder(fileSystem, path, version);
  if (look.is === 'other' || !isLoaded(path, version)) return kept('rules_entry_ignored', path);
  return [{ path, name: posix.basename(path) }];
}

function filesInFolder(fileSystem: FileSystem, folder: string, version: FalcoVersion): EntryContent {
  const listing = fileSystem.list(folder);
  if (listing.is === 'unreadable') return kept('rules_entry_unreadable', `${folder}: ${listing.why}`);
  const isLoadedFrom = (name: string) => isLoaded(inFolder(folder, name), version);
  const notUtf8 = listing.notUtf8.find(isLoadedFrom);
  if (notUtf8 !== undefined) return kept('rules_entry_name_not_utf8', inFolder(folder, notUtf8));
  const files: RulesFile[] = [];
  for (const name of listing.names.filter(isLoadedFrom)) {
    const path = inFolder(folder, name);
    const look = fileSystem.look(path);
    if (look.is === 'unreadable') return kept('rules_entry_unreadable', `${path}: ${look.why}`);
    if (look.is === 'file') files.push({ path, name });
  }
  return files.length === 0 ? kept('rules_entry_empty', folder) : files;
}

/**
 * Endings count as they are written (.YAML is not one), and only where they stand nowhere before in the path, its
 * folders included (FACTS 1.17): each is looked for from the front, so
 *
 *     /a/x.yaml  /a/x.yml.yaml  /a.yml.d/x.yaml  /set.yaml/x.yml    are loaded
 *     /a/x.yaml.yaml  /a.yaml.d/x.yaml  /set.yaml/x.yaml            are not
 */
function isLoaded(path: string, version: FalcoVersion): boolean {
  if (!version.onlyYamlEndings) return true;
  return ['.yaml', '.yml'].some((ending) => {
    const first = path.indexOf(ending);
    return first !== -1 && first === path.length - ending.length;
  });
}

function kept(code: Finding['code'], detail: string): Finding {
  return { code, detail };
}
