import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { readyReplicas } from '../../src/cluster/ready-replicas.ts';
import { type Answer, apiServer, refused } from './api-server.ts';

const pod = (name: string, ready?: boolean | null) => ({
  conditions: { ready },
  targetRef: { kind: 'Pod', name },
});

async function ready(t: TestContext, answer: Answer): Promise<readonly string[] | undefined> {
  const { connection } = await apiServer(t, () => answer);
  return readyReplicas(connection, 'ns', 'webhook').ready();
}

test('pods of all slices that are ready, each once; a condition that is not there counts as ready', async (t) => {
  const slices = [
    {
      endpoints: [pod('a', true), pod('b', false), { targetRef: { kind: 'Pod', name: 'c' } }, pod('d', null)],
    },
    {
      endpoints: [
        pod('a', true),
        { conditions: { ready: true } },
        { targetRef: { kind: 'Node', name: 'n' } },
      ],
    },
    { endpoints: null },
  ];
  assert.deepEqual(await ready(t, { body: { items: slices } }), ['a', 'c', 'd']);
});

test('no ready pod is known to be none; no slices, and no permission, are not known', async (t) => {
  assert.deepEqual(await ready(t, { body: { items: [{ endpoints: [pod('a', false)] }] } }), []);
  assert.equal(await ready(t, { body: { items: [] } }), undefined);
  assert.equal(await ready(t, refused(403, 'Forbidden', 'no')), undefined);
  await assert.rejects(
    ready(t, refused(500, 'InternalError', 'no')),
    /list endpointslices\.discovery\.k8s\.io/,
  );
  await assert.rejects(ready(t, { body: {} }), /not of kind EndpointSliceList/);
});

test('asks for the slices of the Service', async (t) => {
  const { connection, received } = await apiServer(t, () => ({ body: { items: [] } }));
  await readyReplicas(connection, 'ns', 'webhook').ready();
  assert.equal(received[0]?.path, '/apis/discovery.k8s.io/v1/namespaces/ns/endpointslices');
  assert.deepEqual(received[0]?.query, { labelSelector: 'kubernetes.io/service-name=webhook' });
});
