import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { pino } from 'pino';
import { knownNamespaces } from '../../src/commands/serve/namespaces.ts';
import { apiServer, refused } from '../cluster/api-server.ts';
import { untilSo } from '../until.ts';

test('the gauge turns 0 while namespaces are refused, and what is known of them stays', async (t) => {
  let isRefused = false;
  let open: ServerResponse | undefined;
  const { connection } = await apiServer(t, ({ query }) => {
    if (isRefused) return refused(403, 'Forbidden', 'no');
    if (!query.watch)
      return {
        body: {
          metadata: { resourceVersion: '5' },
          items: [{ metadata: { name: 'a', resourceVersion: '1' } }],
        },
      };
    return (response) => {
      open = response;
      response.flushHeaders();
    };
  });
  const namespaces = knownNamespaces(connection, pino({ level: 'silent' }));
  t.after(namespaces.stop);
  await untilSo(() => namespaces.state()?.synced === true);
  isRefused = true;
  open?.destroy();
  await untilSo(() => namespaces.state()?.synced === false);
  assert.deepEqual([...namespaces.names()], ['a']);
  assert.equal(namespaces.isListed(), true);
  isRefused = false;
  await untilSo(() => namespaces.state()?.synced === true);
});
