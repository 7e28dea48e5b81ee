/** Twice the input takes about twice the time: Falco waits for its rules, whatever they and its configuration hold. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { FileSystem } from '../../src/rules/configuration/file-system.ts';
import { expandVariables } from '../../src/rules/configuration/variables.ts';
import { planPublication } from '../../src/rules/publishing/publication-plan.ts';
import { tagRulesFile } from '../../src/rules/tagging/tag-rules-file.ts';
import { processorTime } from '../processor-time.ts';
import { plant, rule, runIn } from './temporary-tree.ts';

function assertGrowth(input: (size: number) => () => void, size: number): void {
  const [small, large] = [size, 8 * size].map((one) => processorTime(input(one)));
  // Eight times the input; what grows with its square takes 64 times as long.
  assert.ok((large ?? 0) < 24 * (small ?? 0), `${small} ms became ${large} ms`);
}

const times = (text: string, size: number) => text.repeat(size);

describe('rules files', () => {
  /** Each with a size that takes some milliseconds. */
  const texts: Readonly<Record<string, readonly [number, (size: number) => string]>> = {
    rules: [200, (size) => times(rule('A'), size)],
    'rules without tags': [200, (size) => times(rule('A').replace(/ {2}tags.*\n/, ''), size)],
    'tags of one rule': [1_000, (size) => rule('A', times('a, ', size))],
    'rules that share their tags': [
      100,
      (size) => rule('A', 'a').replace('[', '&t [') + times(rule('B').replace(/\[.*\]/, '*t'), size),
    ],
    'an anchor again and again': [1_000, (size) => `- list: l\n  items: [${times('&a x, *a, ', size)}]\n`],
    brackets: [2_000, (size) => times('[', size)],
    'brackets that are closed': [200, (size) => times('[', size) + times(']', size)],
    'flow mappings within each other': [200, (size) => times('- {a: ', size) + times('}', size)],
    indentation: [50, (size) => Array.from({ length: size }, (_, at) => `${' '.repeat(at)}a:\n`).join('')],
    'an open quote': [10_000, (size) => `- rule: "${times('a\n ', size)}`],
    'escapes in quotes': [10_000, (size) => `- rule: "${times('\\\\\\"', size)}"\n`],
    'a block scalar': [5_000, (size) => `- list: l\n  x: |\n${times('    a\n\n', size)}`],
  };
  for (const [name, [size, input]] of Object.entries(texts)) {
    test(name, () =>
      assertGrowth((one) => {
        const bytes = Buffer.from(input(one));
        return () => tagRulesFile(bytes, ['staging']);
      }, size),
    );
  }
});

describe("Falco's configuration, arguments and environment", () => {
  test('a configuration file of more than 4 MiB is none that is read', () => {
    const text = 'rules_files: [/etc/falco/a.yaml]\n#';
    const planned = (size: number) => {
      const root = plant({ 'falco.yaml': text + times('x', size - text.length), 'a.yaml': rule('A') });
      return planPublication(runIn(root)).report.outcome.code;
    };
    assert.equal(planned(4 * 1024 * 1024), 'rules_tagged');
    assert.equal(planned(4 * 1024 * 1024 + 1), 'rules_config_unreadable');
  });

  test('in a value 100 variables are replaced, and 64 KiB of text at the most', () => {
    const known = (count: number, length: number) => {
      const { unknown } = expandVariables(times('$' + '{A}', count), () => times('x', length));
      return unknown.length === 0;
    };
    assert.deepEqual([known(100, 1), known(101, 1)], [true, false]);
    assert.deepEqual([known(2, 30_000), known(2, 70_000)], [true, false]);
  });

  /** Whatever a path is, it is this text; no folder is there. */
  const showing = (text: string): FileSystem => ({
    look: () => ({ is: 'file', size: text.length }),
    list: () => ({ is: 'names', names: [], notUtf8: [] }),
    read: (path) =>
      path.endsWith('falco.yaml')
        ? { is: 'bytes', bytes: Buffer.from(text) }
        : { is: 'unreadable', why: 'none' },
  });
  const listing = (items: string): string => `rules_files:\n${items}`;
  const inputs: Readonly<
    Record<string, readonly [number, (size: number) => { text?: string; args?: readonly string[] }]>
  > = {
    'rules files': [200, (size) => ({ text: listing(times('  - /a.yaml\n', size)) })],
    'aliases of aliases': [
      20,
      (size) => ({
        text: `a0: &a0 [x]\n${Array.from({ length: size }, (_, at) => `rules_files: &a${at + 1} [*a${at}, *a${at}]\n`).join('')}`,
      }),
    ],
    'variables in one value': [10, (size) => ({ text: listing(`  - ${times('$' + '{A}', size)}\n`) })],
    'variables without an end': [1_000, (size) => ({ text: listing(`  - ${times('$' + '{', size)}\n`) })],
    'options that append': [
      100,
      (size) => ({ args: Array.from({ length: size }, () => ['-o', 'rules_files[]=/a.yaml']).flat() }),
    ],
    'an option with a long path': [1_000, (size) => ({ args: ['-o', `rules_files${times('[0]', size)}=a`] })],
    'an option that is a deep object': [
      200,
      (size) => ({ args: ['-o', `rules={"a": ${times('[', size)}${times(']', size)}}`] }),
    ],
  };
  for (const [name, [size, input]] of Object.entries(inputs)) {
    test(name, () =>
      assertGrowth((one) => {
        const { text = listing('  - /a.yaml\n'), args = [] } = input(one);
        const run = runIn('', {
          fileSystem: showing(text),
          falcoArguments: args,
          // A value that names itself, twice.
          lookup: () => '$' + '{A}$' + '{A}',
        });
        return () => planPublication(run);
      }, size),
    );
  }
});
