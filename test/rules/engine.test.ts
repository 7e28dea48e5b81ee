/**
 * What Falco would load, held against recorded answers of the real engine (`../shared/upstream/engine`, left out
 * where it is not there) and against our own cases in the same form (`cases/engine`).
 */
import assert from 'node:assert/strict';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { effectiveRulesFiles } from '../../src/rules/configuration/effective-rules-files.ts';
import { FalcoConfiguration, NotKnown } from '../../src/rules/configuration/falco-configuration.ts';
import { readFalcoVersion } from '../../src/rules/configuration/falco-version.ts';
import { falcoFileSystem } from '../../src/rules/configuration/file-system.ts';
import { rulesFilesOf } from '../../src/rules/configuration/rules-entry.ts';
import { publishingDisk } from '../../src/rules/publishing/publish.ts';
import { tagAndPublish } from '../../src/rules/publishing/tag-and-publish.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { type FalcoAnswer, type LoadedRule, runFalco, sorted, watches } from './falco-model.ts';

const output = '/etc/falco-federation';
const repository = join(import.meta.dirname, '../..');
const upstream = resolve(repository, process.env.FEDERATION_UPSTREAM ?? '../shared/upstream', 'engine');
const ownCases = join(import.meta.dirname, 'cases/engine');

const temporary = temporaryFolder('engine-cases-');

interface Case {
  readonly folder: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly version: string;
  /** A copy of the tree, to publish in. */
  readonly root: string;
  readonly expected: Expected;
}

interface Expected {
  readonly exit: number;
  readonly rules_files_loaded: readonly string[];
  readonly rules: readonly LoadedRule[];
}

function json<T>(path: string, otherwise: T): T {
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : otherwise;
}

function openCase(folder: string, version = '0.44.1'): Case {
  const root = mkdtempSync(join(temporary, 'root-'));
  for (const name of json<string[]>(join(folder, 'mkdirs.json'), []))
    mkdirSync(join(root, 'etc/falco', name), { recursive: true });
  cpSync(join(folder, 'root'), root, { recursive: true, verbatimSymlinks: true });
  makeLinks(root);
  mkdirSync(root + output);
  const none = { exit: -1, rules_files_loaded: [], rules: [] };
  return {
    ...{
      folder,
      version,
      root,
      args: json(join(folder, 'args.json'), []),
      env: json(join(folder, 'env.json'), {}),
    },
    expected: json(join(folder, 'expected.json'), none),
  };
}

/** Links may have been stored as files that hold the target and nothing else, no line break either. */
function makeLinks(root: string): void {
  for (const item of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(item.parentPath, item.name);
    if (!item.isSymbolicLink()) chmodSync(path, item.isDirectory() ? 0o755 : 0o644);
    if (!item.isFile()) continue;
    const target = readFileSync(path, 'latin1');
    if (!/^[\w./-]{2,80}$/.test(target)) continue;
    rmSync(path);
    symlinkSync(target, path);
  }
}

function question(one: Case, falcoArguments: readonly string[]) {
  return {
    ...{
      fileSystem: falcoFileSystem(one.root),
      version: readFalcoVersion(one.version),
      falcoArguments,
      output,
    },
    configFile: undefined,
    // In a case the environment is complete: what is not set is empty.
    lookup: (name: string) => one.env[name] ?? '',
  };
}

/** Our list as Falco logs it, or the code of the reason for leaving it alone. */
function ourFiles(one: Case): readonly string[] | string {
  try {
    return ourListedFiles(one);
  } catch (error) {
    if (error instanceof NotKnown) return error.finding.code;
    throw error;
  }
}

function ourListedFiles(one: Case): readonly string[] {
  const asked = question(one, one.args);
  const list = effectiveRulesFiles(new FalcoConfiguration(asked));
  const run = { root: one.root, args: one.args, env: one.env, old: one.version < '0.41' };
  assert.equal(list.watched, watches(run), 'whether Falco looks for changes');
  return list.all.flatMap((entry) => {
    const content = rulesFilesOf(asked.fileSystem, entry, asked.version);
    return 'code' in content ? [] : content.map((file) => file.path);
  });
}

const ourConfig = {
  old: `config_files[]=${output}`,
  new: `config_files[]=${JSON.stringify({ path: output, strategy: 'override' })}`,
};

/** The arguments as the webhook would leave them. */
function withOurOptions(one: Case): readonly string[] {
  const old = one.version < '0.41';
  const adds = !old && one.args.some((arg) => arg.startsWith('rules_files[]='));
  return [
    ...one.args,
    '-o',
    old ? ourConfig.old : ourConfig.new,
    ...(adds ? ['-o', `rules_files[]=${output}/last`] : []),
  ];
}

function falco(one: Case, args: readonly string[]): FalcoAnswer {
  return runFalco({ root: one.root, args, env: one.env, old: one.version < '0.41' });
}

function withTag(rules: readonly LoadedRule[], except: readonly string[] = []): LoadedRule[] {
  return rules.map(({ name, tags }) => ({
    name,
    tags: except.includes(name) ? [...tags] : sorted([...tags, 'staging']),
  }));
}

function published(one: Case, args: readonly string[]) {
  const run = { ...question(one, args), tags: ['staging'], disk: publishingDisk(one.root) };
  const report = tagAndPublish(run);
  const again = tagAndPublish(run);
  const { tagged, ...rest } = report;
  assert.deepEqual({ ...again, tagged }, { ...rest, tagged }, 'a second run reports the same');
  return report;
}

