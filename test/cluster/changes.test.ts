import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { onChange } from '../../src/cluster/changes.ts';
import { untilSo } from '../until.ts';
import { apiServer } from './api-server.ts';

const objects = { namespace: 'ns', secret: 'certs', webhookConfiguration: 'ours' };

test('calls for each change of the Secret and of the configuration, until it is stopped', async (t) => {
  const open = new Map<string, ServerResponse>();
  const { connection, received } = await apiServer(t, ({ path, query }) => {
    if (!query.watch) return { body: { metadata: { resourceVersion: '1' }, items: [] } };
    return (response) => {
      open.set(path, response);
      response.flushHeaders();
    };
  });
  let calls = 0;
  const stop = onChange(connection, objects, () => {
    calls += 1;
  });
  t.after(stop);
  await untilSo(() => open.size === 2);
  assert.equal(calls, 2, 'once for each at the start');
  let version = 1;
  for (const type of ['ADDED', 'MODIFIED', 'DELETED']) {
    for (const [path, response] of open) {
      version += 1;
      const before = calls;
      const metadata = { name: 'x', resourceVersion: String(version) };
      response.write(`${JSON.stringify({ type, object: { metadata } })}\n`);
      await untilSo(() => calls === before + 1);
      assert.ok(received.some((request) => request.path === path));
    }
  }
  const closed = Promise.all(
    [...open.values()].map((response) => new Promise((resolve) => response.on('close', resolve))),
  );
  stop();
  await closed;
  assert.equal(calls, 8);
});

test('keys of the Secret are not asked for', async (t) => {
  const { connection, received } = await apiServer(t, () => ({ status: 500, body: {} }));
  const stop = onChange(connection, objects, () => {});
  const asked = () => new Set(received.map(({ path }) => path));
  await untilSo(() => asked().size === 2);
  stop();
  assert.ok(received.every(({ headers }) => headers.accept?.includes('as=PartialObjectMetadata')));
});
