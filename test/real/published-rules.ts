/** Checks what tag-rules published, by other means than its own. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { type FalcoView, listedIn } from './falco-view.ts';

export interface Published {
  readonly entries: number;
  /** How many entries of rules_files were replaced by tagged copies. */
  readonly taggedEntries: number;
  /** Full definitions of rules in all files that Falco's list reaches. */
  readonly rules: number;
  readonly tagged: number;
}

const folder = '/etc/falco-federation';

/**
 * Throws unless the drop-in lists, entry by entry, either what Falco's own list says (where there is nothing to
 * tag) or a folder with a copy of each file in which every rule has each tag once and nothing else is changed.
 */
export function checkPublished({ rulesFiles, locate }: FalcoView, tags: readonly string[]): Published {
  const here = (path: string) => locate(path) ?? assert.fail(`${path} is not in a volume`);
  const list = listedIn(here(`${folder}/federation.yaml`), 'rules_files');
  assert.equal(list.length, rulesFiles.length, 'the drop-in lists as many entries as falco.yaml');
  assert.deepEqual(
    readdirSync(here(folder), { withFileTypes: true }).flatMap((entry) =>
      entry.isFile() ? [entry.name] : [],
    ),
    ['federation.yaml'],
    'Falco reads every file right in the folder as configuration (FACTS 1.4)',
  );
  let taggedEntries = 0;
  let rules = 0;
  for (const [at, entry] of rulesFiles.entries()) {
    const files = rulesFilesAt(locate(entry));
    const published = list[at] ?? '';
    if (files.size === 0) {
      assert.equal(published, entry, `${entry} holds no rules, so it stays in the list`);
      continue;
    }
    assert.match(published, /^\/etc\/falco-federation\/rules\//, `${entry} is replaced by a folder of ours`);
    const copies = rulesFilesAt(here(published));
    assert.deepEqual([...copies.keys()], [...files.keys()], `${entry}: the same files in the same order`);
    for (const [name, path] of files) rules += checkCopy(path, copies.get(name) ?? '', tags);
    taggedEntries += 1;
  }
  return { entries: list.length, taggedEntries, rules, tagged: rules };
}

/** The files that Falco loads for an entry, by name: the file itself, or what is right in the folder. */
function rulesFilesAt(path: string | undefined): ReadonlyMap<string, string> {
  const stat = path === undefined ? undefined : statSync(path, { throwIfNoEntry: false });
  if (path === undefined || stat === undefined) return new Map();
  if (stat.isFile()) return new Map([[path.slice(path.lastIndexOf('/') + 1), path]]);
  const names = readdirSync(path).filter(
    (name) => /\.ya?ml$/.test(name) && statSync(join(path, name)).isFile(),
  );
  return new Map(names.toSorted().map((name) => [name, join(path, name)]));
}

/** Compares an original with its tagged copy and returns how many rules it defines. */
function checkCopy(original: string, copy: string, tags: readonly string[]): number {
  assert.equal(statSync(copy).mode & 0o444, 0o444, `${copy} is readable for any Falco`);
  const before = readFileSync(original, 'utf8');
  const after = readFileSync(copy, 'utf8');
  assert.ok(isWithin(before, after), `${copy}: text was only added`);
  const itemsBefore = itemsOf(before);
  const itemsAfter = itemsOf(after);
  assert.equal(itemsAfter.length, itemsBefore.length, `${copy}: as many items as ${original}`);
  let rules = 0;
  for (const [at, item] of itemsBefore.entries()) {
    const definition = isDefinition(item);
    assert.deepEqual(itemsAfter[at], definition ? withTags(item, tags) : item, `${copy}: item ${at + 1}`);
    if (definition) rules += 1;
  }
  return rules;
}

/** Whether `part` is what is left of `whole` after taking characters out of it. */
function isWithin(part: string, whole: string): boolean {
  let at = 0;
  for (const character of whole) if (part.startsWith(character, at)) at += character.length;
  return at === part.length;
}

function itemsOf(text: string): readonly unknown[] {
  return parseAllDocuments(text).flatMap((document): unknown[] => {
    assert.deepEqual(document.errors, []);
    const items: unknown = document.toJS();
    return Array.isArray(items) ? items : [items];
  });
}

function isDefinition(item: unknown): item is { readonly tags?: readonly string[] } {
  return (
    item !== null &&
    typeof item === 'object' &&
    ['rule', 'condition', 'output'].every((key) => key in item) &&
    !['append', 'override'].some((key) => key in item)
  );
}

function withTags(item: { readonly tags?: readonly string[] }, tags: readonly string[]): unknown {
  const had = item.tags ?? [];
  return { ...item, tags: [...had, ...tags.filter((tag) => !had.includes(tag))] };
}
