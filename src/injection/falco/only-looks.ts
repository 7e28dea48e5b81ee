import { givenOptions } from '../../rules/configuration/falco-arguments.ts';

/**
 * Options with which Falco prints or checks something and ends (userspace/falco/app/options.cpp and app/actions of
 * Falco 0.38 to 0.44, where each ends the run; `--list-syscall-events` is older).
 */
const looking: ReadonlySet<string> = new Set([
  ...['h', 'help', 'version', 'support', 'page-size', 'config-schema', 'rule-schema'],
  ...['V', 'validate', 'dry-run', 'L', 'l', 'i', 'list', 'list-events', 'list-syscall-events'],
  ...['list-plugins', 'plugin-info', 'gvisor-generate-config'],
]);

/** As cxxopts reads a flag that is turned off. */
const isOff = (value: string | undefined): boolean => /^([fF](alse)?|0)$/.test(value ?? '');

/** The option that makes Falco look and end, as it is written: `-V`; `undefined` where Falco runs. */
export function lookingOption(args: readonly string[]): string | undefined {
  for (const { name, value } of givenOptions(args)) {
    if (!looking.has(name)) continue;
    if (name.length === 1) return `-${name}`;
    if (!isOff(value)) return `--${name}`;
  }
  return undefined;
}