/** Recorded cases that are left alone, and why: nothing may join this list unseen. */
const leftAlone: Readonly<Record<string, string>> = {
  'cli-rule-file': 'rules_given_by_argument',
  'cli-rule-file-missing': 'rules_given_by_argument',
  'cli-rule-file-other-ending': 'rules_given_by_argument',
  'cli-rule-file-two': 'rules_given_by_argument',
  'cli-rule-file-with-dropin': 'rules_given_by_argument',
  'cli-rule-folder': 'rules_given_by_argument',
  'option-string': 'rules_option_conflict',
  // Falco itself stops here.
  'dropin-append-to-string': 'rules_config_refused',
  'dropin-null-appended': 'rules_none_listed',
  'dropin-with-config-files': 'rules_config_refused',
  'key-both': 'rules_config_refused',
  'key-empty-list': 'rules_none_listed',
  'option-append-to-string': 'rules_config_refused',
  'option-config-override-key-null': 'rules_config_refused',
  'option-index-far-past-end': 'rules_none_listed',
};

/** Recorded cases in which Falco refuses its own arguments, whatever the rules are. */
const wrongArguments = ['cli-rule-file-glued'];

/** Recorded cases whose falco.yaml makes Falco refuse our option (FACTS 1.13): the webhook cannot know. */
const stoppedByOurOption = ['dropin-config-files-string'];

/** Recorded cases with rules that options add in a way that `last` cannot serve, hence untagged. */
const untagged: Readonly<Record<string, readonly string[]>> = { 'option-index-0': ['Beta'] };

const recorded = existsSync(upstream) ? readdirSync(upstream).filter((name) => !name.includes('.')) : [];

test('recorded engine cases are there', (t) => {
  if (recorded.length === 0) t.diagnostic(`left out: recorded engine cases, no folder ${upstream}`);
});

for (const name of recorded) {
  test(`engine: ${name}`, () => {
    const one = openCase(join(upstream, name));
    const files = ourFiles(one);
    if (!wrongArguments.includes(name)) checkFiles(name, one, files);
    const untouched = falco(one, one.args);
    assert.equal(untouched.exit, one.expected.exit, 'the model stops where Falco does');
    assert.deepEqual(
      untouched.rules,
      one.expected.rules.map((rule) => ({ name: rule.name, tags: rule.tags })),
      'the model loads what Falco loads',
    );
    if (name in leftAlone || one.args.some((arg) => /^config_files=/.test(arg))) {
      published(one, one.args);
      assert.deepEqual(falco(one, one.args), untouched, 'nothing changes');
      return;
    }
    const report = published(one, withOurOptions(one));
    if (stoppedByOurOption.includes(name)) {
      assert.equal(report.outcome.code, 'rules_config_refused');
      return;
    }
    const tagged = falco(one, withOurOptions(one));
    assert.equal(tagged.exit, untouched.exit);
    assert.deepEqual(tagged.rules, withTag(untouched.rules, untagged[name]));
  });
}

function checkFiles(name: string, one: Case, files: readonly string[] | string): void {
  if (name in leftAlone) {
    assert.equal(files, leftAlone[name]);
    return;
  }
  assert(Array.isArray(files), `left alone: ${files}`);
  const { exit, rules_files_loaded: loaded } = one.expected;
  // Falco stops at the first file with an error, which is the last it names.
  assert.deepEqual(exit === 0 ? files : files.slice(0, loaded.length), loaded);
}

test('the table of recorded cases that are left alone names only such', (t) => {
  const named = Object.keys(leftAlone);
  if (recorded.length > 0)
    assert.deepEqual(
      named.filter((name) => !recorded.includes(name)),
      [],
    );
  t.diagnostic(`${recorded.length} recorded cases, ${named.length} of them left alone by name`);
});

/** What a case of ours records: Falco alone, and Falco with what we publish. */
function ownAnswer(one: Case): unknown {
  const alone = falco(one, one.args);
  const report = published(one, withOurOptions(one));
  const federated = falco(one, withOurOptions(one));
  const shortened = (code: { code: string; detail?: string }) => `${code.code} ${code.detail ?? ''}`.trim();
  return {
    ...{ exit: alone.exit, rules_files_loaded: alone.rulesFiles, rules: alone.rules },
    federated: {
      ...{ exit: federated.exit, rules_files_loaded: federated.rulesFiles, rules: federated.rules },
      ...{ outcome: shortened(report.outcome), kept: report.kept.map(shortened) },
      findings: report.findings.map(shortened),
    },
  };
}

for (const name of readdirSync(ownCases)) {
  test(`our engine case: ${name}`, () => {
    const version = /-(0\.\d+)$/.exec(name)?.[1];
    const one = openCase(join(ownCases, name), version === undefined ? undefined : `${version}.0`);
    const answer = ownAnswer(one);
    const golden = join(one.folder, 'expected.json');
    if (process.env.UPDATE === '1') writeFileSync(golden, `${JSON.stringify(answer, null, 2)}\n`);
    assert.deepEqual(answer, json(golden, undefined));
    const lost = falco(one, one.args).rules.map((rule) => rule.name);
    assert.deepEqual(
      falco(one, withOurOptions(one)).rules.map((rule) => rule.name),
      lost,
      'no rule is lost or moved',
    );
  });
}
