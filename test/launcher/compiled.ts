/** The launcher, compiled once for all tests: `for-tests.h` says what the environment decides in it. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../temporary-folder.ts';

const sources = new URL('../../src/launcher', import.meta.url).pathname;
const header = new URL('for-tests.h', import.meta.url).pathname;
const cache = new URL('../../node_modules/.cache/launcher', import.meta.url).pathname;

/** Why the launcher cannot be tried here; undefined where it can. In CI it must be tried. */
export const cannotCompile: string | undefined =
  process.env.CI !== undefined ||
  (process.platform === 'linux' && spawnSync('cc', ['--version']).status === 0)
    ? undefined
    : 'the launcher needs Linux and a C compiler (cc)';

/** A folder of the test's own, which everyone may use. */
export function openFolder(): string {
  const folder = temporaryFolder('launcher-');
  chmodSync(folder, 0o777);
  return folder;
}

/** With musl, as names are to resolve in a static program; else with what there is. */
const musl = spawnSync('musl-gcc', ['--version']).status === 0 ? 'musl-gcc' : 'cc';

const flags = {
  /** As the Dockerfile does, to see what it costs. */
  static: ['-Os', '-static', '-s'],
  /** With sanitizers. */
  checked: ['-O1', '-g', '-pthread', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
};

/** Compiles it, unless these very sources were compiled before. In a folder that everyone may use: root's may be closed. */
export function compile(how: keyof typeof flags = 'checked'): string {
  const files = readdirSync(sources).filter((name) => /\.[ch]$/.test(name));
  const args = [
    ...['-std=c11', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Wpedantic', '-Werror', '-include', header],
    ...flags[how],
  ];
  const digest = createHash('sha256').update(args.join(' ')).update(readFileSync(header));
  for (const name of files) digest.update(name).update(readFileSync(join(sources, name)));
  const compiled = join(cache, digest.digest('hex').slice(0, 16));
  if (!existsSync(compiled)) {
    mkdirSync(cache, { recursive: true });
    const draft = `${compiled}.${process.pid}`;
    const inputs = files.filter((name) => name.endsWith('.c')).map((name) => join(sources, name));
    const compiler = how === 'static' ? musl : 'cc';
    const { status, stderr } = spawnSync(compiler, [...args, '-o', draft, ...inputs], { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
    renameSync(draft, compiled);
  }
  const launcher = join(openFolder(), 'falco-federation');
  writeFileSync(launcher, readFileSync(compiled), { mode: 0o755 });
  return launcher;
}

/** A shell script that stands for Node. */
export function script(text: string): string {
  const path = join(openFolder(), 'node');
  writeFileSync(path, `#!/bin/sh\n${text}`, { mode: 0o755 });
  return path;
}
