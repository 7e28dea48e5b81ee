/** Prometheus' own tool, which reads its rules and runs their tests. */
import { spawnSync } from 'node:child_process';

/** Why it is left out here; undefined where it is there. In CI it must be: `.ci/install-tools` brings it. */
export const cannotRunPromtool: string | undefined =
  process.env.CI !== undefined || spawnSync('promtool', ['--version']).status === 0
    ? undefined
    : 'promtool is not on PATH (it is in Debian\'s package "prometheus")';

/** @returns what it printed. Throws with that where it found something wrong. */
export function promtool(...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync('promtool', args, { encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`promtool ${args.join(' ')}\n${stdout}${stderr}`);
  return stdout;
}
