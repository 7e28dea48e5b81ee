/** What pages name is there: commands and flags, settings and values, codes, metrics, scripts and files. */
import assert from 'node:assert/strict';
import { existsSync, globSync } from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import * as z from 'zod';
import { programs } from '../../src/checks/programs.ts';
import { podStates } from '../../src/coverage/assess.ts';
import { reasons } from '../../src/reasons/reasons.ts';
import { parseSettings } from '../../src/settings/load.ts';
import { exposedMetrics } from '../monitoring/exposed-metrics.ts';
import { must } from '../real/machine.ts';
import { root } from '../real/places.ts';
import { blocksIn, codeIn, commandsOf, pages, placeOf, textOf } from './pages.ts';
import { settingsJsonSchema } from './settings-reference.ts';

/** What has happened stays as it was named then, and the facts are about other programs. */
const today = pages.filter((page) => page !== 'CHANGELOG.md' && page !== 'docs/facts.md');

const main = path.join(root, 'src/main.ts');
const ask = (...args: readonly string[]): string => must(process.execPath, [main, ...args]);
const flagsIn = (text: string): readonly string[] => text.match(/(?<![\w-])--?[a-z][\w-]*/g) ?? [];

/** Without a command. */
const ofAll = ['--help', '--version'];

/** Of other programs, where they stand by themselves. */
const foreignFlags = new Set([
  ...[
    '--reuse-values',
    '--take-ownership',
    '--force-conflicts',
    '--cascade',
    '--post-renderer',
    '--post-renderer-args',
  ],
  ...['--server-side', '--context', '-o', '-r', '-V', '-L'],
]);

/** Words with an underscore that are neither codes nor metrics of ours: Falco's, Prometheus' and Grafana's. */
const foreignWords = new Set([
  ...[
    'config_files',
    'append_output',
    'rules_files',
    'rules_file',
    'json_output',
    'file_output',
    'program_output',
  ],
  ...['output_fields', 'watch_config_files', 'extra_fields', 'rule_files', 'scrape_config_files'],
  ...['grafana_dashboard', 'apiserver_admission_webhook_fail_open_count'],
]);

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
}

// Safe: both are JSON Schema of objects, made of the settings' schema.
const settingsSchema = settingsJsonSchema() as Schema;
const valuesSchema = JSON.parse(textOf('manifests/chart/values.schema.json')) as Schema;

function isKey(schema: Schema, key: string): boolean {
  let at: Schema | undefined = schema;
  for (const name of key.split('.')) {
    const more: Schema | boolean | undefined = at?.additionalProperties;
    at = at?.properties?.[name] ?? (typeof more === 'object' ? more : undefined);
  }
  return at !== undefined;
}

/** Keys whose first part is a map of ours: `rules.image`. Falco's chart has no such key but `falco.…`. */
const maps = Object.entries({ ...settingsSchema.properties, ...valuesSchema.properties })
  .filter(([, { properties }]) => properties !== undefined)
  .map(([name]) => name);
const ourKey = new RegExp(`^(?:${maps.join('|')})(?:\\.[a-zA-Z]+)+$`);

