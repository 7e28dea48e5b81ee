/** `tag-rules --follow` of the image: asleep but for changes, and never in Falco's way. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { parsedReport } from '../../src/coverage/tagging-report.ts';
import { signatureOf } from '../../src/rules/configuration/file-system.ts';
import { rule } from '../rules/temporary-tree.ts';
import { until } from '../until.ts';
import { cannotCompile, compile, openFolder, script } from './compiled.ts';
import { follow, recordingNode, start, stopped } from './running.ts';

const main = new URL('../../src/main.ts', import.meta.url).pathname;
const status = (pid: number | undefined, key: string): number =>
  Number(new RegExp(`^${key}:\\s*(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

describe('the launcher', { skip: cannotCompile }, () => {
  test('becomes Node for everything else, with the arguments as they are', () => {
    const launcher = compile();
    const node = (NODE: string, ...args: string[]) =>
      spawnSync(launcher, args, { encoding: 'utf8', env: { NODE, PROGRAM: 'main.mjs' } });
    const run = (...args: string[]) => node('/bin/echo', ...args).stdout;
    assert.match(run('serve', '--settings', 'a b'), /^--no-opt .*main\.mjs serve --settings a b\n$/);
    assert.match(
      run('tag-rules', '--tag', 'a', '--', '--follow'),
      / main\.mjs tag-rules --tag a -- --follow\n$/,
    );
    assert.match(run('tag-rules', '--follow', '--help'), / main\.mjs tag-rules --follow --help\n$/);
    assert.equal(run('check'), 'main.mjs check\n');
    assert.equal(run(), 'main.mjs\n');
    const none = node('/nowhere/node', 'serve');
    assert.deepEqual([none.status, /cannot start \/nowhere\/node/.test(none.stderr)], [1, true]);
  });

  test('starts Node small, but for what the user says of the C library', () => {
    const launcher = compile();
    for (const command of ['serve', 'forward', 'receive', 'tag-rules']) {
      // Node refuses flags that it does not know.
      const env = { NODE: process.execPath, PROGRAM: '/dev/null' };
      assert.equal(spawnSync(launcher, [command], { env }).status, 0, command);
    }
    const env = { MALLOC_ARENA_MAX: '4', NODE: script('echo $MALLOC_ARENA_MAX $MALLOC_TRIM_THRESHOLD_') };
    assert.equal(spawnSync(launcher, ['serve'], { encoding: 'utf8', env }).stdout, '4 32768\n');
  });

  test('Falco starts whatever becomes of Node, unless failures are to count', async () => {
    const launcher = compile();
    const message = join(openFolder(), 'termination-log');
    const run = (NODE: string, how: string, ...more: string[]) => {
      const args = ['tag-rules', '--tag', 'a', '--on-failure', how, ...more];
      const env = { NODE, PROGRAM: 'main.mjs', TERMINATION_MESSAGE: message };
      writeFileSync(message, '');
      return spawnSync(launcher, args, { encoding: 'utf8', env });
    };
    const ends: readonly (readonly [node: string, told: RegExp])[] = [
      [script('exit 0'), /^$/],
      [script('kill -9 $$'), /tag-rules was killed by signal 9; Falco starts with its own rules/],
      [script('exit 9'), /tag-rules failed with exit status 9; Falco starts/],
      ['/nowhere/node', /cannot start .*\n.*tag-rules failed with exit status 1; Falco starts/],
    ];
    for (const [node, told] of ends) {
      const { status, stderr } = run(node, 'ignore');
      assert.equal(status, 0, stderr);
      assert.match(stderr, told);
      const report = parsedReport(readFileSync(message, 'utf8'));
      assert.equal(report?.outcome.code, stderr === '' ? undefined : 'rules_tagging_failed');
    }
    assert.equal(run(script('exit 9'), 'fail').status, 9);
    assert.equal(run(script('kill -9 $$'), 'fail', '--', '--on-failure', 'ignore').signal, 'SIGKILL');
  });

  test('who asks it to stop asks Node', async () => {
    const args = ['tag-rules', '--on-failure', 'ignore'];
    const NODE = script("trap 'echo asked; exit 0' TERM; echo runs; while :; do sleep 0.05; done");
    const child = spawn(compile(), args, {
      env: { ...process.env, NODE, PROGRAM: 'main.mjs', TERMINATION_MESSAGE: '/dev/null' },
    });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    await until('it runs', () => said === 'runs\n');
    assert.equal(await stopped(child), 0);
    assert.equal(said, 'runs\nasked\n');
  });

  test('starts Node at the start, after a change, and when the time is up; and knows nothing else', async (t) => {
    const { folder, watch, node, calls } = recordingNode();
    const file = join(folder, 'rules.yaml');
    writeFileSync(file, 'one');
    watch(0, [file, signatureOf(file)], [join(folder, 'none'), signatureOf(join(folder, 'none'))]);
    const { child, said } = start(t, { NODE: node });
    await until('the first run', () => calls().length === 1);
    assert.ok(calls()[0]?.startsWith('start --'));
    assert.ok(calls()[0]?.endsWith(` main.mjs ${follow.join(' ')}`));
    await wait(300);
    assert.equal(calls().length, 1, 'nothing has changed');
    appendFileSync(file, 'more');
    watch(700, [file, 'what was read is older'], ['/nowhere/at/all', signatureOf('/nowhere/at/all')]);
    await until('a second run', () => calls().length === 2);
    assert.match(calls()[1] ?? '', /^changed /);
    // A change between reading and waiting: the signature tells.
    watch(700, [file, signatureOf(file)]);
    await until('a third run', () => calls().length >= 3);
    assert.match(calls()[2] ?? '', /^changed /);
    watch(700);
    await until('a run without a change', () => /^still /.test(calls().at(-1) ?? ''));
    assert.equal(await stopped(child), 0);
    assert.deepEqual(said, { out: '', err: '' });
  });

  test('a file that is being written is left alone until it has come to rest', async (t) => {
    const { folder, watch, node, calls } = recordingNode();
    const file = join(folder, 'rules.yaml');
    writeFileSync(file, '');
    watch(0, [file, signatureOf(file)]);
    const { child } = start(t, { NODE: node });
    await until('the first run', () => calls().length === 1);
    let [last, longest] = [performance.now(), 0];
    for (let times = 0; times < 30; times++) {
      appendFileSync(file, 'more');
      await wait(10);
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }
    // Where this process had to wait as long, the file was at rest.
    if (longest < 100) assert.equal(calls().length, 1);
    watch(0, [file, signatureOf(file)]);
    await until('another run', () => calls().length >= 2);
    const runs = calls().length;
    await wait(300);
    assert.equal(calls().length, runs);
    assert.equal(await stopped(child), 0);
  });

  test('Node that fails, or says nonsense, is tried again later, and stops nothing', async (t) => {
    for (const text of [
      'exit 7',
      'kill -9 $$',
      'exit 0',
      'echo nonsense >&3',
      "printf '0\\0a\\0' >&3",
      "printf '0\\0\\0' >&3",
    ]) {
      const { child, said } = start(t, { NODE: script(text) });
      await until('it says so', () => said.err.includes('tag-rules failed; retrying in'));
      assert.equal(await stopped(child), 0, text);
    }
  });

  test('a Node that was killed is started again soon, then with growing pauses', async (t) => {
    const { folder, watch, node, calls } = recordingNode();
    watch(0);
    const failsTwice = script(`echo >> ${folder}/times
      if [ $(wc -l < ${folder}/times) -lt 3 ]; then kill -9 $$; fi
      exec ${node} "$@"`);
    const { child, said } = start(t, { NODE: failsTwice, FIRST_RETRY: '1000' });
    await until('Node has tagged', () => calls().length === 1);
    assert.match(calls()[0] ?? '', /^start /, 'what was to be done is still to be done');
    assert.deepEqual(said.err.match(/retrying in \d+ s/g), ['retrying in 1 s', 'retrying in 2 s']);
    assert.equal(await stopped(child), 0);
  });

  test('asked to stop while Node ends, its list written, it stops both', async (t) => {
    const folder = openFolder();
    const node = script(`printf '0\\0\\0\\0' >&3; exec 3>&-; touch ${folder}/up; exec sleep 20`);
    const { child } = start(t, { NODE: node });
    await until('Node is up', () => readdirSync(folder).includes('up'));
    const from = performance.now();
    assert.equal(await stopped(child), 0);
    assert.ok(performance.now() - from < 5_000);
  });

  test('asked to stop while Node works, it stops both', async (t) => {
    const folder = openFolder();
    const node = script(
      `trap 'echo stopped > ${folder}/seen; exit 0' TERM; touch ${folder}/up; sleep 20 & wait`,
    );
    const { child } = start(t, { NODE: node });
    await until('Node is up', () => readdirSync(folder).includes('up'));
    assert.equal(await stopped(child), 0);
    assert.deepEqual(readdirSync(folder).sort(), ['seen', 'up']);
  });

  test('without inotify it polls, and says so', async (t) => {
    const { folder, watch, node, calls } = recordingNode();
    const file = join(folder, 'rules.yaml');
    writeFileSync(file, '');
    watch(0, [file, signatureOf(file)]);
    const { child, said } = start(t, { NODE: node, NO_INOTIFY: '1' });
    await until('it says so', () => said.err.includes('inotify unavailable (Too many open files); polling'));
    writeFileSync(file, 'changed');
    await until('a second run', () => calls().length === 2);
    watch(0, [file, signatureOf(file)]);
    await until('a third run', () => calls().length === 3);
    assert.equal(await stopped(child), 0);
    assert.equal(said.err.trim().split('\n').length, 1, 'once');
  });
});

describe('the launcher with the real program', { skip: cannotCompile }, () => {
  test('rules of falcoctl, a ConfigMap and the operator are tagged; between changes it takes next to nothing', async (t) => {
    const folder = openFolder();
    const at = (name: string): string => join(folder, name);
    mkdirSync(at('out'));
    mkdirSync(at('rules.d/..1'), { recursive: true });
    writeFileSync(at('rules.d/..1/map.yaml'), rule('Mapped'));
    symlinkSync('..1', at('rules.d/..data'));
    symlinkSync('..data/map.yaml', at('rules.d/map.yaml'));
    writeFileSync(at('falco_rules.yaml'), rule('One'));
    writeFileSync(at('falco.yaml'), `rules_files:\n  - ${at('falco_rules.yaml')}\n  - ${at('rules.d')}\n`);
    const published = (): string => {
      const list = readFileSync(at('out/federation.yaml'), 'utf8');
      const folders = [...list.matchAll(/"(.*)"/g)].map(([, path = '']) => path);
      return folders
        .flatMap((one) => readdirSync(one).map((name) => readFileSync(join(one, name), 'utf8')))
        .join('');
    };
    const tagged = (name: string) => new RegExp(`rule: ${name}\\n[^-]*tags: \\[own, staging\\]`);
    const sees = (name: string) => () => {
      try {
        return tagged(name).test(published());
      } catch {
        return false;
      }
    };
    const { child, said } = start(
      t,
      { NODE: process.execPath, PROGRAM: main },
      [
        ...['tag-rules', '--tag', 'staging', '--output', at('out'), '--config', at('falco.yaml'), '--follow'],
        ...['--termination-message', at('message')],
      ],
      'static',
    );
    await until('the first rules are tagged', sees('Mapped'));

    // In place, in two writes, as falcoctl does.
    writeFileSync(at('falco_rules.yaml'), rule('One').slice(0, 20));
    writeFileSync(at('falco_rules.yaml'), rule('One') + rule('Two'));
    await until('Two is tagged', sees('Two'));

    // As kubelet swaps a ConfigMap.
    mkdirSync(at('rules.d/..2'));
    writeFileSync(at('rules.d/..2/map.yaml'), rule('Swapped'));
    symlinkSync('..2', at('rules.d/..data_tmp'));
    renameSync(at('rules.d/..data_tmp'), at('rules.d/..data'));
    await until('Swapped is tagged', sees('Swapped'));

    writeFileSync(at('rules.d/50-01-late.yaml'), rule('Late'), { mode: 0o600 });
    await until('Late is tagged', sees('Late'));
    await until(
      'Node is gone',
      () => readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8') === '',
    );

    assert.ok(status(child.pid, 'VmRSS') < 2_048, `${status(child.pid, 'VmRSS')} kB`);
    await until('all is read', () => said.err.split('Falco read it').length === 5);
    await until('it sleeps for a second', async () => {
      const wakeUps = status(child.pid, 'voluntary_ctxt_switches');
      await wait(1_000);
      return status(child.pid, 'voluntary_ctxt_switches') === wakeUps;
    });
    assert.equal(said.out.trim().split('\n').length, 4, 'one line of summary for each change');
    assert.equal(await stopped(child), 0);
    // This test reads what is published, as Falco does.
    const states = said.err.trim().split('\n');
    assert.equal(states.filter((line) => line.includes(': published ')).length, 4, said.err);
    assert.equal(states.filter((line) => line.includes('Falco read it')).length, 4, said.err);
    // On a slow machine it is published again before it is read here.
    assert.equal(states.filter((line) => !line.includes('published again')).length, 8, said.err);
  });
});
