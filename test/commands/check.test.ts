import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { check } from '../../src/commands/check.ts';
import { temporaryFolder } from '../temporary-folder.ts';

const folder = temporaryFolder('check-');

async function run(argv: readonly string[], env: Record<string, string> = {}, isTTY = false) {
  const out: string[] = [];
  const errors: string[] = [];
  const status = await check(argv, {
    stdin: Readable.from([]),
    stdout: { write: (text) => out.push(text), isTTY },
    stderr: { write: (text) => errors.push(text), isTTY },
    env: { HOME: folder, ...env },
  });
  return { status, out: out.join(''), errors: errors.join('') };
}

function file(name: string, text: string): string {
  const at = join(folder, name);
  writeFileSync(at, text);
  return at;
}

describe('check', () => {
  test('a settings file that is good, one with a placeholder, one that is bad', async () => {
    const good = await run([
      '--settings',
      file('good.yaml', 'cluster: a\nhub: {address: "https://hub.corp.net"}\n'),
    ]);
    assert.equal(good.status, 0);
    assert.match(
      good.out,
      /^settings\n--------\n✓ .*good\.yaml is valid: spoke "a"\n\nHealthy: 0 errors, 0 warnings\.\n$/,
    );
    const placeholder = await run([
      '--settings',
      file('p.yaml', 'cluster: a\nhub: {address: "https://x.hub.example"}\n'),
    ]);
    assert.equal(placeholder.status, 0, 'a warning');
    assert.match(placeholder.out, /‼ .*hub\.address https:\/\/x\.hub\.example\n {4}is a placeholder/);
    const bad = await run(['--settings', file('bad.yaml', 'cluster: a\nhub: {adress: x}\n')]);
    assert.equal(bad.status, 1);
    assert.match(
      bad.out,
      /✗ .*\n {4}.*bad\.yaml:2:\d+: hub\.adress: is not a setting; did you mean "address"\?/,
    );
  });

  test('as JSON', async () => {
    const { status, out } = await run(['--settings', file('json.yaml', 'cluster: 1\n'), '-o', 'json']);
    assert.equal(status, 1);
    const { ok, groups } = JSON.parse(out);
    assert.equal(ok, false);
    assert.deepEqual(
      groups.map(({ name, lines }: { name: string; lines: { check: string; mark: string }[] }) => [
        name,
        lines.map(({ check: of, mark }) => `${of} ${mark}`),
      ]),
      [['settings', ['settings error']]],
    );
  });

  test('short: a line for each thing that is wrong', async () => {
    const { status, out } = await run(['--settings', file('short.yaml', 'cluster: 1\n'), '-o', 'short']);
    assert.equal(status, 1);
    assert.match(out, /^✗ settings: .*short\.yaml is valid: .*\nUnhealthy: 1 error, 0 warnings\.\n$/);
  });

  test('colours on a terminal only, and not with NO_COLOR', async () => {
    const argv = ['--settings', file('colour.yaml', 'cluster: a\nrole: hub\n')];
    assert.ok((await run(argv, {}, true)).out.includes('\u001b[32m✓\u001b[0m'));
    assert.ok(!(await run(argv, { NO_COLOR: '1' }, true)).out.includes('\u001b'));
    assert.ok(!(await run(argv)).out.includes('\u001b'));
  });

  test('KUBECONFIG with no such file: the file is named', async () => {
    const { status, errors } = await run([], { KUBECONFIG: '/nope' });
    assert.equal(status, 1);
    assert.match(errors, /kubeconfig \/nope: ENOENT.*give the file that kubectl uses/);
  });

  test('a login plugin is run first, for as long as it takes; its failure is told once', async () => {
    const exec = {
      apiVersion: 'client.authentication.k8s.io/v1',
      command: '/nowhere/login',
      interactiveMode: 'Never',
    };
    const config = {
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'me' } }],
      clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:1' } }],
      users: [{ name: 'me', user: { exec } }],
    };
    const { status, out, errors } = await run(['--kubeconfig', file('login', JSON.stringify(config))]);
    assert.deepEqual([status, out], [1, '']);
    assert.match(errors, /login to https:\/\/127\.0\.0\.1:1 failed: .*\/nowhere\/login/);
  });

  test('wrong use: 2, and the flag is named', async () => {
    for (const [argv, named] of [
      [['--output', 'xml'], '--output'],
      [['--wait', 'soon'], '--wait'],
      [['--settings', 'a', '--context', 'b'], '--context'],
      [['--settings', 'a', '--pre'], '--pre'],
      [['--what'], '--what'],
    ] as const) {
      const { status, errors, out } = await run(argv);
      assert.equal(status, 2, argv.join(' '));
      assert.ok(errors.includes(named), errors);
      assert.equal(out, '');
    }
  });

  test('no cluster at all: 1, with what to give', async () => {
    const { status, errors } = await run([]);
    assert.equal(status, 1);
    assert.match(
      errors,
      /no cluster configured: use --kubeconfig or KUBECONFIG, or check a file with --settings/,
    );
  });

  test('what it waits for is said on a terminal only, in one line that goes again', async () => {
    const cluster = { server: 'https://127.0.0.1:1' };
    const config = {
      'current-context': 'away',
      contexts: [{ name: 'away', context: { cluster: 'away', user: 'me' } }],
      clusters: [{ name: 'away', cluster }],
      users: [{ name: 'me', user: {} }],
    };
    const argv = ['--kubeconfig', file('away', JSON.stringify(config)), '--wait', '4s'];
    const [shown, silent] = await Promise.all([run(argv, {}, true), run(argv)]);
    assert.deepEqual([shown.status, silent.status], [1, 1]);
    assert.equal(silent.errors, '');
    const clear = '\r\u001b[K';
    assert.ok(
      shown.errors.startsWith(`${clear}looking at https://127.0.0.1:1 …${clear}waiting, `),
      shown.errors,
    );
    assert.match(shown.errors, /waiting, [34] s at most: 1 wrong \(.+\)/);
    assert.ok(shown.errors.endsWith(clear));
    assert.match(silent.out, /✗ /);
  });
});
