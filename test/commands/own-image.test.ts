import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { ownImage } from '../../src/commands/serve/own-image.ts';
import { defaultImage } from '../../src/settings/schema.ts';
import { apiServer, refused } from '../cluster/api-server.ts';
import { untilSo } from '../until.ts';

const logger = pino({ level: 'silent' });
const pod = { namespace: 'falco-federation', name: 'webhook-1' };
const podOf = (...containers: readonly object[]) => ({ body: { kind: 'Pod', spec: { containers } } });

test('the image is the one that the pod names, whatever stands around the webhook in it', async (t) => {
  const image = 'mirror.corp.net/falco-federation-webhook@sha256:abc';
  const { connection, received } = await apiServer(t, () =>
    podOf({ name: 'mesh', image: 'mesh:1' }, { name: 'webhook', image }),
  );
  const own = ownImage(connection, pod, logger);
  t.after(own.stop);
  await untilSo(() => own.current() !== undefined);
  assert.equal(own.current(), image);
  assert.deepEqual(own.check(false), { ready: true, detail: `ok, ${image}` });
  assert.equal(received[0]?.path, '/api/v1/namespaces/falco-federation/pods/webhook-1');
});

test('it may not be read at first: not ready for a while, told with the remedy, and asked again', async (t) => {
  let answers = [refused(403, 'Forbidden', 'no get on pods')];
  const { connection } = await apiServer(
    t,
    () => answers.shift() ?? podOf({ name: 'webhook', image: 'a:1' }),
  );
  const own = ownImage(connection, pod, logger);
  t.after(own.stop);
  assert.equal(own.current(), undefined);
  assert.equal(own.check(false).ready, false);
  assert.deepEqual(own.check(true), { ready: true, detail: 'ok, as rules.image says' });
  await untilSo(() => /no get on pods/.test(own.check(false).detail) || own.current() !== undefined);
  await untilSo(() => own.current() === 'a:1');
  answers = [];
});

test('without a cluster, and where nobody says which pod this is, it is called as it was built', async (t) => {
  const { connection, received } = await apiServer(t, () => refused(500, 'InternalError', 'not asked'));
  assert.equal(ownImage(undefined, pod, logger).current(), defaultImage);
  assert.equal(ownImage(connection, undefined, logger).current(), defaultImage);
  assert.deepEqual(received, []);
});