/** Names of the lines of `check`, by its sources. */
function lineNames(): ReadonlySet<string> {
  const sources = globSync('src/checks/*.ts', { cwd: root }).map(textOf).join('\n');
  const made = sources.matchAll(
    /(?:\b(?:ok|warning|error|as|endLine)\(\s*|\bconst check = |\bcheck: |^ {2}name: )'([a-z_]+)'/gm,
  );
  const ofPrograms = Object.keys(programs).flatMap((program) =>
    [...sources.matchAll(/`\$\{program\}(_[a-z]+)`/g)].map(([, name]) => program + name),
  );
  return new Set([...[...made].map(([, name = '']) => name), ...ofPrograms]);
}

test('docs/check.md has each line of check, and no other', () => {
  const table =
    textOf('docs/check.md')
      .split('\n## ')
      .find((part) => part.startsWith('Lines')) ?? '';
  const told = table.split('\n').flatMap((row) => [...(row.split('|')[2] ?? '').matchAll(/`([a-z_]+)`/g)]);
  assert.deepEqual([...new Set(told.map(([, name = '']) => name))].sort(), [...lineNames()].sort());
});

describe('names in pages', () => {
  const helps = new Map<string, ReadonlySet<string>>();
  let metrics: readonly string[] = [];

  before(async () => {
    const listedIn = (help: string) => [...help.matchAll(/^ {2}([a-z-]+) /gm)].map(([, name = '']) => name);
    const commands = listedIn(ask('--help'));
    assert.ok(commands.includes('tag-rules'));
    for (const name of commands) {
      const help = ask(name, '--help');
      helps.set(name, new Set([...flagsIn(help), '--help', '-h']));
      if (!help.includes('SUBCOMMAND')) continue;
      for (const sub of listedIn(help))
        helps.set(`${name} ${sub}`, new Set([...flagsIn(ask(name, sub, '--help')), '--help']));
    }
    metrics = [...(await exposedMetrics()).keys()];
  });

  /** What is wrong with a line that runs our program; nothing where it runs another. */
  function wrongIn(line: string): readonly string[] {
    const [, rest] = /^(?:npx |\$ )?(?:falco-federation|node src\/main\.ts)(?: (.*))?$/.exec(line) ?? [];
    if (rest === undefined) return [];
    const [command = '', ...words] = rest.split(/\s+(?:\||&&|>|--(?=\s))|\s+/);
    if (command.startsWith('-')) return ofAll.includes(command) ? [] : [command];
    const flags = helps.get(`${command} ${words[0]}`) ?? helps.get(command);
    if (flags === undefined) return [command];
    return words
      .map((word) => word.replace(/=.*$/, ''))
      .filter((word) => /^-/.test(word) && !flags.has(word));
  }

  test('what is not there is found', () => {
    assert.deepEqual(wrongIn('falco-federation chekc'), ['chekc']);
    assert.deepEqual(wrongIn('falco-federation check --wait 5m --waiting'), ['--waiting']);
    assert.deepEqual(wrongIn('falco-federation check --wait 5m -o json'), []);
    assert.deepEqual(wrongIn('falco-federation certs list --dir x --renew'), ['--renew']);
    assert.deepEqual(
      [isKey(settingsSchema, 'rules.image'), isKey(valuesSchema, 'rules.imagee')],
      [true, false],
    );
  });

  for (const page of today) {
    test(`${page}: commands of ours, and their flags`, () => {
      const lines = [...codeIn(page), ...blocksIn(page, 'sh').flatMap(({ text }) => commandsOf(text))];
      for (const line of lines) assert.deepEqual(wrongIn(line), [], line);
      const all = new Set([...helps.values()].flatMap((flags) => [...flags]));
      // That page is about flags of Node and of the bench.
      const alone = page === 'docs/performance.md' ? [] : codeIn(page).filter((one) => /^--?[a-z]/.test(one));
      for (const code of alone) {
        const [flag = ''] = flagsIn(code);
        assert.ok(all.has(flag) || ofAll.includes(flag) || foreignFlags.has(flag), code);
      }
    });

    test(`${page}: settings and values`, () => {
      for (const code of codeIn(page)) {
        const key = code.replace(/[:=].*$/, '');
        if (ourKey.test(key)) assert.ok(isKey(settingsSchema, key) || isKey(valuesSchema, key), code);
      }
    });

    test(`${page}: codes and metrics`, () => {
      for (const code of codeIn(page)) {
        const [name = ''] = code.split('{');
        if (!/^…?_?[a-z]+\d*(_[a-z\d]+)+_?…?$/.test(name)) continue;
        const bare = name.replaceAll(/^…|…$/g, '');
        const isKnown =
          Object.hasOwn(reasons, name) ||
          lineNames().has(name) ||
          podStates.some((state) => state === name) ||
          foreignWords.has(name) ||
          // Shortened, as in tables, or without what a histogram adds.
          metrics.some((one) => one.includes(bare));
        assert.ok(isKnown, code);
      }
    });

    test(`${page}: scripts and files`, () => {
      const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Readonly<Record<string, string>> };
      const shell = blocksIn(page, 'sh').flatMap(({ text }) => commandsOf(text));
      for (const [, script = ''] of [...codeIn(page), ...shell].join('\n').matchAll(/npm run ([\w-]+)/g))
        assert.ok(Object.hasOwn(scripts, script), script);
      for (const code of codeIn(page)) {
        if (!/^(docs|manifests|src|test|\.ci|\.github)\/[\w./-]*$/.test(code)) continue;
        assert.ok(existsSync(path.join(root, code)), code);
      }
      const files = shell.flatMap((line) => line.match(/(?<=\s)(?:docs|manifests|test)\/[\w./-]+/g) ?? []);
      for (const file of files) assert.ok(existsSync(path.join(root, file)), file);
    });
  }
});

