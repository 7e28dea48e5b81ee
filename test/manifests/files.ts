import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseAllDocuments } from 'yaml';

export const manifests = resolve(import.meta.dirname, '../../manifests');

/** Every YAML file of the manifests, relative to them. The chart's templates are none before Helm has read them. */
export const files: readonly string[] = globSync('**/*.yaml', {
  cwd: manifests,
  exclude: ['chart/**'],
}).sort();

export function textOf(file: string): string {
  return readFileSync(join(manifests, file), 'utf8');
}

/** The documents of a file. Throws where it is not YAML. */
export function documentsOf(file: string): readonly unknown[] {
  return parseAllDocuments(textOf(file), { uniqueKeys: true }).map((document) => {
    if (document.errors.length > 0) throw new Error(`${file}: ${document.errors.join('; ')}`);
    return document.toJS();
  });
}

interface Identified {
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

/** The one object of a kind in a file; what it is shaped like, the caller's type says and its assertions show. */
export function objectOf<T extends Identified>(file: string, kind: string): T {
  const [found, ...others] = documentsOf(file).filter((value): value is T => {
    return typeof value === 'object' && value !== null && 'kind' in value && value.kind === kind;
  });
  if (found === undefined || others.length > 0) throw new Error(`${file} has not exactly one ${kind}`);
  return found;
}

/** What a manifest's key or value is, wherever in it. */
export function* valuesIn(value: unknown): Generator<{ readonly key: string; readonly value: unknown }> {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    yield { key, value: inner };
    yield* valuesIn(inner);
  }
}
