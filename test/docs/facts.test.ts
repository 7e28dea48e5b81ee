/** Comments cite facts by number; each number leads to an entry of docs/facts.md. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { root } from '../real/places.ts';

const page = 'docs/facts.md';
const ours = [
  ...globSync('{src,test,docs,manifests}/**/*.{ts,c,h,md,yaml,json}', { cwd: root }),
  ...globSync(['.ci/*', '*.md', 'Dockerfile'], { cwd: root }),
].filter((file) => file !== page && file !== 'test/docs/facts.test.ts' && !file.includes('/cases/'));

/** Numbers as `FACTS 3.2, 3.4` and `FACTS 1.7 and 1.12` have them. */
const citedIn = (text: string): readonly string[] =>
  [...text.matchAll(/FACTS (\d+(?:\.\d+)?(?:(?:,| and) \d+\.\d+)*)/g)].flatMap(
    ([, numbers = '']) => numbers.match(/\d+(?:\.\d+)?/g) ?? [],
  );

const findIn = (search: (text: string) => readonly string[]): readonly string[] =>
  ours.flatMap((file) =>
    search(readFileSync(path.join(root, file), 'utf8')).map((found) => `${file}: ${found}`),
  );

describe(page, () => {
  const entries = new Set(
    readFileSync(path.join(root, page), 'utf8').match(/(?<=^#{2,3} )\d+(?:\.\d+)?/gm) ?? [],
  );

  test('has an entry for every fact that is cited', () => {
    assert.deepEqual(citedIn('as FACTS 1.7, 1.12 and 3.4 say'), ['1.7', '1.12', '3.4']);
    assert.deepEqual(
      findIn((text) => citedIn(text).filter((number) => !entries.has(number))),
      [],
    );
  });

  test('is what comments cite: no document that the repository does not have', () => {
    assert.deepEqual(
      findIn((text) => text.match(/\bDESIGN\b.*/g) ?? []),
      [],
    );
  });
});
