/** Whether Falco looks for changes: by its configuration, in the order in which it reads it, and by its arguments. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { effectiveRulesFiles } from '../../src/rules/configuration/effective-rules-files.ts';
import { readFalcoArguments } from '../../src/rules/configuration/falco-arguments.ts';
import { FalcoConfiguration, NotKnown } from '../../src/rules/configuration/falco-configuration.ts';
import { readFalcoVersion } from '../../src/rules/configuration/falco-version.ts';
import { watchTurnedOff } from '../../src/rules/configuration/watch-config-files.ts';
import { rounds } from '../rounds.ts';
import { runFalco, watches } from './falco-model.ts';
import { plant, rule, runIn } from './temporary-tree.ts';

interface SetUp {
  /** Of falco.yaml. */
  readonly main?: string | undefined;
  /** Of a drop-in. */
  readonly dropIn?: string | undefined;
  readonly strategy?: 'append' | 'override' | 'add-only';
  readonly options?: readonly string[];
  readonly version?: '0.40.0' | '0.44.1';
}

const listing = 'rules_files: [/etc/falco/a.yaml]\n';

function prepared({ main, dropIn, strategy, options = [], version = '0.44.1' }: SetUp) {
  const old = version === '0.40.0';
  const item =
    strategy === undefined || old ? '/etc/falco/d.yaml' : `{path: /etc/falco/d.yaml, strategy: ${strategy}}`;
  const tree = {
    'falco.yaml': `${listing}${main ?? ''}\nconfig_files: [${item}]\n`,
    'a.yaml': rule('A'),
    ...(dropIn === undefined ? {} : { 'd.yaml': `json_output: true\n${dropIn}\n` }),
  };
  const falcoArguments = options.flatMap((option) => ['-o', option]);
  return { root: plant(tree), falcoArguments, version: readFalcoVersion(version), old };
}

/** Whether Falco looks for changes; undefined where it does not start. */
function watched(setUp: SetUp, lookup: (name: string) => string | undefined = () => ''): boolean | undefined {
  const { root, ...changes } = prepared(setUp);
  try {
    return effectiveRulesFiles(new FalcoConfiguration(runIn(root, { ...changes, lookup }))).watched;
  } catch (error) {
    assert.ok(error instanceof NotKnown && error.finding.code === 'rules_config_refused');
    return undefined;
  }
}

test('Falco looks for changes unless it is told not to in one of the words that yaml-cpp has for false', () => {
  const off = [
    'false',
    'False',
    'FALSE',
    'no',
    'No',
    'NO',
    'n',
    'N',
    'off',
    'Off',
    'OFF',
    '"false"',
    "'no'",
    '!!str off',
  ];
  const on = [
    'true',
    'yes',
    'on',
    'fALSE',
    'nO',
    'oFF',
    '0',
    '"0"',
    'disabled',
    'f',
    '~',
    '',
    '[]',
    '[false]',
    '{off: off}',
    '"no "',
  ];
  for (const value of off) assert.equal(watched({ main: `watch_config_files: ${value}` }), false, value);
  for (const value of on) assert.equal(watched({ main: `watch_config_files: ${value}` }), true, value);
  assert.equal(watched({}), true);
});

test('from 0.41 options win over drop-ins, before it was the other way round', () => {
  const turnedOn = { dropIn: 'watch_config_files: on', options: ['watch_config_files=false'] };
  assert.equal(watched({ ...turnedOn, version: '0.44.1' }), false);
  assert.equal(watched({ ...turnedOn, version: '0.40.0' }), true);
  const keeps = { main: 'watch_config_files: true', dropIn: 'watch_config_files: false' };
  assert.equal(watched({ ...keeps, strategy: 'add-only' }), true);
  assert.equal(watched({ ...keeps, strategy: 'append' }), false);
  assert.equal(watched({ ...keeps, version: '0.40.0' }), false);
});

test('a variable counts with its value, and as nothing to go by where that is not known', () => {
  const main = `watch_config_files: $${'{WATCH}'}`;
  assert.equal(
    watched({ main }, () => 'no'),
    false,
  );
  assert.equal(
    watched({ main }, () => 'yes'),
    true,
  );
  assert.equal(
    watched({ main }, () => undefined),
    true,
  );
});

const value = fc.constantFrom('false', 'no', 'Off', 'true', 'yes', 'nO', '~', '[off]', '""', 'maybe');
const line = fc.option(
  value.map((one) => `watch_config_files: ${one}`),
  { nil: undefined },
);
const option = fc.oneof(
  fc
    .constantFrom('false', 'off', 'true', 'TRUE', 'nothing', '{"off": "off"}')
    .map((one) => `watch_config_files=${one}`),
  fc.constantFrom('watch_config_files[]=false', 'json_output=false'),
);

test('whatever stands where, we take it as the model of Falco does', () => {
  fc.assert(
    fc.property(
      fc.record({
        ...{ main: line, dropIn: line, options: fc.array(option, { maxLength: 3 }) },
        strategy: fc.constantFrom('append', 'override', 'add-only'),
        version: fc.constantFrom('0.40.0', '0.44.1'),
      }),
      (setUp) => {
        const { root, falcoArguments: args, old } = prepared(setUp);
        const run = { root, args, env: {}, old };
        assert.equal(watched(setUp), runFalco(run).exit === 0 ? watches(run) : undefined);
      },
    ),
    rounds(25),
  );
});

test('what the arguments alone tell', () => {
  const off = [
    ['-o', 'watch_config_files=false'],
    ['/usr/bin/falco', '-pk', '--option=watch_config_files=no'],
    ['-o', 'watch_config_files=true', '--option', 'watch_config_files=Off'],
  ];
  const on = [
    [],
    ['-o', 'watch_config_files=false', '-o', 'watch_config_files=true'],
    ['-o', 'watch_config_files=$(WATCH)'],
    ['-o', 'watch_config_files'],
    ['-o', 'xwatch_config_files=false'],
    ['--', '-o', 'watch_config_files=false'],
  ];
  for (const args of off) assert(watchTurnedOff(readFalcoArguments(args)), args.join(' '));
  for (const args of on) assert(!watchTurnedOff(readFalcoArguments(args)), args.join(' '));
});
