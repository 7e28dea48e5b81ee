import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { watchPods } from '../../src/cluster/pods.ts';
import { untilSo } from '../until.ts';
import { type Answer, apiServer, refused } from './api-server.ts';

const pod = (name: string, resourceVersion: string, ours = true) => ({
  metadata: { name, resourceVersion, labels: { ours: String(ours) } },
});

type Received = { readonly metadata: { readonly name: string; readonly resourceVersion: string } };

function keep({ metadata }: Received, namespace: string) {
  const labels: unknown = Reflect.get(metadata, 'labels');
  const { name, resourceVersion } = metadata;
  return JSON.stringify(labels).includes('true') ? { name, resourceVersion, namespace } : undefined;
}

const listOf = (...items: object[]): Answer => ({ body: { metadata: { resourceVersion: '5' }, items } });

test('pods of the namespaces that are followed, as far as they concern anyone', async (t) => {
  const open = new Map<string, ServerResponse>();
  const { connection, received } = await apiServer(t, ({ path, query }) => {
    const namespace = path.split('/')[4] ?? '';
    if (query.watch) {
      return (response) => {
        open.set(namespace, response);
        response.flushHeaders();
      };
    }
    return listOf(pod(`${namespace}-1`, '1'), pod(`${namespace}-2`, '2', false));
  });
  const watched = watchPods(connection, keep);
  t.after(watched.stop);
  const names = () => [...watched.all()].map(({ name }) => name).sort();
  watched.follow(new Set(['a', 'b']));
  assert.equal(watched.synced(), false);
  await untilSo(() => open.size === 2 && watched.synced());
  assert.deepEqual(names(), ['a-1', 'b-1']);
  assert.equal(watched.followed(), 2);
  const limits = received.filter(({ query }) => !query.watch).map(({ query }) => query.limit);
  assert.deepEqual(limits, ['10', '10'], 'a part of a list at a time');

  const event = (namespace: string, type: string, object: object) =>
    open.get(namespace)?.write(`${JSON.stringify({ type, object })}\n`);
  event('a', 'ADDED', pod('a-3', '6'));
  event('a', 'MODIFIED', pod('a-1', '7', false));
  event('a', 'ADDED', pod('a-4', '8', false));
  await untilSo(() => names().includes('a-3') && !names().includes('a-1'));
  assert.deepEqual(names(), ['a-3', 'b-1'], 'what concerns nobody any more is as if it were gone');
  event('a', 'DELETED', pod('a-3', '9'));
  await untilSo(() => names().join() === 'b-1');

  const lists = () => received.filter(({ query }) => !query.watch).length;
  const before = lists();
  watched.again('b');
  assert.deepEqual(names(), ['b-1'], 'what is known stays until it is listed anew');
  await untilSo(() => lists() === before + 1);
  watched.follow(new Set(['b']));
  assert.deepEqual(names(), ['b-1']);
});

test('a namespace whose pods may not be seen is told apart, and holds up no other; it is asked for again soon', async (t) => {
  let isSecret = true;
  const { connection } = await apiServer(t, ({ path, query }) => {
    if (isSecret && path.includes('/secret/')) return refused(403, 'Forbidden', 'cannot list pods');
    return query.watch ? (response) => response.flushHeaders() : listOf(pod('seen', '1'));
  });
  const watched = watchPods(connection, keep);
  t.after(watched.stop);
  watched.follow(new Set(['secret', 'open']));
  await untilSo(() => watched.synced() && watched.denied().size === 1);
  assert.match(
    watched.denied().get('secret') ?? '',
    /403 Forbidden cannot list pods; this requires .*resources \["pods"\]/,
  );
  assert.equal(watched.problem(), undefined);
  assert.equal([...watched.all()].length, 1);
  // An API server that starts refuses for a moment what it allows.
  isSecret = false;
  await untilSo(() => watched.denied().size === 0 && [...watched.all()].length === 2);
});
