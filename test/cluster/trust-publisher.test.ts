import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { trustPublisher } from '../../src/cluster/trust-publisher.ts';
import { type Answer, apiServer, type Received, refused } from './api-server.ts';

const pem = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';
const base64 = (text: string): string => Buffer.from(text).toString('base64');

const webhook = (name: string, bundle?: string) => ({
  name,
  clientConfig: {
    service: { name: 's', namespace: 'ns' },
    ...(bundle === undefined ? {} : { caBundle: base64(bundle) }),
  },
});

async function publisher(
  t: TestContext,
  webhooks: readonly object[] | undefined,
  patched: Answer = { body: {} },
): Promise<{ readonly trust: ReturnType<typeof trustPublisher>; readonly received: readonly Received[] }> {
  const body = { metadata: { name: 'ours', resourceVersion: '7' }, webhooks };
  const { connection, received } = await apiServer(t, ({ method }) =>
    method === 'GET' ? { body } : patched,
  );
  return { trust: trustPublisher(connection, 'ours'), received };
}

const pods = 'inject.falco-federation.io';
const workloads = 'inject-workloads.falco-federation.io';

for (const [what, webhooks, published] of [
  ['published', [webhook('other', 'X'), webhook(pods, pem)], pem],
  ['published for both', [webhook(pods, pem), webhook(workloads, pem)], pem],
  ['not published', [webhook(pods)], ''],
  ['emptied', [webhook(pods, '')], ''],
  ['not the same everywhere', [webhook(pods, pem), webhook(workloads)], ''],
  ['not to be published: no webhook of ours', [webhook('other', 'X')], undefined],
  ['not to be published: no webhooks', undefined, undefined],
] as const) {
  test(`trust that is ${what}`, async (t) => {
    assert.equal(await (await publisher(t, webhooks)).trust.read(), published);
  });
}

test('publishes by name, for the webhooks that are there, over exactly what was read', async (t) => {
  const { trust, received } = await publisher(t, [webhook('other', 'X'), webhook(pods, 'old')]);
  assert.equal(await trust.publish(pem), false, 'nothing was read yet');
  await trust.read();
  assert.equal(await trust.publish(pem), true);
  const patch = received.at(-1);
  assert.equal(patch?.method, 'PATCH');
  assert.equal(patch?.path, '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/ours');
  assert.equal(patch?.headers['content-type'], 'application/strategic-merge-patch+json');
  assert.deepEqual(patch?.query, { fieldManager: 'falco-federation-webhook' });
  assert.deepEqual(patch?.body, {
    metadata: { resourceVersion: '7' },
    webhooks: [{ name: pods, clientConfig: { caBundle: base64(pem) } }],
  });
});

test('what changed, or went away, or is not ours, is not published', async (t) => {
  for (const answer of [refused(409, 'Conflict', 'modified'), refused(404, 'NotFound', 'gone')]) {
    const { trust } = await publisher(t, [webhook(pods)], answer);
    await trust.read();
    assert.equal(await trust.publish(pem), false);
  }
  const { trust, received } = await publisher(t, [webhook('other', 'X')]);
  await trust.read();
  assert.equal(await trust.publish(pem), false);
  assert.equal(received.length, 1);
  const missing = trustPublisher(
    (await apiServer(t, () => refused(404, 'NotFound', 'none'))).connection,
    'ours',
  );
  assert.equal(await missing.read(), undefined);
  assert.equal(await missing.publish(pem), false);
});

test('a refusal is an error that names the permission', async (t) => {
  const { trust } = await publisher(t, [webhook(pods)], refused(403, 'Forbidden', 'no'));
  await trust.read();
  await assert.rejects(trust.publish(pem), /resourceNames \["ours"\], verbs \["patch"\]/);
});
