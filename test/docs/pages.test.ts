/** All pages: links lead somewhere, and each command is tested, or says what it needs that no test has. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';

const root = path.join(import.meta.dirname, '../..');
const pages = globSync('**/*.md', { cwd: root, exclude: ['node_modules/**', '.cache/**', 'dist/**'] }).sort();
const textOf = (page: string): string => readFileSync(path.join(root, page), 'utf8');

/** What headings become in links, as GitHub makes them; equal ones get a number. */
function anchorsOf(text: string): ReadonlySet<string> {
  const anchors = new Set<string>();
  const prose = text.replaceAll(/^```[\s\S]*?^```$/gm, '');
  for (const [, heading = ''] of prose.matchAll(/^#{1,6} (.*)$/gm)) {
    const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const anchor = plain.replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-');
    let name = anchor;
    for (let at = 1; anchors.has(name); at += 1) name = `${anchor}-${at}`;
    anchors.add(name);
  }
  // The tables of reasons have anchors of their own.
  for (const [, id = ''] of text.matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(id);
  return anchors;
}

function brokenLinks(page: string): readonly string[] {
  const prose = textOf(page).replaceAll(/^```[\s\S]*?^```$/gm, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = '']) => {
    if (/^[a-z]+:/.test(link)) return [];
    const [file = '', anchor] = link.split('#');
    const target = file === '' ? page : path.join(path.dirname(page), file);
    if (!existsSync(path.join(root, target))) return [link];
    if (anchor === undefined || !target.endsWith('.md')) return [];
    return anchorsOf(textOf(target)).has(anchor) ? [] : [link];
  });
}

interface Command {
  readonly block: string;
  /** The comment right before it, or the one for the whole page. */
  readonly mark: string | undefined;
}

function commandsIn(text: string): readonly Command[] {
  const ofPage = /^<!-- commands: (.*) -->$/m.exec(text)?.[1];
  return [...text.matchAll(/(?:^<!-- (.*) -->\n)?^```sh\n([\s\S]*?)^```$/gm)].map(([, mark, block = '']) => ({
    block,
    mark: mark ?? ofPage,
  }));
}

/** The two commands that do all the set-up, which CI runs. */
const setUp = /^npm ci && npm start .*\nnpm ci && npm test .*\n$/;

describe('pages', () => {
  for (const page of pages) {
    test(`${page}: links lead to files and headings`, () => {
      assert.deepEqual(brokenLinks(page), []);
    });

    test(`${page}: each command is tested, or says what it needs`, () => {
      for (const { block, mark } of commandsIn(textOf(page))) {
        if (setUp.test(block)) continue;
        assert.ok(mark !== undefined, `no mark before: ${block}`);
        const [, tested] = /^tested by (\S+)$/.exec(mark) ?? [];
        if (tested === undefined) assert.match(mark, /^needs?:? \S/, block);
        else assert.ok(existsSync(path.join(root, tested)), `${mark}: there is no such test`);
      }
    });
  }

  test('README begins with the two commands', () => {
    assert.match(
      textOf('README.md'),
      /^# falco-federation-webhook\n\n```sh\nnpm ci && npm start .*\nnpm ci && npm test .*\n```\n/,
    );
  });

  describe('values of the chart', () => {
    const schema = JSON.parse(textOf('manifests/chart/values.schema.json'));
    const isValue = (key: string): boolean => {
      let at = schema;
      for (const name of key.split('.')) at = at?.properties?.[name] ?? at?.additionalProperties;
      return typeof at === 'object';
    };

    test('that pages set are values', () => {
      const blocks = pages.flatMap((page) => commandsIn(textOf(page)).map(({ block }) => block));
      // Falco's own chart has its own.
      const lines = blocks
        .flatMap((block) => block.replaceAll('\\\n', ' ').split('\n'))
        .filter((line) => line.includes('manifests/chart'));
      const keys = [...lines.join('\n').matchAll(/--set ([\w.]+)=/g)].map(([, key = '']) => key);
      assert.ok(keys.length > 0);
      assert.deepEqual(
        keys.filter((key) => !isValue(key)),
        [],
      );
    });

    test('in the table of its README are values', () => {
      const cells = [...textOf('manifests/chart/README.md').matchAll(/^\| (`[^|]*)\|/gm)].map(
        ([, cell = '']) => cell,
      );
      const keys = cells.flatMap((cell) =>
        [...cell.matchAll(/`([a-zA-Z][\w.]*)`/g)].map(([, key = '']) => key),
      );
      assert.ok(keys.length > 15);
      assert.deepEqual(
        keys.filter((key) => !isValue(key)),
        [],
      );
    });
  });

  test('values that the recipes of GitOps set are taken by the chart', () => {
    const recipes = [...textOf('docs/gitops.md').matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(
      ([, block = '']) => parse(block),
    );
    const given = recipes.flatMap(
      ({ spec }) => spec?.source?.helm?.valuesObject ?? (spec?.chart === undefined ? [] : spec.values),
    );
    assert.equal(given.length, 2);
    const { properties } = JSON.parse(textOf('manifests/chart/values.schema.json'));
    for (const values of given) for (const key of Object.keys(values)) assert.ok(key in properties, key);
  });
});
