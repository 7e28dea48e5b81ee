/** `falco-federation certs`: issue, list, and the ways to use it wrongly. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import path from 'node:path';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { makeAuthority, makeClient } from '../../src/certificates/issue.ts';
import { certs } from '../../src/commands/certs.ts';
import { type BatchOutcome, postBatch } from '../../src/events/batch-client.ts';
import { type CredentialsResult, followCredentials } from '../../src/events/credentials.ts';
import { httpClient } from '../../src/events/http-client.ts';
import { portOf } from '../port-of.ts';
import { temporaryFolder } from '../temporary-folder.ts';

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

const folder = (): string => path.join(temporaryFolder('certs-'), 'certs');

const day = 86_400_000;

/** Text of every file in the folder and below, by its path. */
function textsIn(dir: string): Readonly<Record<string, string>> {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map(({ parentPath, name }) => {
      const file = path.join(parentPath, name);
      return [path.relative(dir, file), readFileSync(file, 'utf8')];
    }),
  );
}

function modesIn(dir: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.keys(textsIn(dir)).map((file) => [
      file,
      (statSync(path.join(dir, file)).mode & 0o777).toString(8),
    ]),
  );
}

function certificateIn(...parts: readonly string[]): X509Certificate {
  return new X509Certificate(readFileSync(path.join(...parts), 'utf8'));
}

interface SecretManifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly type: string;
  readonly data: Readonly<Record<string, string>>;
}

function secretIn(...parts: readonly string[]): SecretManifest {
  return parse(readFileSync(path.join(...parts, 'secret.yaml'), 'utf8'));
}

/** Made once; tests that change it make their own. */
async function federation(...spokes: readonly string[]): Promise<string> {
  const dir = folder();
  assert.equal((await run('hub', '--dir', dir, '--name', 'localhost', '--name', 'hub.example')).status, 0);
  for (const spoke of spokes) assert.equal((await run('spoke', spoke, '--dir', dir)).status, 0);
  return dir;
}

/** Serves with the hub's files, as an ingress would, and has the event posted by who holds the credentials. */
async function postWith(
  dir: string,
  credentials: string,
  { asksForClients }: { readonly asksForClients: boolean },
): Promise<{ readonly outcome: BatchOutcome; readonly clients: readonly (string | undefined)[] }> {
  const text = (name: string): string => readFileSync(path.join(dir, 'hub', name), 'utf8');
  const clients: (string | undefined)[] = [];
  const server = createServer(
    {
      cert: text('tls.crt'),
      key: text('tls.key'),
      ...(asksForClients ? { ca: text('ca.crt'), requestCert: true, rejectUnauthorized: true } : {}),
    },
    (request, response) => {
      const { socket } = request;
      const subject = 'getPeerX509Certificate' in socket ? certificateOf(socket) : undefined;
      clients.push(subject);
      response.end('{"accepted":0,"duplicates":0,"refused":0,"later":0,"lines":[]}');
    },
  );
  server.on('tlsClientError', () => {});
  server.listen(0, 'localhost');
  await once(server, 'listening');
  // Safe: it listens on a port.
  const port = portOf(server);
  const read: CredentialsResult[] = [];
  (await followCredentials(credentials, 60_000, (result) => read.push(result)))();
  const [result] = read;
  assert.ok(result?.ok === true, JSON.stringify(result));
  const client = httpClient({
    address: `https://localhost:${port}/`,
    credentials: result.credentials,
    env: {},
  });
  const outcome = await postBatch(client, { body: undefined, events: 0 });
  client.close();
  server.closeAllConnections();
  server.close();
  return { outcome, clients };
}

function certificateOf(socket: object): string | undefined {
  // Safe: every socket of an HTTPS server is one of TLS.
  const certificate = (
    socket as { getPeerX509Certificate: () => X509Certificate | undefined }
  ).getPeerX509Certificate();
  return certificate?.subject;
}

const taken: BatchOutcome = { is: 'taken', done: 0, later: [], refused: [] };

