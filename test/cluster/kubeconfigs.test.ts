/** Which cluster `check` talks to: as kubectl finds it. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, test } from 'node:test';
import { connectAsKubectl } from '../../src/cluster/index.ts';
import { temporaryFolder } from '../temporary-folder.ts';

const folder = temporaryFolder('kubeconfigs-');

interface Named {
  readonly name: string;
}

function kubeconfig(name: string, servers: Readonly<Record<string, string>>, current?: string): string {
  const file = join(folder, name);
  const names = Object.keys(servers);
  const list = <T extends Named>(make: (name: string) => T) => names.map(make);
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: list((of) => ({ name: of, cluster: { server: servers[of] } })),
    users: list((of) => ({ name: of, user: { token: `${name}-${of}` } })),
    contexts: list((of) => ({ name: of, context: { cluster: of, user: of, namespace: `ns-${of}` } })),
    ...(current === undefined ? {} : { 'current-context': current }),
  };
  writeFileSync(file, JSON.stringify(config));
  return file;
}

const first = kubeconfig('first', { a: 'https://a.corp' });
const second = kubeconfig('second', { b: 'https://b.corp' }, 'b');
const third = kubeconfig('third', { c: 'https://c.corp' }, 'c');

async function serverOf(from: Parameters<typeof connectAsKubectl>[0]): Promise<string | undefined> {
  return (await connectAsKubectl(from))?.server;
}

describe('the cluster that kubectl would talk to', () => {
  const both = { KUBECONFIG: [first, join(folder, 'not-there'), second, third].join(delimiter) };
  const home = join(folder, 'home');

  test('KUBECONFIG with several files: those that are there, and the first current context', async () => {
    const connection = await connectAsKubectl({ env: both, home });
    assert.equal(connection?.server, 'https://b.corp');
    assert.equal(connection?.namespace, 'ns-b');
    assert.equal(await serverOf({ env: both, home, context: 'c' }), 'https://c.corp');
    const nowhere = { KUBECONFIG: join(folder, 'not-there') };
    await assert.rejects(serverOf({ env: nowhere, home }), /kubeconfig .*not-there: ENOENT/);
    assert.deepEqual((await connection?.access())?.headers, { Authorization: 'Bearer second-b' });
  });

  test('--kubeconfig before KUBECONFIG, that before ~/.kube/config, that before nothing', async () => {
    assert.equal(await serverOf({ env: both, home, kubeconfig: first, context: 'a' }), 'https://a.corp');
    assert.equal(await serverOf({ env: {}, home }), undefined);
    mkdirSync(join(home, '.kube'), { recursive: true });
    writeFileSync(
      join(home, '.kube', 'config'),
      '{"contexts": [{"name": "h", "context": {"cluster": "h", "user": "h"}}], "clusters": [{"name": "h", "cluster": {"server": "https://h.corp"}}], "users": [{"name": "h", "user": {}}], "current-context": "h"}',
    );
    assert.equal(await serverOf({ env: {}, home }), 'https://h.corp');
    assert.equal(await serverOf({ env: both, home }), 'https://b.corp');
  });

  test('a context that is none names those that are', async () => {
    await assert.rejects(
      serverOf({ env: both, home, context: 'nowhere' }),
      /context "nowhere" is none of its contexts \(a, b, c\)/,
    );
  });
});
