/**
 * src/yaml held against yaml-cpp itself, on texts made at random: what it refuses is refused, and what it reads is the same
 * tree. YAML_CPP names the program of print-trees.cpp. LONG=1: 600,000 texts.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeFile, type Node, NotYaml, Reader, resolve } from '../../src/yaml/falco-yaml.ts';
import { rounds } from '../rounds.ts';
import { pieces } from './pieces.ts';

type Tree = string | null | readonly Tree[];

class TooDeep extends Error {}

function treeOf(node: Node, depth: number): Tree {
  if (depth > 100) throw new TooDeep();
  const target = resolve(node);
  if (target.is === 'null') return null;
  if (target.is === 'scalar') return target.text;
  if (target.is === 'sequence') return ['s', ...target.items.map((item) => treeOf(item, depth + 1))];
  return [
    'm',
    ...target.pairs.flatMap(({ key, value }) => [treeOf(key, depth + 1), treeOf(value, depth + 1)]),
  ];
}

function treesOf(text: string): Tree {
  try {
    const reader = new Reader(decodeFile(Buffer.from(text)).text);
    const trees: Tree[] = [];
    // As LoadAll, which Falco calls: an empty document ends it (FACTS 1.13).
    for (let next = reader.nextDocument(); next !== undefined; next = reader.nextDocument()) {
      const tree = treeOf(next.root, 0);
      if (tree === null) break;
      trees.push(tree);
    }
    return trees;
  } catch (error) {
    if (error instanceof TooDeep) return 'deep';
    if (error instanceof NotYaml) return 'refused';
    throw error;
  }
}

/** What the program says of each text. */
function asked(path: string, texts: readonly string[]): readonly Tree[] {
  const input = Buffer.concat(
    texts.flatMap((text) => [Buffer.from(`${Buffer.byteLength(text)}\n`), Buffer.from(text)]),
  );
  const { stdout, status } = spawnSync(path, { input, encoding: 'utf8', maxBuffer: 2 ** 30 });
  assert.equal(status, 0);
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

const path = process.env.YAML_CPP;
const skip = path === undefined && 'YAML_CPP names no program: print-trees.cpp says how to make it';

test('what yaml-cpp makes of a text, the reader does', { skip }, () => {
  const { numRuns, seed } = rounds(6_000);
  const texts = fc.sample(
    // NUL and 4 are to yaml-cpp the end of a text or a sign of its encoding: the reader refuses 4, and decodes before.
    fc
      .array(pieces, { maxLength: 25 })
      .map((parts) => parts.join('').replaceAll('\0', '').replaceAll('\u0004', '')),
    { numRuns, seed },
  );
  const different: unknown[] = [];
  let read = 0;
  for (let from = 0; from < texts.length; from += 20_000) {
    const some = texts.slice(from, from + 20_000);
    for (const [at, answer] of asked(path ?? '', some).entries()) {
      const text = some[at] ?? '';
      const ours = treesOf(text);
      if (Array.isArray(answer)) read++;
      if (answer !== 'deep' && ours !== 'deep' && JSON.stringify(ours) !== JSON.stringify(answer))
        different.push({ text, yamlCpp: answer, ours });
    }
  }
  assert.deepEqual(different.slice(0, 20), [], `${different.length} of ${texts.length}`);
  assert.ok(read > texts.length / 20, `yaml-cpp has read ${read} of them: they are too wild`);
});
