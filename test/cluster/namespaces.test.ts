import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { watchNamespaces } from '../../src/cluster/namespaces.ts';
import { untilSo } from '../until.ts';
import { type Answer, apiServer, refused } from './api-server.ts';

const namespace = (name: string, resourceVersion: string, annotations: object = {}) => ({
  metadata: { name, resourceVersion, annotations },
});

test('own annotations of opted-in namespaces, from memory, the same object while they are unchanged', async (t) => {
  let open: ServerResponse | undefined;
  let answer = (): Answer => refused(503, 'ServiceUnavailable', 'starting');
  const { connection, cut } = await apiServer(t, ({ query }) => {
    if (!query.watch) return answer();
    return (response) => {
      open = response;
      response.flushHeaders();
    };
  });
  const event = (type: string, object: object): void => {
    open?.write(`${JSON.stringify({ type, object })}\n`);
  };
  const problems: (string | undefined)[] = [];
  const watched = watchNamespaces(connection, (problem) => problems.push(problem));
  t.after(watched.stop);
  assert.equal(watched.synced(), false);
  assert.equal(watched.annotations('a'), undefined);

  await untilSo(() => watched.problem() !== undefined);
  assert.match(watched.problem() ?? '', /list namespaces .* 503 ServiceUnavailable starting/);

  answer = () => ({
    body: {
      metadata: { resourceVersion: '5' },
      items: [
        namespace('a', '1', { 'falco-federation.io/cluster': 'x', other: 'y' }),
        namespace('b', '2', { other: 'y' }),
        namespace('c', '3'),
      ],
    },
  });
  await untilSo(() => open !== undefined && watched.problem() === undefined);
  assert.equal(watched.synced(), true);
  assert.equal(watched.known(), 3);
  const a = watched.annotations('a');
  assert.deepEqual(a, { 'falco-federation.io/cluster': 'x' });
  assert.deepEqual(watched.annotations('b'), {});
  assert.equal(watched.annotations('b'), watched.annotations('c'), 'one object for all that say nothing');

  event('MODIFIED', namespace('a', '6', { other: 'z', 'falco-federation.io/cluster': 'x' }));
  event('DELETED', namespace('b', '7'));
  await untilSo(() => watched.annotations('b') === undefined);
  assert.equal(watched.annotations('a'), a);

  event('MODIFIED', namespace('a', '8', { 'falco-federation.io/cluster': 'y' }));
  await untilSo(() => watched.annotations('a') !== a);
  assert.deepEqual(watched.annotations('a'), { 'falco-federation.io/cluster': 'y' });

  const last = watched.annotations('a');
  answer = () => refused(500, 'InternalError', 'etcd is away');
  cut();
  await untilSo(() => watched.problem() !== undefined);
  assert.equal(watched.annotations('a'), last, 'the last known stays');
  assert.equal(watched.synced(), true);
  assert.equal(problems.length >= 3, true);
});

test('a list after a gap knows what was deleted, and keeps the objects of what was not', async (t) => {
  let lists = 0;
  const gap = Promise.withResolvers<void>();
  const expired = {
    type: 'ERROR',
    object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' },
  };
  const { connection } = await apiServer(t, ({ query }) => {
    if (query.watch)
      return (response) => {
        response.flushHeaders();
        if (lists === 1) gap.promise.then(() => response.end(`${JSON.stringify(expired)}\n`));
      };
    lists += 1;
    const kept = namespace('a', '1', { 'falco-federation.io/tags': 't' });
    const items = lists === 1 ? [kept, namespace('b', '1')] : [kept];
    return { body: { metadata: { resourceVersion: String(lists) }, items } };
  });
  const watched = watchNamespaces(connection);
  t.after(watched.stop);
  await untilSo(() => watched.known() === 2);
  const a = watched.annotations('a');
  gap.resolve();
  await untilSo(() => watched.known() === 1);
  assert.equal(watched.annotations('a'), a);
  assert.equal(watched.annotations('b'), undefined);
});
