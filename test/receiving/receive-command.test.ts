/** The receiver as a user runs it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { makeAuthority, makeClient, makeServing } from '../../src/certificates/issue.ts';
import { runCommand } from '../commands/run-command.ts';
import { makePlace, startReceiver } from '../forwarding/forwarder-process.ts';
import { fakeFalcosidekick, line } from './stage.ts';

const day = 86_400_000;

test('a batch that is on its way at SIGTERM gets its answer; then it ends', async (t) => {
  const falcosidekick = await fakeFalcosidekick();
  const authority = await makeAuthority(Date.now(), day);
  const own = await makeServing(authority, ['localhost'], Date.now(), day);
  const place = makePlace(
    `cluster: obsrv\nrole: hub\nreceiver: { falcosidekick: "${falcosidekick.address}", spokes: { staging: {} } }\n`,
  );
  const files = { 'tls.crt': own.certificate, 'tls.key': own.key, 'ca.crt': authority.certificate };
  for (const [name, content] of Object.entries(files))
    writeFileSync(path.join(place.credentials, name), content);
  const receiver = await startReceiver(place);
  const { certificate: cert, key } = await makeClient(authority, 'staging', Date.now(), day);
  const agent = new Agent({ keepAlive: true, cert, key, ca: authority.certificate });
  t.after(async () => {
    receiver.child.kill('SIGKILL');
    agent.destroy();
    await falcosidekick.close();
  });
  assert.equal((await receiver.ready()).status, 200);
  const fleet = await (await fetch(`http://127.0.0.1:${receiver.metricsPort}/fleet`)).json();
  assert.deepEqual(fleet, { spokes: [{ spoke: 'staging', reports: [] }] });

  const taken = Promise.withResolvers<() => void>();
  falcosidekick.answers = (response) => taken.resolve(() => response.end());
  const post = request(`https://localhost:${receiver.port}/`, {
    ...{ method: 'POST', agent, headers: { 'content-type': 'application/x-ndjson' } },
  });
  post.end(line('k/1'));
  const answered = once(post, 'response');
  const answer = await taken.promise;
  const ended = receiver.stop();
  await receiver.says('draining');
  answer();
  const [response] = await answered;
  assert.deepEqual([response.statusCode, response.headers.connection], [200, 'close']);
  assert.equal(JSON.parse(await text(response)).accepted, 1);
  assert.equal(await ended, 0);
});

test('without credentials it is used wrongly; without a receiver in the settings it could not', async () => {
  assert.equal((await runCommand(['receive'])).status, 2);
  const { settings, credentials } = makePlace('cluster: obsrv\nrole: hub\n');
  const { status, stderr } = await runCommand([
    'receive',
    '--settings',
    settings,
    '--credentials',
    credentials,
  ]);
  assert.equal(status, 1);
  assert.match(stderr, /has no section "receiver"/);
});
