import { readFileSync } from 'node:fs';
import path from 'node:path';

const repository = path.join(import.meta.dirname, '../..');

/** The fenced blocks of a language in a page of the repository, in order. */
export function snippetsIn(page: string, language: string): readonly string[] {
  const text = readFileSync(path.join(repository, page), 'utf8');
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].flatMap(([, of, block = '']) =>
    of === language ? [block] : [],
  );
}
