import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import { hasStatus } from '../../src/cluster/cluster-error.ts';
import { metadataSource } from '../../src/cluster/metadata-source.ts';
import type { WatchEvent } from '../../src/cluster/reflector.ts';
import { mutatingWebhookConfiguration, namespaces, secret } from '../../src/cluster/resource.ts';
import { type Answer, apiServer, lines, refused } from './api-server.ts';

const { signal } = new AbortController();

const named = (name: string, resourceVersion: string, annotations?: object) => ({
  metadata: { name, resourceVersion, annotations, labels: { any: 'thing' } },
});

/** What a watch brought before it ended, and how it did. */
async function watched(
  t: TestContext,
  answer: Answer,
): Promise<{ readonly events: readonly WatchEvent[]; readonly error: unknown }> {
  const { connection } = await apiServer(t, () => answer);
  const events: WatchEvent[] = [];
  try {
    for await (const event of await metadataSource(connection, namespaces).watch('5', 290, signal)) {
      events.push(event);
    }
    return { events, error: undefined };
  } catch (error) {
    return { events, error };
  }
}

test('lists metadata, page by page, selected as asked', async (t) => {
  const { connection, received } = await apiServer(t, ({ query }) => ({
    body: query.continue
      ? { metadata: { resourceVersion: '9', continue: '' }, items: [named('b', '3')] }
      : { metadata: { resourceVersion: '9', continue: 'b' }, items: [named('a', '2', { k: 'v' })] },
  }));
  const source = metadataSource(connection, namespaces, 'falco-federation.io/inject=enabled');
  const first = await source.list(undefined, signal);
  assert.deepEqual(first, {
    items: [{ name: 'a', resourceVersion: '2', annotations: { k: 'v' } }],
    resourceVersion: '9',
    next: 'b',
  });
  assert.equal((await source.list('b', signal)).next, undefined);
  assert.deepEqual(
    received.map(({ method, path, query }) => [method, path, query]),
    [
      ['GET', '/api/v1/namespaces', { labelSelector: 'falco-federation.io/inject=enabled', limit: '500' }],
      [
        'GET',
        '/api/v1/namespaces',
        { labelSelector: 'falco-federation.io/inject=enabled', limit: '500', continue: 'b' },
      ],
    ],
  );
  assert.match(received[0]?.headers.accept ?? '', /as=PartialObjectMetadataList/);
  assert.equal(received[0]?.headers.authorization, 'Bearer t');
  assert.match(received[0]?.headers['user-agent'] ?? '', /^falco-federation-webhook\//);
});

test('one object is listed and watched by its name, which is what RBAC wants to see', async (t) => {
  const { connection, received } = await apiServer(t, ({ query }) =>
    query.watch ? lines() : { body: { metadata: { resourceVersion: '9' }, items: null } },
  );
  assert.deepEqual(
    (await metadataSource(connection, secret('ns', 'certs')).list(undefined, signal)).items,
    [],
  );
  await metadataSource(connection, mutatingWebhookConfiguration('ours')).watch('9', 290, signal);
  assert.deepEqual(
    received.map(({ path, query }) => [path, query]),
    [
      ['/api/v1/namespaces/ns/secrets', { fieldSelector: 'metadata.name=certs', limit: '500' }],
      [
        '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations',
        {
          fieldSelector: 'metadata.name=ours',
          watch: 'true',
          resourceVersion: '9',
          allowWatchBookmarks: 'true',
          timeoutSeconds: '290',
        },
      ],
    ],
  );
});

test('a watch brings what was set and removed, and bookmarks', async (t) => {
  const { events, error } = await watched(
    t,
    lines(
      { type: 'ADDED', object: named('a', '6') },
      { type: 'MODIFIED', object: named('a', '7', { k: 'v' }) },
      { type: 'DELETED', object: named('a', '8') },
      { type: 'BOOKMARK', object: { metadata: { resourceVersion: '9', creationTimestamp: null } } },
    ),
  );
  assert.deepEqual(events, [
    { type: 'set', object: { name: 'a', resourceVersion: '6', annotations: {} } },
    { type: 'set', object: { name: 'a', resourceVersion: '7', annotations: { k: 'v' } } },
    { type: 'removed', object: { name: 'a', resourceVersion: '8' } },
    { type: 'bookmark', resourceVersion: '9' },
  ]);
  assert.equal(error, undefined);
});

test('lines arrive whole, wherever the network cuts them', async (t) => {
  const bytes = Buffer.from(`${JSON.stringify({ type: 'ADDED', object: named('a', '6', { k: 'ü€😀' }) })}\n`);
  const { events } = await watched(t, (response) => {
    let at = 0;
    const more = (): void => {
      if (at === bytes.length) return void response.end();
      response.write(bytes.subarray(at, ++at), () => setImmediate(more));
    };
    more();
  });
  assert.deepEqual(events, [
    { type: 'set', object: { name: 'a', resourceVersion: '6', annotations: { k: 'ü€😀' } } },
  ]);
});

test('410 Gone is told apart from other errors, as an answer and within a watch', async (t) => {
  const answered = await watched(t, refused(410, 'Expired', 'too old resource version'));
  assert.ok(hasStatus(answered.error, 410));
  const within = await watched(
    t,
    lines(
      { type: 'ADDED', object: named('a', '6') },
      { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' } },
    ),
  );
  assert.equal(within.events.length, 1);
  assert.ok(hasStatus(within.error, 410));
  const { connection } = await apiServer(t, () => refused(410, 'Expired', 'the continue token is too old'));
  await assert.rejects(metadataSource(connection, namespaces).list('token', signal), (error) =>
    hasStatus(error, 410),
  );
  const other = await watched(t, lines({ type: 'ERROR', object: { code: 500, message: 'etcd is away' } }));
  assert.ok(!hasStatus(other.error, 410));
  assert.match(String(other.error), /watch namespaces at https:.*: etcd is away/);
});

test('a line that is no JSON ends a watch after what came before', async (t) => {
  const { events, error } = await watched(t, (response) => {
    response.end(`${JSON.stringify({ type: 'ADDED', object: named('a', '6') })}\n{"type":"ADDED","obj\n`);
  });
  assert.equal(events.length, 1);
  assert.match(String(error), /watch namespaces at http/);
});

test('an answer that breaks off is an error, not an end', async (t) => {
  const { events, error } = await watched(t, (response, cut) => {
    response.write(`${JSON.stringify({ type: 'ADDED', object: named('a', '6') })}\n`, () =>
      setTimeout(cut, 20),
    );
  });
  assert.equal(events.length, 1);
  assert.match(String(error), /connection closed/);
});

test('a watch may last longer than the 10 s in which it has to begin', async (t) => {
  let later: ServerResponse | undefined;
  const { connection } = await apiServer(t, () => (response) => {
    later = response;
    response.flushHeaders();
  });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const events = await metadataSource(connection, namespaces).watch('5', 290, signal);
  t.mock.timers.tick(60_000);
  later?.end(`${JSON.stringify({ type: 'ADDED', object: named('a', '6') })}\n`);
  const brought: WatchEvent[] = [];
  for await (const event of events) brought.push(event);
  assert.equal(brought.length, 1);
});