/** `--set a.b=c` of a command as values. */
function valuesOf(command: string): Readonly<Record<string, unknown>> {
  const values: Record<string, unknown> = {};
  for (const [, key = '', value = ''] of command.matchAll(/--set ([\w.]+)=(\S+)/g)) {
    const parts = key.split('.');
    const last = parts.pop() ?? '';
    let at = values;
    for (const part of parts) {
      at[part] ??= {};
      // Safe: a map that was put there by the line before, or by an earlier pair.
      at = at[part] as Record<string, unknown>;
    }
    at[last] = /^(true|false|null|\d+)$/.test(value) ? JSON.parse(value) : value;
  }
  return values;
}

describe('what pages have people write', () => {
  // Safe: the file that Helm reads.
  const values = z.fromJSONSchema(valuesSchema as Parameters<typeof z.fromJSONSchema>[0]);
  const given = today.flatMap((page) => [
    ...blocksIn(page, 'sh').flatMap((block) =>
      commandsOf(block.text)
        .filter((line) => /^helm .*manifests\/chart/.test(line) && line.includes('--set '))
        // Of an upgrade, the others are there already.
        .map((line) => ({ place: placeOf(block), values: { cluster: 'staging', ...valuesOf(line) } })),
    ),
    ...blocksIn(page, 'yaml').flatMap((block) =>
      /^# values[\w-]*\.yaml/.test(block.text)
        ? parseAllDocuments(block.text).map((one) => ({ place: placeOf(block), values: one.toJS() }))
        : [],
    ),
  ]);

  test('values of the chart are taken by its schema', () => {
    assert.ok(given.length > 2);
    for (const one of given) {
      const { success, error } = values.safeParse(one.values);
      assert.ok(success, `${one.place}: ${error?.message}`);
    }
    assert.ok(!values.safeParse({ cluster: 'staging', image: { name: 'x' } }).success);
  });

  test('settings are taken by the program', () => {
    const blocks = today.flatMap((page) =>
      blocksIn(page, 'yaml').filter(({ text }) => /^(# federation\.yaml\n)?cluster: /.test(text)),
    );
    assert.ok(blocks.length > 0);
    for (const block of blocks) {
      const parsed = parseSettings(block.text);
      assert.ok(parsed.ok, `${placeOf(block)}: ${JSON.stringify(parsed)}`);
    }
  });

  test('values in the table of the chart are values', () => {
    const rows = [...textOf('manifests/chart/README.md').matchAll(/^\| (`[^|]*)\|/gm)];
    const keys = rows.flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([a-zA-Z][\w.]*)`/g)].map(([, key = '']) => key),
    );
    assert.ok(keys.length > 15);
    assert.deepEqual(
      keys.filter((key) => !isKey(valuesSchema, key)),
      [],
    );
  });

  test('values that the recipes of GitOps set are taken by the chart', () => {
    const recipes = blocksIn('docs/gitops.md', 'yaml').map(({ text }) => parseAllDocuments(text)[0]?.toJS());
    const set = recipes.flatMap(
      ({ spec }) => spec?.source?.helm?.valuesObject ?? (spec?.chart === undefined ? [] : spec.values),
    );
    assert.equal(set.length, 2);
    for (const one of set) assert.ok(values.safeParse(one).success, JSON.stringify(one));
  });
});
