/** Falco's alerts go to a file of ours, tags or not, unless that would take something from its user. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseAllDocuments, stringify } from 'yaml';
import { readFalcoVersion } from '../../src/rules/configuration/falco-version.ts';
import { falcoFileSystem, signatureOf } from '../../src/rules/configuration/file-system.ts';
import { tagAndPublish } from '../../src/rules/publishing/tag-and-publish.ts';
import { upstream } from '../injection/reviews.ts';
import { rounds } from '../rounds.ts';
import { outputsOf } from './falco-model.ts';
import {
  falcoIn,
  ourArguments,
  output,
  plant,
  rule,
  runIn,
  stepAndRename,
  type Tree,
} from './temporary-tree.ts';

const file = '/var/lib/falco-federation-alerts/live/alerts.jsonl';
const collected = { enabled: 'true', keep_alive: 'false', filename: file };
const listing = 'rules_files: [/etc/falco/a.yaml]\n';
const oldArguments = ['-o', `config_files[]=${output}`];

interface SetUp {
  /** Of falco.yaml, behind the list of rules files. */
  readonly main?: string;
  readonly tree?: Tree;
  readonly options?: readonly string[];
  readonly version?: '0.40.0' | '0.44.1';
  readonly jsonOutput?: 'set' | 'leave';
  /** The configuration itself names our folder, and no argument does. */
  readonly named?: boolean;
}

function planted({ main = '', tree, options = [], version = '0.44.1', jsonOutput = 'set', named }: SetUp) {
  const root = plant({ 'a.yaml': rule('A'), 'falco.yaml': listing + main, ...tree });
  const old = version === '0.40.0';
  const ours = old ? oldArguments : ourArguments;
  const args = [...options.flatMap((option) => ['-o', option]), ...(named === true ? [] : ours)];
  const run = runIn(root, {
    ...{ falcoArguments: args, version: readFalcoVersion(version), alerts: { file, jsonOutput } },
    lookup: () => undefined,
  });
  const outputs = () => outputsOf({ root, args, env: {}, old });
  return { root, run, args, outputs };
}

/** The finding about alerts, and what Falco then has of its outputs, with our drop-in and without. */
function result(setUp: SetUp) {
  const { run, outputs } = planted(setUp);
  const before = outputs();
  const { findings } = tagAndPublish(run);
  const found = findings.filter(({ code }) => code.startsWith('alerts_'));
  assert.equal(found.length, 1);
  return { code: found[0]?.code, detail: found[0]?.detail, before, after: outputs() };
}

const on = (name: string, more = ''): string => `${name}: {enabled: true${more}}\n`;

describe('alerts go to the file, as JSON', () => {
  const setUps: Readonly<Record<string, SetUp>> = {
    'where nothing is said of outputs': {},
    'as the chart has it': {
      main: 'json_output: false\nstdout_output: {enabled: true}\nfile_output: {enabled: false, keep_alive: false, filename: ./events.txt}\nsyslog_output: {enabled: true}\n',
    },
    'turned off by a word of YAML 1.1': {
      main: 'file_output: {enabled: off}\nprogram_output: {enabled: No}\n',
    },
    'beside other outputs that have JSON already': {
      main: `json_output: true\n${on('http_output', ', url: "http://x"')}${on('program_output')}`,
      jsonOutput: 'leave',
    },
    'JSON by an option': { options: ['json_output=true'], main: on('program_output'), jsonOutput: 'leave' },
    'a file output that a drop-in turns off': {
      main: `${on('file_output', ', filename: /x')}config_files: [{path: /etc/falco/d.yaml, strategy: override}]\n`,
      tree: { 'd.yaml': 'file_output: {enabled: false}\n' },
    },
    'before 0.41, whose drop-ins replace what options have set': {
      version: '0.40.0',
      options: ['file_output.enabled=false', 'json_output=false'],
    },
  };
  for (const [name, setUp] of Object.entries(setUps)) {
    test(name, () => {
      const { code, detail, after } = result(setUp);
      assert.deepEqual([code, detail], ['alerts_collected', file]);
      assert.deepEqual([after.file_output, after.json_output], [collected, 'true']);
    });
  }
});