describe('certs hub, certs spoke', () => {
  test('an authority once, then files and a Secret for each; keys and Secrets for their owner only', async () => {
    const dir = folder();
    const hub = await run('hub', '--dir', dir, '--name', 'falco.hub.example');
    assert.deepEqual([hub.status, hub.stdout], [0, `${path.join(dir, 'hub/secret.yaml')}\n`]);
    assert.match(hub.stderr, /federation-ca\.key is new/);
    assert.match(hub.stderr, /kubectl apply -f .*hub\/secret\.yaml/);
    const authority = textsIn(dir)['federation-ca.crt'];
    const spoke = await run('spoke', 'staging', '--dir', dir);
    assert.deepEqual([spoke.status, spoke.stdout], [0, `${path.join(dir, 'spokes/staging/secret.yaml')}\n`]);
    assert.doesNotMatch(spoke.stderr, /is new/);
    assert.doesNotMatch(hub.stdout + hub.stderr + spoke.stdout + spoke.stderr, /PRIVATE/);
    assert.deepEqual(modesIn(dir), {
      'federation-ca.crt': '644',
      'federation-ca.key': '600',
      ...{ 'hub/ca.crt': '644', 'hub/secret.yaml': '600', 'hub/tls.crt': '644', 'hub/tls.key': '600' },
      ...Object.fromEntries(
        Object.entries({ 'ca.crt': '644', 'secret.yaml': '600', 'tls.crt': '644', 'tls.key': '600' }).map(
          ([name, mode]) => [`spokes/staging/${name}`, mode],
        ),
      ),
    });
    assert.equal(textsIn(dir)['federation-ca.crt'], authority);
    for (const at of ['hub', 'spokes/staging']) {
      assert.equal(textsIn(dir)[`${at}/ca.crt`], authority);
      const { data } = secretIn(dir, at);
      for (const [name, value] of Object.entries(data))
        assert.equal(Buffer.from(value, 'base64').toString(), textsIn(dir)[`${at}/${name}`]);
      assert.deepEqual(Object.keys(data), ['tls.crt', 'tls.key', 'ca.crt']);
      assert.ok(
        !JSON.stringify(data).includes(
          Buffer.from(readFileSync(path.join(dir, 'federation-ca.key'))).toString('base64'),
        ),
      );
    }
    const described = ['hub', 'spokes/staging'].map((of) => {
      const { metadata, type } = secretIn(dir, of);
      return [metadata.name, metadata.namespace, type];
    });
    assert.deepEqual(described, [
      ['falco-federation-hub-tls', 'falco-federation', 'kubernetes.io/tls'],
      ['falco-federation-hub', 'falco-federation', 'Opaque'],
    ]);
  });

  for (const umask of [0o000, 0o022, 0o077]) {
    test(`under umask ${umask.toString(8).padStart(3, '0')} keys are for their owner only too`, async () => {
      const before = process.umask(umask);
      try {
        const dir = folder();
        await run('hub', '--dir', dir, '--name', 'a.example');
        await run('spoke', 'a', '--dir', dir);
        const modes = modesIn(dir);
        for (const [file, mode] of Object.entries(modes))
          if (/\.key$|secret\.yaml$/.test(file)) assert.equal(mode, '600', file);
        assert.equal(modes['federation-ca.key'], '600');
      } finally {
        process.umask(before);
      }
    });
  }

  test('a spoke gets in where client certificates are required, by its name; without one it does not', async () => {
    const dir = await federation('staging');
    const spoke = await postWith(dir, path.join(dir, 'spokes/staging'), { asksForClients: true });
    assert.deepEqual(spoke, { outcome: taken, clients: ['CN=staging'] });
    const alone = temporaryFolder('authority-');
    writeFileSync(path.join(alone, 'ca.crt'), readFileSync(path.join(dir, 'federation-ca.crt')));
    const none = await postWith(dir, alone, { asksForClients: true });
    assert.deepEqual([none.outcome.is, none.clients], ['failed', []]);
    const other = await federation('staging');
    writeFileSync(
      path.join(other, 'spokes/staging/ca.crt'),
      readFileSync(path.join(dir, 'federation-ca.crt')),
    );
    const stranger = await postWith(dir, path.join(other, 'spokes/staging'), { asksForClients: true });
    assert.deepEqual([stranger.outcome.is, stranger.clients], ['failed', []]);
  });

  test('client certificates are no server certificates, and the other way round', async () => {
    const dir = await federation('staging');
    assert.deepEqual(certificateIn(dir, 'spokes/staging/tls.crt').keyUsage, ['1.3.6.1.5.5.7.3.2']);
    assert.deepEqual(certificateIn(dir, 'hub/tls.crt').keyUsage, ['1.3.6.1.5.5.7.3.1']);
    for (const leaf of ['hub/tls.crt', 'spokes/staging/tls.crt'])
      assert.equal(certificateIn(dir, leaf).ca, false);
  });

  test('overwrites nothing by itself, not even a part of it', async () => {
    const dir = await federation('staging');
    const before = textsIn(dir);
    for (const argv of [
      ['hub', '--name', 'other.example'],
      ['spoke', 'staging'],
    ]) {
      const { status, stdout, stderr } = await run(...argv, '--dir', dir);
      assert.deepEqual([status, stdout], [1, '']);
      assert.match(stderr, /already there; --renew/);
    }
    rmSync(path.join(dir, 'spokes/staging/secret.yaml'));
    const { status, stderr } = await run('spoke', 'staging', '--dir', dir);
    assert.equal(status, 1);
    assert.match(stderr, /tls\.crt, tls\.key, ca\.crt already there/);
    const { 'spokes/staging/secret.yaml': _, ...rest } = before;
    assert.deepEqual(textsIn(dir), rest);
  });

  test('--renew keeps names, namespace and authority, and makes certificate and key anew', async () => {
    const dir = folder();
    await run('hub', '--dir', dir, '--name', 'a.example', '--name', '10.0.0.1', '--namespace', 'security');
    await run('spoke', 'staging', '--dir', dir, '--days', '30');
    const before = textsIn(dir);
    assert.equal((await run('hub', '--dir', dir, '--renew')).status, 0);
    assert.equal((await run('spoke', 'staging', '--dir', dir, '--renew')).status, 0);
    const now = textsIn(dir);
    assert.deepEqual(Object.keys(now), Object.keys(before));
    for (const [file, text] of Object.entries(now))
      assert.equal(text === before[file], /federation-ca|ca\.crt$/.test(file), file);
    assert.equal(certificateIn(dir, 'hub/tls.crt').subjectAltName, 'DNS:a.example, IP Address:10.0.0.1');
    assert.equal(secretIn(dir, 'hub').metadata.namespace, 'security');
    assert.equal(certificateIn(dir, 'spokes/staging/tls.crt').subject, 'CN=staging');
    const lasts = certificateIn(dir, 'spokes/staging/tls.crt').validToDate.getTime() - Date.now();
    assert.equal(Math.round(lasts / day), 365);
    // With names of its own it takes those.
    assert.equal((await run('hub', '--dir', dir, '--renew', '--name', 'b.example')).status, 0);
    assert.equal(certificateIn(dir, 'hub/tls.crt').subjectAltName, 'DNS:b.example');
  });

  test('--renew of what is not there is a mistyped name', async () => {
    const dir = await federation('staging');
    const { status, stderr } = await run('spoke', 'stagign', '--dir', dir, '--renew');
    assert.equal(status, 1);
    assert.match(stderr, /spokes\/stagign has no certificate to renew/);
    assert.ok(!existsSync(path.join(dir, 'spokes/stagign')));
  });

  const broken: Readonly<Record<string, { spoil: (dir: string) => unknown; says: RegExp }>> = {
    'half an authority: no key': {
      spoil: (dir) => rmSync(path.join(dir, 'federation-ca.key')),
      says: /federation-ca\.key is missing: restore it from a backup/,
    },
    'half an authority: no certificate': {
      spoil: (dir) => rmSync(path.join(dir, 'federation-ca.crt')),
      says: /federation-ca\.crt is missing: restore it from a backup/,
    },
    'halves of two authorities': {
      spoil: async (dir) => {
        const { key } = await makeAuthority(Date.now(), day);
        writeFileSync(path.join(dir, 'federation-ca.key'), key);
      },
      says: /federation-ca\.crt, .*federation-ca\.key: the key does not match the certificate/,
    },
    'a certificate that is no authority': {
      spoil: async (dir) => {
        const leaf = await makeClient(await makeAuthority(Date.now(), day), 'a', Date.now(), day);
        writeFileSync(path.join(dir, 'federation-ca.crt'), leaf.certificate);
        writeFileSync(path.join(dir, 'federation-ca.key'), leaf.key);
      },
      says: /not a CA certificate/,
    },
    'an authority that has expired': {
      spoil: async (dir) => {
        const old = await makeAuthority(Date.now() - 9 * day, 2 * day);
        writeFileSync(path.join(dir, 'federation-ca.crt'), old.certificate);
        writeFileSync(path.join(dir, 'federation-ca.key'), old.key);
      },
      says: /federation-ca\.crt has expired: create a new authority in another folder/,
    },
    'no PEM': {
      spoil: (dir) => writeFileSync(path.join(dir, 'federation-ca.crt'), 'hello'),
      says: /federation-ca\.crt is not a certificate/,
    },
  };
  for (const [about, { spoil, says }] of Object.entries(broken)) {
    test(`${about}: said with the file, and nothing is written`, async () => {
      const dir = await federation();
      await spoil(dir);
      const before = textsIn(dir);
      const { status, stdout, stderr } = await run('spoke', 'staging', '--dir', dir);
      assert.deepEqual([status, stdout], [1, '']);
      assert.match(stderr, says);
      assert.doesNotMatch(stderr, /PRIVATE/);
      assert.deepEqual(textsIn(dir), before);
    });
  }

  test('a certificate ends with its authority at the latest, and says so', async () => {
    const dir = folder();
    mkdirSync(dir, { recursive: true });
    const authority = await makeAuthority(Date.now(), 3 * day);
    writeFileSync(path.join(dir, 'federation-ca.crt'), authority.certificate);
    writeFileSync(path.join(dir, 'federation-ca.key'), authority.key, { mode: 0o600 });
    const { status, stderr } = await run('spoke', 'staging', '--dir', dir, '--days', '365');
    assert.equal(status, 0);
    const end = certificateIn(dir, 'federation-ca.crt').validToDate;
    assert.deepEqual(certificateIn(dir, 'spokes/staging/tls.crt').validToDate, end);
    assert.ok(stderr.includes(`is valid until ${end.toISOString()}`));
  });

  test('a folder that cannot be written is named', async () => {
    const file = path.join(temporaryFolder('file-'), 'certs');
    writeFileSync(file, '');
    for (const argv of [
      ['hub', '--name', 'a.example'],
      ['spoke', 'a'],
    ]) {
      const { status, stdout, stderr } = await run(...argv, '--dir', path.join(file, 'below'));
      assert.deepEqual([status, stdout], [1, '']);
      assert.ok(stderr.includes(file), stderr);
    }
  });
});

