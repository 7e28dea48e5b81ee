import assert from 'node:assert/strict';
import { test } from 'node:test';
import { certificateStore } from '../../src/cluster/certificate-store.ts';
import { type Answer, apiServer, type Received, refused } from './api-server.ts';

const path = '/api/v1/namespaces/ns/secrets/certs';
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const noText = Buffer.from([255, 0, 254]).toString('base64');

const stored = {
  apiVersion: 'v1',
  kind: 'Secret',
  type: 'Opaque',
  metadata: {
    name: 'certs',
    namespace: 'ns',
    uid: 'u1',
    resourceVersion: '7',
    labels: { team: 'x' },
    annotations: { note: 'keep' },
  },
  data: { 'ca.crt': base64('CA\n'), 'tls.key': base64('KEY'), foreign: noText },
};

const serves =
  (get: Answer, written: Answer = { body: stored }) =>
  ({ method }: Received): Answer =>
    method === 'GET' ? get : written;

test('reads decoded files, and a version', async (t) => {
  const { connection } = await apiServer(t, serves({ body: stored }));
  const read = await certificateStore(connection, 'ns', 'certs').read();
  assert.equal(read?.files['ca.crt'], 'CA\n');
  assert.equal(read?.version, 'u1/7');
});

test('no Secret is undefined; one without data is empty; no answer throws', async (t) => {
  const missing = await apiServer(t, () => refused(404, 'NotFound', 'none'));
  assert.equal(await certificateStore(missing.connection, 'ns', 'certs').read(), undefined);
  const empty = await apiServer(t, () => ({ body: { ...stored, data: undefined } }));
  assert.deepEqual((await certificateStore(empty.connection, 'ns', 'certs').read())?.files, {});
  for (const answer of [refused(403, 'Forbidden', 'no'), refused(500, 'InternalError', 'no')]) {
    const { connection } = await apiServer(t, () => answer);
    await assert.rejects(
      certificateStore(connection, 'ns', 'certs').read(),
      /get secrets "certs" in namespace "ns"/,
    );
  }
});

test('writes over what was read, and keeps all else byte for byte', async (t) => {
  const { connection, received } = await apiServer(t, serves({ body: stored }));
  const store = certificateStore(connection, 'ns', 'certs');
  const over = await store.read();
  assert.ok(over);
  assert.equal(await store.write({ 'ca.crt': 'NEW' }, over), true);
  const written = received.at(-1);
  assert.deepEqual([written?.method, written?.path], ['PUT', path]);
  assert.deepEqual(written?.body, {
    ...stored,
    data: { 'ca.crt': base64('NEW'), 'tls.key': base64('KEY'), foreign: noText },
  });
});

test('creates with its label; where one is there already, someone was faster', async (t) => {
  const next = { 'ca.crt': 'CA' };
  const { connection, received } = await apiServer(t, () => ({ status: 201, body: stored }));
  assert.equal(await certificateStore(connection, 'ns', 'certs').write(next, undefined), true);
  assert.deepEqual([received[0]?.method, received[0]?.path], ['POST', '/api/v1/namespaces/ns/secrets']);
  assert.deepEqual(received[0]?.body, {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    metadata: {
      name: 'certs',
      namespace: 'ns',
      labels: { 'app.kubernetes.io/name': 'falco-federation-webhook' },
    },
    data: { 'ca.crt': base64('CA') },
  });
  const late = await apiServer(t, () => refused(409, 'AlreadyExists', 'there'));
  assert.equal(await certificateStore(late.connection, 'ns', 'certs').write(next, undefined), false);
  // No namespace is no race: waiting for it would be in vain.
  const nowhere = await apiServer(t, () => refused(404, 'NotFound', 'namespaces "ns" not found'));
  await assert.rejects(
    certificateStore(nowhere.connection, 'ns', 'certs').write(next, undefined),
    /namespaces "ns"/,
  );
});

for (const [what, change] of [
  ['changed', { resourceVersion: '8' }],
  ['was deleted and made again', { uid: 'u2' }],
] as const) {
  test(`a Secret that ${what} since is not written`, async (t) => {
    const now = { ...stored, metadata: { ...stored.metadata, ...change } };
    const { connection, received } = await apiServer(t, serves({ body: now }));
    const over = { files: {}, version: 'u1/7' };
    assert.equal(await certificateStore(connection, 'ns', 'certs').write({}, over), false);
    assert.deepEqual(
      received.map(({ method }) => method),
      ['GET'],
    );
  });
}

test('conflicts that only the API server sees: someone was faster; other refusals are errors', async (t) => {
  const over = { files: {}, version: 'u1/7' };
  const write = async (get: Answer, put: Answer): Promise<boolean> => {
    const { connection } = await apiServer(t, serves(get, put));
    return certificateStore(connection, 'ns', 'certs').write({}, over);
  };
  assert.equal(await write({ body: stored }, refused(409, 'Conflict', 'modified')), false);
  assert.equal(await write({ body: stored }, refused(404, 'NotFound', 'gone')), false);
  assert.equal(await write(refused(404, 'NotFound', 'gone'), { body: {} }), false);
  await assert.rejects(write({ body: stored }, refused(403, 'Forbidden', 'no')), /update secrets "certs"/);
});
