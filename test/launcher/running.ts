/** A launcher that runs in a test, and what stands for Node there. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { compile, openFolder, script } from './compiled.ts';

/** Arguments of a follower. */
export const follow = ['tag-rules', '--tag', 'staging', '--follow', '--', '/usr/bin/falco', '-o', 'a=b'];

/** What the environment decides in a launcher of the tests (for-tests.h). */
export interface Decided {
  readonly NODE: string;
  readonly PROGRAM?: string;
  readonly FIRST_PAUSE?: string;
  readonly MOST_TIMES?: string;
  readonly FIRST_RETRY?: string;
  readonly CONNECT_TIME?: string;
  readonly POST_TIME?: string;
  readonly QUIET?: string;
  readonly NO_INOTIFY?: string;
}

/** Starts a launcher that runs a Node, or what starts it (`through`); kills it when the test is done. */
export function start(
  t: TestContext,
  decided: Decided,
  args: readonly string[] = follow,
  how?: 'static',
  through: readonly string[] = [],
) {
  const env = { ...process.env, PROGRAM: 'main.mjs', ...decided };
  const [command = '', ...rest] = [...through, compile(how), ...args];
  return run(t, command, rest, env);
}

/** Starts a program and keeps what it says; kills it when the test is done. */
export function run(t: TestContext, command: string, args: readonly string[], env = process.env) {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  const said = { out: '', err: '' };
  child.stdout.on('data', (chunk) => {
    said.out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    said.err += chunk;
  });
  return { child, said };
}

/** Asks it to stop and gives its exit status. */
export async function stopped(child: ChildProcess): Promise<number | null> {
  child.kill('SIGTERM');
  const [status] = await once(child, 'exit');
  return status;
}

/**
 * A stand-in for Node that writes down how it was started, and gives the list in the file `list`. Like Node it reads
 * the drop-in, and it leaves what is in the file `next` as a draft: there the list has to name it.
 */
export function recordingNode() {
  const folder = openFolder();
  const log = join(folder, 'log');
  const list = join(folder, 'list');
  const dropIn = join(folder, 'federation.yaml');
  const draft = join(folder, 'work/file');
  writeFileSync(log, '');
  mkdirSync(join(folder, 'work'));
  const node = script(
    `exec 4< ${list}
    echo "$FALCO_FEDERATION_WOKEN $*" >> ${log}
    cat ${dropIn} > /dev/null 2>&1
    if [ -f ${folder}/next ]; then mv ${folder}/next ${draft}; fi
    cat <&4 >&3`,
  );
  type Pairs = readonly (readonly [string, string])[];
  // By rename: the script may be reading it. It opens it first, so that a call is one with the list from before.
  const write = (texts: readonly (string | number)[]) => {
    writeFileSync(`${list}.new`, texts.map((text) => `${text}\0`).join(''));
    renameSync(`${list}.new`, list);
  };
  const watch = (within: number, ...pairs: Pairs) => write([within, '', '', ...pairs.flat()]);
  const leave = (text: string, ...pairs: Pairs) => {
    writeFileSync(`${folder}/next`, text);
    write([0, draft, dropIn, ...pairs.flat()]);
  };
  const calls = () => readFileSync(log, 'utf8').split('\n').slice(0, -1);
  return { folder, dropIn, watch, leave, node, calls };
}
