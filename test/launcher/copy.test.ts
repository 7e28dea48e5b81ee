/** `place` and `copy`: rules out of an image that has no program of its own (FACTS 2.5). */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { cannotCompile, compile, openFolder } from './compiled.ts';

describe('the launcher copies rules', { skip: cannotCompile }, () => {
  let launcher = '';
  before(() => {
    launcher = compile();
  });

  /** Runs it as the user that the containers have, where the test may. */
  function run(...args: string[]) {
    const user = process.getuid?.() === 0 ? { uid: 65532, gid: 65532 } : {};
    return spawnSync(launcher, args, { encoding: 'utf8', ...user });
  }

  function etcFalco(): { readonly from: string; readonly to: string } {
    const folder = openFolder();
    const from = join(folder, 'falco');
    mkdirSync(join(from, 'rules.d'), { recursive: true });
    writeFileSync(join(from, 'falco.yaml'), 'rules_files: [/etc/falco/rules.d]\n');
    writeFileSync(join(from, 'rules.d/a.yaml'), '- rule: A\n', { mode: 0o600 });
    chmodSync(join(from, 'rules.d/a.yaml'), 0o644);
    return { from, to: join(folder, 'image') };
  }

  test('files, sub-folders and what links lead to; modes that our other containers can read', () => {
    const { from, to } = etcFalco();
    writeFileSync(join(from, '..', 'outside.yaml'), '- rule: B\n');
    symlinkSync('../../outside.yaml', join(from, 'rules.d/b.yaml'));
    symlinkSync('nowhere', join(from, 'rules.d/c.yaml'));
    symlinkSync('rules.d', join(from, 'more.d'));
    spawnSync('mkfifo', [join(from, 'pipe')]);
    const { status, stdout, stderr } = run('copy', from, to);
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(stdout, /^copied 7 files and folders, \d+ bytes, from /);
    assert.deepEqual(readdirSync(to, { recursive: true }).sort(), [
      ...['falco.yaml', 'more.d', 'more.d/a.yaml', 'more.d/b.yaml'],
      ...['rules.d', 'rules.d/a.yaml', 'rules.d/b.yaml'],
    ]);
    assert.equal(readFileSync(join(to, 'rules.d/b.yaml'), 'utf8'), '- rule: B\n');
    assert.equal(statSync(join(to, 'rules.d')).mode & 0o777, 0o755);
    assert.equal(statSync(join(to, 'rules.d/a.yaml')).mode & 0o777, 0o644);
  });

  test('what may not be read is there and may not be read either: whoever reads the copy knows of it', () => {
    const { from, to } = etcFalco();
    chmodSync(join(from, 'rules.d/a.yaml'), 0);
    mkdirSync(join(from, 'closed'), { mode: 0 });
    const { status, stderr } = run('copy', from, to);
    assert.equal(status, 0);
    assert.match(stderr, /may not read .*\/a\.yaml; its copy is empty, and may not be read either/);
    assert.equal(statSync(join(to, 'rules.d/a.yaml')).mode & 0o777, 0);
    assert.equal(statSync(join(to, 'closed')).mode & 0o777, 0);
    assert.ok(existsSync(join(to, 'falco.yaml')));
    assert.equal(run('copy', from, to).status, 0, 'and again, over what is there');
  });

  test('a second start of the pod copies anew', () => {
    const { from, to } = etcFalco();
    run('copy', from, to);
    mkdirSync(`${to}.unfinished/rest`, { recursive: true });
    chmodSync(`${to}.unfinished`, 0o777);
    chmodSync(`${to}.unfinished/rest`, 0o777);
    writeFileSync(join(from, 'new.yaml'), '');
    assert.equal(run('copy', from, to).status, 0);
    assert.ok(existsSync(join(to, 'new.yaml')));
    assert.ok(!existsSync(`${to}.unfinished`));
  });

  test('all or nothing, and exit 0 all the same: nothing may hold Falco back', () => {
    const tooLarge = etcFalco();
    truncateSync(join(tooLarge.from, 'falco.yaml'), 17 * 1024 * 1024);
    const tooDeep = etcFalco();
    mkdirSync(join(tooDeep.from, ...Array.from({ length: 17 }, () => 'deeper')), { recursive: true });
    const missing = { from: '/nowhere/falco', to: join(openFolder(), 'image') };
    const noRoom = { from: etcFalco().from, to: '/proc/image' };
    for (const { from, to } of [tooLarge, tooDeep, missing, noRoom]) {
      const { status, stderr } = run('copy', from, to);
      assert.equal(status, 0, from);
      assert.match(stderr, /cannot \w+ .*: .*\n.*stay as they are/);
      assert.ok(!existsSync(to));
      assert.ok(!existsSync(`${to}.unfinished`));
    }
  });

  test('a link that leads back is left out, and costs nothing else', () => {
    const { from, to } = etcFalco();
    symlinkSync('.', join(from, 'round'));
    symlinkSync('..', join(from, 'rules.d/back'));
    const { status, stderr } = run('copy', from, to);
    assert.equal(status, 0);
    assert.equal(stderr.match(/(round|back) leads back to a folder that it is in; left out/g)?.length, 2);
    assert.deepEqual(readdirSync(to, { recursive: true }).sort(), [
      'falco.yaml',
      'rules.d',
      'rules.d/a.yaml',
    ]);
  });

  test('place: itself, to be run from there; a failure is one', () => {
    const folder = openFolder();
    assert.equal(run('place', folder).status, 0);
    assert.deepEqual(readdirSync(folder), ['falco-federation']);
    const placed = join(folder, 'falco-federation');
    assert.ok(readFileSync(placed).equals(readFileSync(launcher)));
    assert.equal(statSync(placed).mode & 0o777, 0o755);
    const { from, to } = etcFalco();
    assert.equal(spawnSync(placed, ['copy', from, to]).status, 0);
    assert.equal(run('place', folder).status, 0, 'again');
    rmSync(join(folder, 'falco-federation'));
    mkdirSync(join(folder, 'unfinished/in the way'), { recursive: true });
    const held = run('place', folder);
    assert.deepEqual([held.status, /cannot remove .*unfinished: /.test(held.stderr)], [1, true]);
    const refused = run('place', '/proc');
    assert.deepEqual([refused.status, /cannot make/.test(refused.stderr)], [1, true]);
  });

  test('wrong use', () => {
    for (const args of [['copy'], ['copy', 'a'], ['copy', 'a', 'b', 'c'], ['place'], ['place', 'a', 'b']]) {
      const { status, stderr } = run(...args);
      assert.equal(status, 2);
      assert.match(stderr, /^Usage: /);
    }
  });
});