test("upstream's charts and its operator, as they are: alerts go to the file", (t) => {
  const folder = join(upstream, 'manifests');
  if (!existsSync(folder)) {
    t.diagnostic('left out: the rendered charts are not here (FEDERATION_UPSTREAM names their folder)');
    return;
  }
  for (const name of readdirSync(folder)) {
    const objects = parseAllDocuments(readFileSync(join(folder, name), 'utf8')).map((one) => one.toJS());
    const falco = objects.flatMap((one) => one?.data?.['falco.yaml'] ?? []);
    assert.equal(falco.length, 1, name);
    assert.equal(result({ tree: { 'falco.yaml': falco[0] } }).code, 'alerts_collected', name);
  }
});

describe("left alone: Falco's outputs stay as they are", () => {
  const setUps: Readonly<Record<string, readonly [setUp: SetUp, code: string, detail?: string]>> = {
    "the user's own file output": [
      { main: on('file_output', ', filename: /var/log/falco.log') },
      'alerts_file_output_taken',
      '/var/log/falco.log',
    ],
    'the same by options, which come before drop-ins there': [
      { options: ['file_output.enabled=true', 'file_output.filename=/x'], version: '0.40.0' },
      'alerts_file_output_taken',
      '/x',
    ],
    'perhaps, by a variable': [
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is Falco that expands it.
      { main: 'file_output: {enabled: "${WRITES}", filename: /x}\n' },
      'alerts_file_output_taken',
      '/x',
    ],
    'a program that takes text': [
      { main: `json_output: false\n${on('program_output', ', program: "mail -s Falco ops"')}` },
      'alerts_text_output',
      'program_output',
    ],
    'text by HTTP and to a program': [
      { main: `${on('http_output', ', url: "http://fluent-bit:9880"')}${on('program_output')}` },
      'alerts_text_output',
      'program_output, http_output',
    ],
    'JSON is not to be set': [{ jsonOutput: 'leave' }, 'alerts_not_json'],
    'an option turns the file output off': [
      { options: ['file_output.enabled=false'] },
      'alerts_option_conflict',
    ],
    'an option names another file': [{ options: ['file_output.filename=/x'] }, 'alerts_option_conflict'],
    'an option turns JSON off': [{ options: ['json_output=false'] }, 'alerts_option_conflict'],
    'a config file behind ours turns it off': [
      {
        main: `config_files: [{path: ${output}, strategy: override}, {path: /etc/falco/d.yaml, strategy: override}]\n`,
        tree: { 'd.yaml': 'file_output: {enabled: false}\n' },
        named: true,
      },
      'alerts_option_conflict',
    ],
    'a configuration that cannot be read': [
      { main: 'config_files: [relative.yaml]\n' },
      'alerts_configuration_unknown',
      'rules_config_unreadable: relative.yaml: relative to a folder not known here',
    ],
  };
  for (const [name, [setUp, code, detail]] of Object.entries(setUps)) {
    test(name, () => {
      const found = result(setUp);
      assert.deepEqual([found.code, found.detail], [code, detail]);
      assert.deepEqual(found.after, found.before);
    });
  }
});

const outputs = ['file_output', 'http_output', 'program_output', 'syslog_output'];
const flag = fc.constantFrom('true', 'false');
const setting = fc.oneof(
  fc.tuple(fc.constantFrom(...outputs), flag).map(([key, enabled]) => [key, { enabled }] as const),
  fc.tuple(fc.constant('json_output'), flag),
);
const option = fc.oneof(
  fc.tuple(fc.constantFrom(...outputs), flag).map(([key, enabled]) => `${key}.enabled=${enabled}`),
  flag.map((value) => `json_output=${value}`),
  fc.constant('file_output.filename=/theirs'),
);

