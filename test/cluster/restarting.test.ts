import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tellEvent } from '../../src/cluster/events.ts';
import { evictPod, isPodThere } from '../../src/cluster/evict.ts';
import { leaseStore } from '../../src/cluster/lease.ts';
import { type Answer, apiServer, refused } from './api-server.ts';

const event = {
  name: 'falco-federation.1',
  regarding: { apiVersion: 'apps/v1', kind: 'DaemonSet', namespace: 'falco', name: 'falco', uid: 'u' },
  ...{ reason: 'PodStale', note: 'n', count: 40 },
};

test('an Event is made once; where it is there already, its series goes on', async (t) => {
  let there = false;
  const { connection, received } = await apiServer(t, ({ method }): Answer => {
    if (method === 'POST' && there) return refused(409, 'AlreadyExists', 'exists');
    there = true;
    return { body: {} };
  });
  await tellEvent(connection, 'replica-1', event);
  await tellEvent(connection, 'replica-2', event);
  assert.deepEqual(
    received.map(({ method, path }) => `${method} ${path}`),
    [
      'POST /apis/events.k8s.io/v1/namespaces/falco/events',
      'POST /apis/events.k8s.io/v1/namespaces/falco/events',
      'PATCH /apis/events.k8s.io/v1/namespaces/falco/events/falco-federation.1',
    ],
  );
  const [made, , patched] = received.map(({ body }) => body as { series: { count: number }; note?: string });
  assert.equal(made?.series.count, 40);
  assert.deepEqual(Object.keys(patched ?? {}), ['series']);
  assert.equal(patched?.series.count, 40, 'written, not added to');
});

test('an Event of one pod is no series; what else is refused is an error', async (t) => {
  let answer: Answer = { body: {} };
  const { connection, received } = await apiServer(t, () => answer);
  await tellEvent(connection, 'replica-1', { ...event, count: 1 });
  assert.doesNotMatch(JSON.stringify(received[0]?.body), /series/);
  answer = refused(403, 'Forbidden', 'no');
  await assert.rejects(tellEvent(connection, 'r', event), /create events\.events\.k8s\.io .*403 Forbidden/);
});

const pod = { name: 'falco-1', uid: 'u' };

test('what an eviction comes to, by the answer', async (t) => {
  const table: readonly (readonly [Answer, string])[] = [
    [{ status: 201, body: {} }, 'evicted'],
    [refused(404, 'NotFound', 'not found'), 'gone'],
    [refused(409, 'Conflict', 'the UID in the precondition does not match'), 'gone'],
    [refused(429, 'TooManyRequests', "would violate the pod's disruption budget"), 'refused'],
    [refused(403, 'Forbidden', 'no'), 'refused'],
    [refused(500, 'InternalError', 'more than one PodDisruptionBudget'), 'refused'],
  ];
  let at = 0;
  const { connection, received } = await apiServer(t, () => table[at]?.[0] ?? { body: {} });
  for (const [, kind] of table) {
    const answer = await evictPod(connection, 'falco', pod);
    assert.equal(answer.kind, kind);
    at += 1;
  }
  const { path, body } = received[0] ?? {};
  assert.equal(path, '/api/v1/namespaces/falco/pods/falco-1/eviction');
  assert.deepEqual((body as { deleteOptions: unknown }).deleteOptions, { preconditions: { uid: 'u' } });
  at = 4;
  const denied = await evictPod(connection, 'falco', pod);
  assert.match('why' in denied ? denied.why : '', /resources \["pods\/eviction"\]/);
});

test('whether a pod is there', async (t) => {
  const metadata = { name: 'falco-1', uid: 'u', resourceVersion: '1' };
  let answer: Answer = { body: { metadata } };
  const { connection } = await apiServer(t, () => answer);
  assert.equal(await isPodThere(connection, 'falco', pod), true);
  answer = { body: { metadata: { ...metadata, uid: 'other' } } };
  assert.equal(await isPodThere(connection, 'falco', pod), false);
  answer = { body: { metadata: { ...metadata, deletionTimestamp: '2026-11-01T00:00:00Z' } } };
  assert.equal(await isPodThere(connection, 'falco', pod), false);
  answer = refused(404, 'NotFound', 'not found');
  assert.equal(await isPodThere(connection, 'falco', pod), false);
});

test('a Lease is written over what was read, and tells when by the API server', async (t) => {
  const stored = {
    metadata: {
      ...{ name: 'l', resourceVersion: '7', labels: { 'app.kubernetes.io/managed-by': 'Helm' } },
      annotations: { 'falco-federation.io/restarts': '{"a":1}', 'meta.helm.sh/release-name': 'r' },
    },
    spec: { holderIdentity: 'other' },
  };
  let answer: Answer = refused(404, 'NotFound', 'not found');
  const { connection, received } = await apiServer(t, () => answer);
  const store = leaseStore(connection, 'falco-federation', 'l');
  assert.equal((await store.read()).lease, undefined);
  answer = { body: stored };
  const { lease, at } = await store.read();
  assert.deepEqual(lease, { holder: 'other', version: '7', record: '{"a":1}' });
  assert.ok(Math.abs(at - Date.now()) < 60_000 && at % 1_000 === 0, 'the date of the answer');
  await store.write({ holder: 'me', record: '{}' }, lease);
  await store.write({ holder: 'me', record: '{}' }, undefined);
  const [, , update, create] = received;
  assert.deepEqual([update?.method, create?.method], ['PUT', 'POST']);
  assert.match(JSON.stringify(update?.body), /"resourceVersion":"7"/);
  // Helm does not take away what does not say that it is Helm's.
  assert.deepEqual(Reflect.get(Object(update?.body), 'metadata'), {
    ...stored.metadata,
    annotations: { ...stored.metadata.annotations, 'falco-federation.io/restarts': '{}' },
  });
  assert.doesNotMatch(JSON.stringify(create?.body), /resourceVersion|Helm/);
  for (const status of [404, 409]) {
    answer = refused(status, 'Conflict', 'changed');
    assert.equal(await store.write({ holder: 'me', record: '{}' }, lease), undefined);
  }
  answer = refused(500, 'InternalError', 'no');
  await assert.rejects(store.write({ holder: 'me', record: '{}' }, lease), /500/);
});
