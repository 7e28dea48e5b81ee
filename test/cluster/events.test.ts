import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tellEvent } from '../../src/cluster/events.ts';
import { type Answer, apiServer, refused } from './api-server.ts';

const event = {
  name: 'falco-federation.1',
  regarding: { apiVersion: 'apps/v1', kind: 'DaemonSet', namespace: 'falco', name: 'falco', uid: 'u' },
  ...{ reason: 'PodStale', note: 'n' },
};

test('an Event is made once, however many tell it', async (t) => {
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
    ],
  );
});

test('what else is refused is an error', async (t) => {
  const { connection } = await apiServer(t, () => refused(403, 'Forbidden', 'no'));
  await assert.rejects(tellEvent(connection, 'r', event), /create events\.events\.k8s\.io .*403 Forbidden/);
});
