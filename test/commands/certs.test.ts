/** `falco-federation certs`: make, look at what was made, and the ways to use it wrongly. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { loadKeyPair } from '../../src/certificates/files.ts';
import { makeAuthority, makeServing } from '../../src/certificates/issue.ts';
import { certs } from '../../src/commands/certs.ts';

async function run(...argv: string[]) {
  const [out, err]: [string[], string[]] = [[], []];
  const status = await certs(argv, {
    stdin: Readable.from([]),
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text) },
    env: {},
  });
  return { status, stdout: out.join(''), stderr: err.join('') };
}

const folder = (): string => path.join(mkdtempSync(path.join(tmpdir(), 'certs-')), 'certs');

describe('certs make', () => {
  test('writes three files, the key for its owner only, and tells how to use them', async () => {
    const dir = folder();
    const { status, stdout, stderr } = await run('make', '--dir', dir, '--name', 'a.svc', '--name', '::1');
    assert.equal(status, 0);
    const files = ['ca.crt', 'tls.crt', 'tls.key'].map((name) => path.join(dir, name));
    assert.deepEqual(stdout.trim().split('\n'), files);
    assert.equal(statSync(path.join(dir, 'tls.key')).mode & 0o777, 0o600);
    assert.match(stderr, /serve --tls-cert .*tls\.crt --tls-key .*tls\.key/);
    assert.match(stderr, /caBundle/);
    assert.doesNotMatch(stdout + stderr, /PRIVATE/);
    const [, cert = '', key = ''] = files;
    assert.ok((await loadKeyPair({ cert, key })).ok);
  });

  test('overwrites nothing by itself; with --force the key is for its owner only again', async () => {
    const dir = folder();
    await run('make', '--dir', dir);
    const before = readdirSync(dir).map((name) => readFileSync(path.join(dir, name), 'utf8'));
    const { status, stdout, stderr } = await run('make', '--dir', dir);
    assert.deepEqual([status, stdout], [1, '']);
    assert.match(stderr, /tls\.key would be overwritten; --force/);
    const after = readdirSync(dir).map((name) => readFileSync(path.join(dir, name), 'utf8'));
    assert.deepEqual(after, before);
    const key = path.join(dir, 'tls.key');
    writeFileSync(key, 'x', { mode: 0o644 });
    assert.equal((await run('make', '--dir', dir, '--force')).status, 0);
    assert.match(readFileSync(key, 'utf8'), /PRIVATE KEY/);
    assert.equal(statSync(key).mode & 0o777, 0o600);
  });
});

describe('certs show', () => {
  test('names, days left, and whether the ca.crt beside verifies it', async () => {
    const dir = folder();
    await run('make', '--dir', dir, '--name', 'a.svc', '--name', '10.0.0.1', '--days', '30');
    const { status, stdout } = await run('show', path.join(dir, 'tls.crt'));
    assert.equal(status, 0);
    assert.match(stdout, /names +a\.svc, 10\.0\.0\.1\n/);
    assert.match(stdout, /(29|30) days left/);
    assert.match(stdout, /verified +by .*ca\.crt/);
    const { stdout: json } = await run(
      'show',
      '-o',
      'json',
      ...['ca.crt', 'tls.crt'].map((f) => path.join(dir, f)),
    );
    const shown: { isAuthority: boolean; verified: boolean; state: string }[] = JSON.parse(json);
    assert.deepEqual(
      shown.map(({ isAuthority, verified, state }) => [isAuthority, verified, state]),
      [
        [true, true, 'valid'],
        [false, true, 'valid'],
      ],
    );
  });

  test('one of another authority is said not to be verified', async () => {
    const [dir, other] = [folder(), folder()];
    await run('make', '--dir', dir);
    await run('make', '--dir', other);
    writeFileSync(path.join(dir, 'tls.crt'), readFileSync(path.join(other, 'tls.crt')));
    assert.match((await run('show', path.join(dir, 'tls.crt'))).stdout, /verified +NOT by/);
  });

  test('an expired or unreadable one is exit status 1, and the others are shown all the same', async () => {
    const dir = folder();
    await run('make', '--dir', dir);
    const day = 86_400_000;
    const authority = await makeAuthority(Date.now() - 9 * day, 4 * day);
    const expired = await makeServing(authority, ['a'], Date.now() - 9 * day, 2 * day);
    writeFileSync(path.join(dir, 'old.crt'), expired.certificate);
    writeFileSync(
      path.join(dir, 'bad.crt'),
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    );
    const old = await run('show', path.join(dir, 'old.crt'));
    assert.equal(old.status, 1);
    assert.match(old.stdout, /EXPIRED/);
    for (const name of ['bad.crt', 'tls.key', 'missing.crt']) {
      const { status, stdout, stderr } = await run('show', path.join(dir, name), path.join(dir, 'tls.crt'));
      assert.equal(status, 1);
      assert.match(stderr, new RegExp(`${name}: `));
      assert.match(stdout, /days left/);
      assert.doesNotMatch(stdout + stderr, /PRIVATE/);
    }
  });
});

describe('certs, used wrongly', () => {
  const wrong: readonly (readonly string[])[] = [
    [],
    ['renew'],
    ['make', 'argument'],
    ['make', '--days', '0'],
    ['make', '--days', 'many'],
    ['make', '--name', 'under_score'],
    ['make', '--name', 'a,DNS:b'],
    ['make', '-o', 'json'],
    ['show', '--force'],
    ['show', '-o', 'yaml'],
    ['show', '--nope'],
  ];
  for (const argv of wrong) {
    test(`exit status 2: certs ${argv.join(' ')}`, async () => {
      const { status, stdout, stderr } = await run(...argv);
      assert.deepEqual([status, stdout], [2, '']);
      assert.match(stderr, /^falco-federation certs: ./);
    });
  }

  test('--help', async () => {
    const { status, stdout } = await run('--help');
    assert.equal(status, 0);
    assert.match(stdout, /^Usage: falco-federation certs/);
  });
});