describe('certs list', () => {
  test('who has a certificate and until when', async () => {
    const dir = await federation('staging', 'b2');
    const { status, stdout } = await run('list', '--dir', dir);
    assert.equal(status, 0);
    assert.deepEqual(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.replace(/ +\d{4}-\d\d-\d\d +\d+ days */, '|')),
      ['authority|', 'hub|localhost, hub.example', 'spoke b2|b2', 'spoke staging|staging'],
    );
    assert.match(stdout, /^authority +\d{4}-\d\d-\d\d +36(49|50) days$/m);
  });

  test('an expired or unreadable one is exit status 1, and the others are shown all the same', async () => {
    const dir = await federation('staging', 'gone', 'odd');
    const authority = await makeAuthority(Date.now() - 9 * day, 30 * day);
    const { certificate } = await makeClient(authority, 'gone', Date.now() - 9 * day, 2 * day);
    writeFileSync(path.join(dir, 'spokes/gone/tls.crt'), certificate);
    const expired = await run('list', '--dir', dir);
    assert.equal(expired.status, 1);
    assert.match(expired.stdout, /^spoke gone .* EXPIRED +gone$/m);
    writeFileSync(path.join(dir, 'spokes/odd/tls.crt'), 'hello');
    const odd = await run('list', '--dir', dir);
    assert.equal(odd.status, 1);
    assert.match(odd.stderr, /spokes\/odd\/tls\.crt is not a certificate/);
    assert.match(odd.stdout, /^spoke staging /m);
  });

  test('a folder without a federation is exit status 1, with what makes one', async () => {
    const { status, stderr } = await run('list', '--dir', folder());
    assert.equal(status, 1);
    assert.match(stderr, /certs hub and certs spoke make some/);
  });
});

