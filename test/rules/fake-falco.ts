/**
 * A program that behaves as FACTS 1.7 and 1.11 say of Falco, for a test of what real scenarios are run with: it loads
 * what the model loads, says what Falco says, and watches the disk itself. Where FAKE_FALCO_BLIND names a folder it is
 * blind, between the two, from making `blind` in it until somebody takes that away.
 */
import { existsSync, type FSWatcher, watch, writeFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { type FalcoAnswer, type FalcoRun, listedBy, runFalco } from './falco-model.ts';

const args = process.argv.slice(2);
const run: FalcoRun = { root: '', args, env: {} };
const blind = process.env.FAKE_FALCO_BLIND;

function say(line: string): void {
  process.stderr.write(`Thu Nov 26 01:00:00 2026: ${line}\n`);
}

function fail(why: string): never {
  process.stderr.write(`Error: ${why}\n`);
  process.exit(1);
}

/** Loads, and says of what. Throws what keeps it from running. */
function load(): FalcoAnswer {
  const answer = runFalco(run);
  if (answer.rulesFiles.length > 0 || answer.exit === 0) {
    say('Loading rules from:');
    for (const path of answer.rulesFiles) say(`   ${path} | schema validation: ok`);
  }
  if (answer.exit !== 0) throw new Error('LOAD_ERR');
  if (!args.some((arg) => /^(stdout|file|http)_output\.enabled=true$/.test(arg)))
    throw new Error('No output configured, please make sure at least one output is configured and enabled.');
  say('Enabled event sources: syscall');
  return answer;
}

function loadOrExit(): FalcoAnswer {
  try {
    return load();
  } catch (error) {
    return fail(String(error));
  }
}

function describe(): void {
  const { exit, rules } = runFalco(run);
  if (exit !== 0) fail('LOAD_ERR');
  if (rules.length === 0) fail('rules must be loaded before describing them');
  process.stdout.write(`${JSON.stringify({ rules: rules.map((info) => ({ info })) })}\n`);
}

/** Watches, and gives what waits until something has changed and nothing more for a moment. */
function watchAll(paths: readonly string[]): { change: () => Promise<void>; close: () => void } {
  const watchers: FSWatcher[] = [];
  let last: number | undefined;
  const heard = () => {
    last = performance.now();
  };
  for (const path of new Set(paths)) {
    try {
      watchers.push(watch(path, heard));
    } catch {
      fail(`could not watch file: ${path}`);
    }
  }
  const change = async () => {
    while (last === undefined || performance.now() - last < 100) await wait(20);
    last = undefined;
  };
  const close = () => {
    for (const watcher of watchers) watcher.close();
  };
  return { change, close };
}

async function beBlind(): Promise<void> {
  if (blind === undefined) return;
  const sign = `${blind}/blind`;
  writeFileSync(sign, '');
  while (existsSync(sign)) await wait(20);
}

function isGood(): boolean {
  try {
    load();
    return true;
  } catch (error) {
    say(`Falco internal: hot restart failure: ${error}`);
    return false;
  }
}

async function stay(): Promise<void> {
  for (;;) {
    const { rulesFiles } = loadOrExit();
    const { files, folders } = listedBy(run);
    await beBlind();
    const watched = watchAll([...files, ...rulesFiles, ...folders]);
    do await watched.change();
    while (!isGood());
    watched.close();
    say('SIGHUP received, restarting...');
  }
}

if (args.includes('-L')) describe();
else await stay();
