import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { connect } from '../../src/cluster/connect.ts';
import { temporaryFolder } from '../temporary-folder.ts';

const folder = (): string => temporaryFolder('connection-');

function serviceAccount(): string {
  const made = folder();
  for (const [file, text] of Object.entries({ 'ca.crt': 'CA', token: 'one\n', namespace: 'own' })) {
    writeFileSync(path.join(made, file), text);
  }
  return made;
}

function kubeconfig(text: string): string {
  const file = path.join(folder(), 'config');
  writeFileSync(file, text);
  return file;
}

const inPod = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };

const good = `
current-context: here
clusters: [{name: c, cluster: {server: 'https://c.example:6443', certificate-authority-data: Q0E=, tls-server-name: kubernetes}}]
users: [{name: u, user: {token: secret}}]
contexts: [{name: here, context: {cluster: c, user: u, namespace: work}}]
`;

test('outside of any cluster there is no connection', async () => {
  assert.equal(await connect({ env: {} }), undefined);
});

test('in a pod: the mounted service account, read again for each request', async () => {
  const mounted = serviceAccount();
  const connection = await connect({ env: inPod, serviceAccount: mounted });
  assert.equal(connection?.server, 'https://10.96.0.1:443');
  assert.equal(connection?.namespace, 'own');
  assert.deepEqual(await connection?.access(), { ca: 'CA', headers: { authorization: 'Bearer one' } });
  writeFileSync(path.join(mounted, 'token'), 'two');
  writeFileSync(path.join(mounted, 'ca.crt'), 'CA and CA');
  assert.deepEqual(await connection?.access(), { ca: 'CA and CA', headers: { authorization: 'Bearer two' } });
});

test('in a pod of an IPv6 cluster', async () => {
  const env = { ...inPod, KUBERNETES_SERVICE_HOST: 'fd00::1' };
  assert.equal((await connect({ env, serviceAccount: serviceAccount() }))?.server, 'https://[fd00::1]:443');
});

test('in a pod without a service account: says which file is missing and how it gets there', async () => {
  await assert.rejects(
    connect({ env: inPod, serviceAccount: path.join(folder(), 'none') }),
    /none\/(ca\.crt|token).*automountServiceAccountToken: true/,
  );
});

test('a kubeconfig counts where one is given, also in a pod', async () => {
  const connection = await connect({
    kubeconfig: kubeconfig(good),
    env: inPod,
    serviceAccount: serviceAccount(),
  });
  assert.equal(connection?.server, 'https://c.example:6443');
  assert.equal(connection?.namespace, 'work');
  const access = await connection?.access();
  assert.equal(String(access?.ca), 'CA');
  assert.equal(access?.servername, 'kubernetes');
  assert.deepEqual(access?.headers, { Authorization: 'Bearer secret' });
  assert.equal(access?.agent, undefined);
});

test('through a proxy, where the kubeconfig names one', async () => {
  const proxied = good.replace('tls-server-name', "proxy-url: 'http://proxy.example:3128', tls-server-name");
  const access = await (await connect({ kubeconfig: kubeconfig(proxied), env: {} }))?.access();
  assert.notEqual(access?.agent, undefined);
});

for (const [what, text, says] of [
  ['is empty', '', /kubeconfig .*config: .*give the file that kubectl uses/],
  ['is no YAML', 'a: [', /kubeconfig .*config: /],
  [
    'has no current context',
    good.replace('here', 'away'),
    /"away" is none of its contexts \(here\).*use-context/,
  ],
  ['lacks its cluster', good.replace('cluster: c,', 'cluster: d,'), /wants cluster "d".*set-cluster d/],
] as const) {
  test(`a kubeconfig that ${what}: the file is named, and the remedy`, async () => {
    await assert.rejects(connect({ kubeconfig: kubeconfig(text), env: {} }), says);
  });
}

test('a kubeconfig that is not there', async () => {
  await assert.rejects(
    connect({ kubeconfig: '/nowhere/config', env: {} }),
    /kubeconfig \/nowhere\/config: ENOENT/,
  );
});