test('whatever stands where: Falco then has our file and JSON, or its outputs as they were', () => {
  const tally: Record<string, number> = {};
  const property = fc.property(
    fc.uniqueArray(setting, { selector: ([key]) => key, maxLength: 3 }),
    fc.array(option, { maxLength: 2 }),
    fc.constantFrom('0.40.0' as const, '0.44.1' as const),
    fc.constantFrom('set' as const, 'leave' as const),
    (settings, options, version, jsonOutput) => {
      const main = settings.map((one) => stringify(Object.fromEntries([one])).replaceAll('"', '')).join('');
      const { code = '', before, after } = result({ main, options, version, jsonOutput });
      tally[code] = (tally[code] ?? 0) + 1;
      if (code !== 'alerts_collected') {
        assert.deepEqual(after, before);
        return;
      }
      assert.deepEqual([after.file_output, after.json_output], [collected, 'true']);
      const { file_output: _, json_output: json, ...others } = before;
      assert.deepEqual({ ...after, ...others }, after);
      const { syslog_output: _syslog, ...read } = others;
      assert.ok(json === 'true' || !JSON.stringify(read).includes('true'), 'a text became JSON');
    },
  );
  fc.assert(property, rounds(150));
  for (const code of ['collected', 'file_output_taken', 'text_output', 'not_json', 'option_conflict'])
    assert.ok((tally[`alerts_${code}`] ?? 0) > 0, `${code} never came`);
});

describe('whatever becomes of the rules', () => {
  const setUps: Readonly<Record<string, readonly [code: string, changes: Parameters<typeof runIn>[1]]>> = {
    'no tags': ['rules_no_tags', { tags: [] }],
    '-r': ['rules_given_by_argument', { falcoArguments: [...ourArguments, '-r', '/etc/falco/a.yaml'] }],
    'an option that replaces the list': [
      'rules_option_conflict',
      { falcoArguments: [...ourArguments, '-o', 'rules_files=/etc/falco/a.yaml'] },
    ],
    'something that goes wrong': [
      'rules_tagging_failed',
      {
        fileSystem: {
          ...falcoFileSystem(),
          look: () => {
            throw new Error('unforeseen');
          },
        },
      },
    ],
  };
  for (const [name, [code, changes]] of Object.entries(setUps)) {
    test(name, () => {
      const { root, run } = planted({});
      const { read } = run.fileSystem;
      const fileSystem = { ...(changes?.fileSystem ?? run.fileSystem), read };
      const { outcome, findings } = tagAndPublish({ ...run, ...changes, fileSystem });
      assert.deepEqual([outcome.code, findings.map((one) => one.code)], [code, ['alerts_collected']]);
      const { file_output, json_output } = outputsOf({ root, args: ourArguments, env: {} });
      assert.deepEqual([file_output, json_output], [collected, 'true']);
    });
  }

  test('without being asked for, nothing is said or done about alerts', () => {
    const { root, run, outputs: has } = planted({});
    assert.deepEqual(tagAndPublish({ ...run, alerts: undefined }).findings, []);
    assert.equal(has().file_output, undefined);
    assert.equal(tagAndPublish({ ...run, alerts: undefined, tags: [] }).outcome.code, 'rules_no_tags');
    assert.ok(!existsSync(`${root}${output}/federation.yaml`));
  });

  test('following: what was published stays while the rules are away, and the alerts with it', () => {
    const { root, run, outputs: has } = planted({});
    const signature = (path: string): string => signatureOf(root + path);
    stepAndRename(run, signature, 'start');
    rmSync(join(root, 'etc/falco/a.yaml'));
    const { report } = stepAndRename(run, signature, 'still');
    assert.ok(report?.findings.some(({ code }) => code === 'rules_previous_kept'));
    assert.deepEqual(has().file_output, collected);
    assert.deepEqual(falcoIn(root).rules, [{ name: 'A', tags: ['own', 'staging'] }]);
  });

  test('following: a file output that the user turns on is left to him', () => {
    const { root, run, outputs: has } = planted({});
    const signature = (path: string): string => signatureOf(root + path);
    stepAndRename({ ...run, tags: [] }, signature, 'start');
    assert.deepEqual(has().file_output, collected);
    writeFileSync(join(root, 'etc/falco/falco.yaml'), listing + on('file_output', ', filename: /theirs'));
    stepAndRename({ ...run, tags: [] }, signature, 'changed');
    assert.deepEqual(has().file_output, { enabled: 'true', filename: '/theirs' });
  });
});
