/**
 * All pages: links lead somewhere, and each command is one of three things, by the comment right before its block (or the
 * one for its whole page, `<!-- commands: … -->`):
 *
 * - `run here`: run by this test, in a folder of its own; what it prints is the `text` block after it, marked `prints`
 * - `tested by PATH`: that test takes the block from the page and runs it, or does the same: has its verbs and flags
 * - `needs: …`: something that no test can have
 */
import assert from 'node:assert/strict';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { must } from '../real/machine.ts';
import { root } from '../real/places.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { anchorsOf, type Block, blocksIn, commandsOf, pages, placeOf, proseOf, textOf } from './pages.ts';

function brokenLinks(page: string): readonly string[] {
  return [...proseOf(page).matchAll(/\]\(([^)\s]+)\)|<(?:img|source|a) [^>]*(?:src|srcset|href)="([^"]+)"/g)]
    .map(([, link, attribute]) => link ?? attribute ?? '')
    .filter((link) => {
      if (/^[a-z]+:/.test(link)) return false;
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? page : path.join(path.dirname(page), file);
      if (!existsSync(path.join(root, target))) return true;
      return anchor !== undefined && target.endsWith('.md') && !anchorsOf(target).has(anchor);
    });
}

/** The two commands that do all the set-up, which CI runs. */
const setUp = /^npm ci && npm start .*\nnpm ci && npm test .*\n$/;

/** All that a test consists of. */
function sourcesOf(test: string): string {
  const at = path.join(root, test);
  const files = statSync(at).isDirectory() ? globSync(path.join(at, '**/*.ts')) : [at];
  return files.map((file) => textOf(path.relative(root, file))).join('\n');
}

/** What a command is about: the verbs of its program, and its flags. */
function wordsOf(command: string): readonly string[] {
  return command
    .split(/\s+(?:\||&&|&)\s+/)
    .flatMap((part) => part.split(/\s+/).slice(1))
    .map((word) => word.replace(/=.*$/, ''))
    .filter((word, at) => /^--?[a-z]/.test(word) || (at === 0 && /^[a-z-]+$/.test(word)));
}

/** What a test that a block names does not do of it. */
function untested(block: Block, test: string): readonly string[] {
  const sources = sourcesOf(test);
  if (sources.includes(`'${block.page}'`)) return [];
  return commandsOf(block.text)
    .flatMap(wordsOf)
    .filter((word) => !sources.includes(word));
}

/** Files that blocks which need something would have left. */
const left: Readonly<Record<string, string>> = { 'falco.yaml': 'test/e2e/own-chart.yaml' };

/** A place like a clone, with the program on PATH. */
function makePlace(): { readonly folder: string; readonly env: Readonly<Record<string, string>> } {
  const folder = temporaryFolder('page-');
  const bin = path.join(folder, 'bin');
  mkdirSync(bin);
  const program = path.join(bin, 'falco-federation');
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${path.join(root, 'src/main.ts')}' "$@"\n`);
  chmodSync(program, 0o755);
  for (const part of ['docs', 'manifests']) symlinkSync(path.join(root, part), path.join(folder, part));
  for (const [name, from] of Object.entries(left))
    copyFileSync(path.join(root, from), path.join(folder, name));
  return { folder, env: { PATH: `${bin}:${process.env.PATH}`, HOME: folder, NO_COLOR: '1' } };
}

/** Lines as they may differ from run to run: `…` stands for anything. */
function isLike(printed: string, expected: string): boolean {
  const pattern = expected
    .trimEnd()
    .split('…')
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('[\\s\\S]*');
  return new RegExp(`^${pattern}$`).test(printed.trimEnd());
}

describe('pages', () => {
  for (const page of pages) {
    test(`${page}: links lead to files and headings`, () => {
      assert.deepEqual(brokenLinks(page), []);
    });

    test(`${page}: each command is run, tested, or says what it needs`, () => {
      for (const block of blocksIn(page)) {
        assert.doesNotMatch(block.language, /^(bash|shell|console|zsh)$/, `${placeOf(block)}: write sh`);
        if (block.language !== 'sh' || setUp.test(block.text)) continue;
        const { mark } = block;
        assert.ok(mark !== undefined, `${placeOf(block)}: no mark before: ${block.text}`);
        const [, by] = /^tested by (\S+)$/.exec(mark) ?? [];
        if (by === undefined) {
          assert.match(mark, /^(run here|needs?:? \S.*)$/, placeOf(block));
          continue;
        }
        assert.ok(existsSync(path.join(root, by)), `${placeOf(block)}: there is no test ${by}`);
        assert.deepEqual(untested(block, by), [], `${placeOf(block)}: not in ${by}`);
      }
    });

    const blocks = blocksIn(page);
    const toRun = blocks.filter(({ language, mark }) => language === 'sh' && mark === 'run here');
    if (toRun.length === 0) continue;

    describe(`${page}: what is run here`, () => {
      let place: ReturnType<typeof makePlace> | undefined;
      before(() => {
        place = makePlace();
      });

      for (const block of toRun) {
        test(`line ${block.line}`, () => {
          const { folder, env } = place ?? assert.fail('there is no place');
          const printed = must('bash', ['-ec', block.text], { cwd: folder, env });
          const next = blocks[blocks.indexOf(block) + 1];
          if (next?.mark === 'prints')
            assert.ok(isLike(printed, next.text), `${placeOf(next)}, but:\n${printed}`);
        });
      }
    });
  }

  test('what is printed follows what prints it', () => {
    for (const page of pages) {
      const blocks = blocksIn(page);
      for (const [at, block] of blocks.entries())
        if (block.mark === 'prints') assert.equal(blocks[at - 1]?.mark, 'run here', placeOf(block));
    }
  });

  test('a block whose flags the test that it names does not have is found', () => {
    const block = {
      page: 'README.md',
      line: 1,
      language: 'sh',
      mark: '',
      text: 'helm upgrade x --no-such-flag\n',
    };
    assert.deepEqual(untested(block, 'test/e2e/chart'), ['--no-such-flag']);
  });

  test('docs/README.md lists all of them', () => {
    const listed = [...textOf('docs/README.md').matchAll(/\]\(([^)#]+)\)/g)].map(
      ([, link = '']) => `docs/${link}`,
    );
    const there = pages.filter((page) => page.startsWith('docs/') && page !== 'docs/README.md');
    assert.deepEqual(
      there.filter((page) => !listed.includes(page)),
      [],
    );
  });

  test('README begins with the two commands', () => {
    assert.match(
      textOf('README.md'),
      /^# falco-federation-webhook\n\n```sh\nnpm ci && npm start .*\nnpm ci && npm test .*\n```\n/,
    );
  });
});
