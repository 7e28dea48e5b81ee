import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readFalcoArguments } from '../../src/rules/configuration/falco-arguments.ts';

const looking: readonly (readonly [args: string, option: string])[] = [
  ...['-h', '--help', '--version', '--support', '--page-size', '--config-schema', '--rule-schema'].map(
    (option) => [option, option] as const,
  ),
  ...['-L', '-i', '--list', '--list-events', '--list-syscall-events', '--list-plugins', '--dry-run'].map(
    (option) => [option, option] as const,
  ),
  ['-V /etc/falco/x.yaml', '-V'],
  ['--validate=/etc/falco/x.yaml', '--validate'],
  ['-l Terminal', '-l'],
  ['--plugin-info k8saudit', '--plugin-info'],
  ['--list=syscall', '--list'],
  ['--list syscall --format json', '--list'],
  ['-c /etc/falco/falco.yaml -o json_output=true -vL', '-L'],
  ['--dry-run=true', '--dry-run'],
];

const running = [
  '',
  '-U',
  '-c /etc/falco/falco.yaml -v',
  '-p -L',
  '-o key=-V --print --version',
  '-M 60 --markdown -N --format json',
  '-e --help',
  '--dry-run=false --version=0',
  '--disable-source syscall --enable-source k8s_audit',
];

const split = (text: string): string[] => text.split(' ').filter((word) => word !== '');

describe('Falco that only looks', () => {
  for (const [args, option] of looking) {
    test(`falco ${args}: looks`, () => assert.equal(readFalcoArguments(split(args)).looks, option));
  }
  for (const args of running) {
    test(`falco ${args}: runs`, () => assert.equal(readFalcoArguments(split(args)).looks, undefined));
  }
});
