/** The command as the init container runs it: flags, exit status, summary, and never in Falco's way. */
import assert from 'node:assert/strict';
import { type StdioOptions, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { tagRules } from '../../src/commands/tag-rules.ts';
import { emptyReport } from '../../src/rules/publishing/publication-plan.ts';
import {
  linesForPeople,
  longestTerminationMessage,
  terminationMessage,
} from '../../src/rules/publishing/tell-report.ts';
import { rule, rulesFolder } from './temporary-tree.ts';

async function run(...argv: string[]) {
  return runWith({}, ...argv);
}

async function runWith(env: NodeJS.ProcessEnv, ...argv: string[]) {
  const out = { stdout: '', stderr: '' };
  const status = await tagRules(argv, {
    stdin: Readable.from([]),
    stdout: { write: (text) => (out.stdout += text) },
    stderr: { write: (text) => (out.stderr += text) },
    env,
  });
  return { status, ...out };
}

/** A folder with a configuration of one rules file, and the flags for it. */
function plant() {
  const folder = rulesFolder();
  chmodSync(folder, 0o755);
  const at = (name: string) => join(folder, name);
  mkdirSync(at('out'));
  writeFileSync(at('falco.yaml'), `rules_files:\n  - ${at('rules.yaml')}\n`);
  writeFileSync(at('rules.yaml'), rule('One'));
  const flags = ['--tag', 'staging', '--output', at('out'), '--config', at('falco.yaml')];
  return { at, flags: [...flags, '--termination-message', at('message')] };
}

test('the whole way: copies, drop-in, one JSON line, termination message', async () => {
  const { at, flags } = plant();
  const { status, stdout, stderr } = await run(...flags, '--', '/usr/bin/falco', '-pk');
  assert.equal(status, 0);
  assert.equal(stderr, '');
  const line = JSON.parse(stdout);
  assert.deepEqual([line.level, line.code, line.tagged, line.tags], [30, 'rules_tagged', 1, ['staging']]);
  assert.equal(stdout.split('\n').length, 2);
  assert.deepEqual(JSON.parse(readFileSync(at('message'), 'utf8')).tagged, 1);
  assert.match(readFileSync(at('out/rules/00-rules/rules.yaml'), 'utf8'), /tags: \[own, staging\]/);
  assert.match(readFileSync(at('out/federation.yaml'), 'utf8'), /rules\/00-rules/);
});

test('wrong use: status 2 and a message that names the flag', async () => {
  const wrong: [string, string[]][] = [
    ['--tag', ['--output', '/out']],
    ['--tag', ['--tag', '', '--output', '/out']],
    ['--tag', ['--tag', 'a\nb', '--output', '/out']],
    ['--output', ['--tag', 'a']],
    ['--output', ['--tag', 'a', '--output', 'out']],
    ['--output', ['--tag', 'a', '--output', '/rules.yaml.d']],
    ['--config', ['--tag', 'a', '--output', '/out', '--config', 'falco.yaml']],
    ['--on-failure', ['--tag', 'a', '--output', '/out', '--on-failure', 'maybe']],
    ['--tags', ['--tags', 'a']],
    ['-o', ['--tag', 'a', '--output', '/out', '-o', 'x=y']],
    ['falco', ['--tag', 'a', '--output', '/out', 'falco']],
  ];
  for (const [flag, argv] of wrong) {
    const { status, stdout, stderr } = await run(...argv);
    assert.deepEqual([status, stdout], [2, ''], argv.join(' '));
    assert(stderr.includes(flag), stderr);
  }
});

test('help goes to stdout', async () => {
  const { status, stdout, stderr } = await run('--help');
  assert.deepEqual([status, stderr], [0, '']);
  assert.match(stdout, /^Usage: falco-federation tag-rules/);
});

test('a failure is ignored unless asked otherwise, and told with what to do', async () => {
  const { at, flags } = plant();
  writeFileSync(at('falco.yaml'), 'rules_files: [\n');
  assert.equal((await run(...flags)).status, 0);
  const { status, stderr } = await run(...flags, '--on-failure', 'fail');
  assert.equal(status, 1);
  assert.match(stderr, /rules_config_invalid: .*falco\.yaml: line 1: .* Correct the file\./);
  assert(!existsSync(at('out/federation.yaml')));
});

test('that Falco is given -r is no failure', async () => {
  const { flags } = plant();
  const { status, stdout } = await run(...flags, '--on-failure', 'fail', '--', '-r', '/x.yaml');
  assert.equal(status, 0);
  assert.equal(JSON.parse(stdout).code, 'rules_given_by_argument');
});

test('-c counts, whatever --config says: it is what Falco reads', async () => {
  const { at, flags } = plant();
  const withoutConfig = flags.filter((flag) => flag !== '--config' && flag !== at('falco.yaml'));
  for (const own of [
    ['-c', at('falco.yaml')],
    ['-vc', at('falco.yaml')],
    ['-c', '/gone', '-c', at('falco.yaml')],
  ]) {
    const { stdout } = await run(...withoutConfig, '--', '/usr/bin/falco', ...own);
    assert.equal(JSON.parse(stdout).code, 'rules_tagged', own.join(' '));
  }
  const { stdout } = await run(...flags, '--', '-c', '/gone');
  assert.equal(JSON.parse(stdout).code, 'rules_config_unreadable');
});

test('variables come from Falco’s, then from the own environment; others leave the entry', async () => {
  const { at, flags } = plant();
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is Falco that expands it.
  writeFileSync(at('falco.yaml'), 'rules_files: ["${HERE}/rules.yaml"]\n');
  const known = await runWith({ HERE: at('.') }, ...flags);
  assert.equal(JSON.parse(known.stdout).code, 'rules_tagged');
  const unknown = await run(...flags);
  assert.equal(JSON.parse(unknown.stdout).code, 'rules_none_tagged');
  assert(!existsSync(at('out/federation.yaml')));
  const injected = await runWith({ FALCO_ENV_HERE: at('.'), HERE: '/elsewhere' }, ...flags);
  assert.equal(JSON.parse(injected.stdout).code, 'rules_tagged');
});

test('a termination message that cannot be written is no one’s concern', async () => {
  const { at, flags } = plant();
  const { status, stderr } = await run(...flags, '--termination-message', at('gone/message'));
  assert.deepEqual([status, stderr], [0, '']);
});

test('termination messages fit, whatever there is to tell', () => {
  const detail = `/etc/falco/${'ä'.repeat(300)}`;
  const kept = Array.from({ length: 200 }, () => ({ code: 'rules_entry_unreadable' as const, detail }));
  const report = { ...emptyReport({ code: 'rules_none_tagged', detail }), kept };
  const message = terminationMessage(report, ['t'.repeat(5000), ...Array.from({ length: 50 }, String)]);
  assert(Buffer.byteLength(message) <= longestTerminationMessage);
  const told = JSON.parse(message);
  assert.equal(told.code, 'rules_none_tagged');
  assert.equal(told.findings.length + told.left_out, 200);
  assert.equal(linesForPeople(report).length, 201);
});

/**
 * Runs the command in a process of its own, as another user where this one is root. That user may not be able to read
 * the program, as where a clone lies in /root: so root loads it.
 */
function runApart(flags: readonly string[], env: NodeJS.ProcessEnv = process.env) {
  const module = join(import.meta.dirname, '../../src/commands/tag-rules.ts');
  const script = `const { tagRules } = await import(${JSON.stringify(module)});
    if (process.getuid() === 0) {
      process.setgroups([]);
      process.setgid(65532);
      process.setuid(65532);
    }
    process.exitCode = await tagRules(process.argv.slice(1), process);`;
  const stdio: StdioOptions = ['pipe', 'pipe', 'pipe', 'pipe'];
  const options = { encoding: 'utf8', env, stdio } as const;
  return spawnSync(process.execPath, ['--input-type=module', '-e', script, '--', ...flags], options);
}

test('as a user who may not read: the entry stays, and Falco keeps its own rules', () => {
  const { at, flags } = plant();
  chmodSync(at('rules.yaml'), 0);
  chmodSync(at('out'), 0o777);
  const { status, stdout, stderr } = runApart(flags);
  assert.equal(status, 0, stderr);
  assert.equal(JSON.parse(stdout).code, 'rules_none_tagged');
  assert.match(stderr, /rules_entry_unreadable: .*rules\.yaml: EACCES/);
  assert(!existsSync(at('out/federation.yaml')));
});

test('as a user who may not write: nothing half done', () => {
  const { at, flags } = plant();
  chmodSync(at('out'), 0o555);
  const { status, stdout, stderr } = runApart([...flags, '--on-failure', 'fail']);
  assert.equal(status, 1, stderr);
  assert.equal(JSON.parse(stdout).code, 'rules_output_unwritable');
  assert.equal(statSync(at('out')).nlink, 2);
});

test('a flag that only another version knows does not hold Falco back where failures are to be ignored', async () => {
  const { flags } = plant();
  const { status, stderr } = await run(...flags, '--from-the-future', '--on-failure', 'ignore');
  assert.equal(status, 0);
  assert.match(stderr, /--from-the-future/);
  assert.equal((await run(...flags, '--from-the-future', '--on-failure', 'fail')).status, 2);
});

test('a step of following, and a run before the start, where Falco does not look for changes', () => {
  const { at, flags } = plant();
  for (const path of [at('out'), at('.')]) chmodSync(path, 0o777);
  writeFileSync(at('falco.yaml'), `watch_config_files: False\nrules_files:\n  - ${at('rules.yaml')}\n`);
  const step = runApart([...flags, '--follow'], { ...process.env, FALCO_FEDERATION_WOKEN: 'start' });
  assert.equal(step.status, 0, step.stderr);
  const { level, code, tagged } = JSON.parse(step.stdout);
  assert.deepEqual([level, code, tagged], [40, 'rules_watch_off', 1]);
  assert.match(step.stderr, /^tag-rules: rules_watch_off: .*watch_config_files/);
  assert.equal(JSON.parse(readFileSync(at('message'), 'utf8')).code, 'rules_watch_off');
  const before = runApart(flags);
  assert.deepEqual([JSON.parse(before.stdout).code, before.stderr], ['rules_tagged', '']);
});

test('following takes the launcher: without it, an error that says so, and nothing done', async () => {
  const { at, flags } = plant();
  const { status, stdout, stderr } = await run(...flags, '--follow');
  assert.deepEqual([status, stdout], [1, '']);
  assert.match(stderr, /--follow needs the image's launcher/);
  assert(!existsSync(at('out/federation.yaml')));
});
