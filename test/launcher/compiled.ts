/** The launcher, compiled for a test: with a Node and a program of the test's own, and with sanitizers. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

const sources = new URL('../../src/launcher', import.meta.url).pathname;

/** Why the launcher cannot be tried here; undefined where it can. In CI it must be tried. */
export const cannotCompile: string | undefined =
  process.env.CI !== undefined ||
  (process.platform === 'linux' && spawnSync('cc', ['--version']).status === 0)
    ? undefined
    : 'the launcher needs Linux and a C compiler (cc)';

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder of the test's own, which everyone may use; gone when the file's tests are done. */
export function openFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'launcher-'));
  chmodSync(folder, 0o777);
  folders.push(folder);
  return folder;
}

/**
 * Compiles it. `static`: as the Dockerfile does, to see what it costs; `checked`: with sanitizers. `inotify`: C code
 * whose no_inotify() takes the place of inotify_init1(). `macros`: values that are others in a test, `NAME=VALUE`.
 */
export function compile(
  node: string,
  program: string,
  how: 'static' | 'checked' = 'checked',
  inotify?: string,
  macros: readonly string[] = [],
): string {
  const launcher = join(openFolder(), 'falco-federation');
  const files = readdirSync(sources).filter((name) => name.endsWith('.c'));
  const more = inotify === undefined ? [] : ['-Dinotify_init1=no_inotify', `${launcher}.c`];
  if (inotify !== undefined) writeFileSync(`${launcher}.c`, inotify);
  const { status, stderr } = spawnSync(
    'cc',
    [
      ...['-std=c11', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Wpedantic', '-Werror'],
      ...(how === 'static' ? ['-Os', '-static', '-s'] : ['-O1', '-g', '-fsanitize=address,undefined']),
      ...macros.map((macro) => `-D${macro}`),
      ...[`-DNODE="${node}"`, `-DPROGRAM="${program}"`, '-o', launcher],
      ...files.map((name) => join(sources, name)),
      ...more,
    ],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(stderr);
  return launcher;
}

/** A shell script that stands for Node. */
export function script(text: string): string {
  const path = join(openFolder(), 'node');
  writeFileSync(path, `#!/bin/sh\n${text}`, { mode: 0o755 });
  return path;
}

/** C that stands for a node whose watches are all in use. */
export const withoutInotify = `
#include <errno.h>
int no_inotify(int flags);
int no_inotify(int flags) { (void)flags; errno = EMFILE; return -1; }
`;