describe('certs, used wrongly', () => {
  const wrong: readonly (readonly string[])[] = [
    [],
    ['renew'],
    ['make'],
    ['hub', '--days', '0', '--name', 'a.example'],
    ['hub', '--days', 'many', '--name', 'a.example'],
    ['hub', '--name', 'under_score'],
    ['hub', '--name', 'a,DNS:b'],
    ['hub', '--nope'],
    ['hub', '--name', 'https://hub.example'],
    ['hub', '--name', 'hub.example:443'],
    ['hub', '--name', '10.0.0.256'],
    ['hub', '--name', '*'],
    ['hub', '--name', ''],
    ['hub', '--name', 'a..b'],
    ['hub', '--name', 'a.example', '--namespace', 'Falco'],
    ['hub', 'argument', '--name', 'a.example'],
    ['spoke'],
    ['spoke', 'a', 'b'],
    ['spoke', '../a'],
    ['spoke', 'a/b'],
    ['spoke', 'A'],
    ['spoke', 'a.b'],
    ['spoke', '-a'],
    ['spoke', 'a'.repeat(64)],
    ['spoke', 'a', '--name', 'b'],
    ['list', '--renew'],
    ['list', 'argument'],
  ];
  for (const argv of wrong) {
    test(`exit status 2: certs ${argv.join(' ')}`, async () => {
      const { status, stdout, stderr } = await run(...argv);
      assert.deepEqual([status, stdout], [2, '']);
      assert.match(stderr, /^falco-federation certs(?: hub| spoke| list)?: ./);
    });
  }

  test('what is missing is said with what there is', async () => {
    assert.match((await run()).stderr, /a subcommand is missing; it is one of hub, spoke and list/);
    assert.match((await run('make')).stderr, /unknown subcommand "make"; it is one of hub/);
  });

  test('--help is about what was asked for', async () => {
    for (const argv of [[], ['hub'], ['spoke'], ['list']]) {
      const { status, stdout } = await run(...argv, '--help');
      assert.equal(status, 0);
      assert.ok(stdout.startsWith(`Usage: falco-federation ${['certs', ...argv].join(' ')} `), stdout);
    }
  });
});
