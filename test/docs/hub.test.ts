/** docs/hub.md: its manifests fit what `certs` makes, and its commands are those of the program. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { before, describe, test } from 'node:test';
import type { V1Secret } from '@kubernetes/client-node';
import { parse } from 'yaml';
import { certs } from '../../src/commands/certs.ts';
import { settingsSchema } from '../../src/settings/schema.ts';
import { textOf } from '../manifests/files.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { snippetsIn } from './pages.ts';

const page = 'docs/hub.md';

const commands = snippetsIn(page, 'sh').flatMap((block) => block.replaceAll('\\\n', ' ').split('\n'));

/** Arguments of the page's own commands `falco-federation certs`, in order. */
const certsCommands = commands.flatMap((line) => {
  const [, args] = /^falco-federation certs ([^#]+)/.exec(line) ?? [];
  return args === undefined ? [] : [args.trim().split(/\s+/)];
});

describe('docs/hub.md', () => {
  const folder = temporaryFolder('hub-guide-');
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

  test('the Secret of `certs hub` is the one that the receiver mounts, where it is', () => {
    const { metadata, data } = secrets.get('hub') ?? {};
    const receiver = textOf('receiver/deployment.yaml');
    assert.equal(metadata?.namespace, 'falco-federation');
    assert.ok(receiver.includes(`secretName: ${metadata?.name}`));
    assert.deepEqual(Object.keys(data ?? {}).sort(), ['ca.crt', 'tls.crt', 'tls.key']);
  });

  test('its settings are settings of a hub, and those that the overlay has', async () => {
    const [block = ''] = snippetsIn(page, 'yaml');
    const parsed = settingsSchema.parse(parse(block));
    const overlay = settingsSchema.parse({
      ...parse(textOf('overlays/hub/federation.yaml')),
      cluster: 'obsrv',
    });
    assert.equal(parsed.receiver?.falcosidekick, overlay.receiver?.falcosidekick);
  });

  test('git leaves out whatever the commands make', () => {
    const ignored = readFileSync(path.join(import.meta.dirname, '../../.gitignore'), 'utf8').split('\n');
    assert.ok(ignored.includes('certs/*') && ignored.includes('!certs/README.md'));
    assert.deepEqual(readdirSync(folder), ['certs']);
  });
});
