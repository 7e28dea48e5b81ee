/** docs/hub.md: its manifests fit what `certs` makes, and its commands are those of the program. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { before, describe, test } from 'node:test';
import type { V1Ingress, V1Secret } from '@kubernetes/client-node';
import { parse, parseAllDocuments } from 'yaml';
import { certs } from '../../src/commands/certs.ts';
import { largestEvent } from '../../src/events/bounds.ts';
import { bytesOf } from '../../src/settings/schema.ts';
import { snippetsIn } from './pages.ts';

const page = 'docs/hub.md';

interface Identified {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
}

const objects = snippetsIn(page, 'yaml').flatMap((block) =>
  // Safe: the API server takes them as such in test/e2e.
  parseAllDocuments(block).map((document) => document.toJS() as Identified),
);

function named<T>(kind: string, name: string): T {
  const found = objects.find((one) => one.kind === kind && one.metadata.name === name);
  // Safe: the assertions show what it is.
  return (found ?? assert.fail(`${kind} ${name}`)) as T;
}

const commands = snippetsIn(page, 'sh').flatMap((block) => block.replaceAll('\\\n', ' ').split('\n'));

/** Arguments of the page's own commands `falco-federation certs`, in order. */
const certsCommands = commands.flatMap((line) => {
  const [, args] = /^falco-federation certs ([^#]+)/.exec(line) ?? [];
  return args === undefined ? [] : [args.trim().split(/\s+/)];
});

const ingress = named<V1Ingress>('Ingress', 'falco-federation');
const annotation = (name: string): string =>
  ingress.metadata?.annotations?.[`nginx.ingress.kubernetes.io/${name}`] ?? '';

/** As `$ssl_client_s_dn !~` of nginx: anywhere in the subject. */
function isLetIn(spoke: string, match = annotation('auth-tls-match-cn')): boolean {
  return new RegExp(match).test(`CN=${spoke}`);
}

describe('docs/hub.md', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'hub-guide-'));
  const secrets = new Map<string, V1Secret>();

  before(async () => {
    const here = process.cwd();
    process.chdir(folder);
    try {
      assert.ok(certsCommands.length >= 7);
      for (const argv of certsCommands) {
        const said: string[] = [];
        const io = { write: (text: string) => said.push(text) };
        const status = await certs(argv, { stdin: Readable.from([]), stdout: io, stderr: io, env: {} });
        assert.equal(status, 0, `certs ${argv.join(' ')}: ${said.join('')}`);
      }
    } finally {
      process.chdir(here);
    }
    for (const holder of ['hub', 'spokes/staging'])
      secrets.set(holder, parse(readFileSync(path.join(folder, 'certs', holder, 'secret.yaml'), 'utf8')));
  });

  test('its commands run one after the other, and make the files that it applies', () => {
    const files = commands.flatMap((line) => {
      const [, applied, from] = / -f (certs\S+)| --from-file=ca\.crt=(\S+)/.exec(line) ?? [];
      return applied ?? from ?? [];
    });
    assert.ok(files.length >= 6);
    for (const file of files) assert.ok(existsSync(path.join(folder, file)), file);
  });

  test('the ingress and the Gateway serve with the Secret of `certs hub`, and ask for its authority', () => {
    const hub = secrets.get('hub');
    const { name = '', namespace = '' } = hub?.metadata ?? {};
    assert.deepEqual(ingress.spec?.tls?.[0]?.secretName, name);
    assert.equal(annotation('auth-tls-secret'), `${namespace}/${name}`);
    assert.equal(annotation('auth-tls-verify-client'), 'on');
    assert.ok(hub?.data?.['ca.crt'] !== undefined);
    const gateway = named<{ spec: { listeners: { hostname: string; tls: unknown }[]; tls: unknown } }>(
      'Gateway',
      'falco-federation',
    );
    const [listener] = gateway.spec.listeners;
    assert.deepEqual(listener?.tls, { certificateRefs: [{ name }] });
    assert.ok(JSON.stringify(gateway.spec.tls).includes('"name":"falco-federation-ca"'));
    const hosts = [ingress.spec?.rules?.[0]?.host, ingress.spec?.tls?.[0]?.hosts?.[0], listener?.hostname];
    for (const host of hosts) assert.ok(certsCommands[0]?.includes(host ?? ''), String(host));
    for (const { metadata } of objects) assert.equal(metadata.namespace, namespace);
  });

  test('git leaves out whatever the commands make', () => {
    const ignored = readFileSync(path.join(import.meta.dirname, '../../.gitignore'), 'utf8').split('\n');
    assert.ok(ignored.includes('certs/*') && ignored.includes('!certs/README.md'));
    assert.deepEqual(readdirSync(folder), ['certs']);
  });

  test('names are let in whole, and the one that is shut out is not', () => {
    assert.deepEqual(
      ['staging', 'production', 'staging-2', 'my-staging', 'hub'].map((spoke) => isLetIn(spoke)),
      [true, true, false, false, false],
    );
    const text = readFileSync(path.join(import.meta.dirname, '../..', page), 'utf8');
    const [, without = ''] = /auth-tls-match-cn=([^']+)'/.exec(text) ?? [];
    assert.deepEqual([isLetIn('staging', without), isLetIn('production', without)], [false, true]);
    // ingress-nginx takes no other.
    for (const match of [annotation('auth-tls-match-cn'), without]) assert.match(match, /^CN=/);
  });

  test('the largest event gets through with what is added to it', () => {
    assert.ok(bytesOf(`${annotation('proxy-body-size').toUpperCase()}i`) > 1.5 * largestEvent);
  });

  test("each spoke's word is a match of the route, as the Secret's headers say it", () => {
    const route = JSON.stringify(named('HTTPRoute', 'falco-federation'));
    const [, name = '', value = ''] = /"headers": "([^:"]+): ([^"]+)"/.exec(commands.join('\n')) ?? [];
    assert.ok(route.includes(JSON.stringify({ name, value })), `${name}: ${value}`);
  });
});
