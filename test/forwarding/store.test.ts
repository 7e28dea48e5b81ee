/** Requests of a moment go to the thread together, and each gets its own answer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { smallestSpool } from '../../src/forwarding/spool.ts';
import { Store } from '../../src/forwarding/store.ts';
import { temporaryFolder } from '../temporary-folder.ts';

test('what comes while others are written shares a transaction, and each request has its own answer', async (t) => {
  const folder = temporaryFolder('store-');
  let asked = 0;
  const nothing = () => {};
  const store = new Store(
    { folder, limit: smallestSpool },
    {
      ...{ onSpool: nothing, onDamaged: nothing, onDropped: nothing },
      onWaiting: () => asked++,
      onLost: (error: unknown) => assert.fail(String(error)),
    },
  );
  t.after(() => store.close());
  const event = (key: string | undefined) => ({
    ...{ key, text: '{}', priority: 5, received: 1, sender: '10.0.0.1' },
  });
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, at) => store.keep([event(`k/${at % 40}`), event(undefined)])),
  );
  assert.deepEqual(
    answers,
    answers.map((_, at) => [at < 40 ? 'accepted' : 'duplicate', 'accepted']),
  );
  assert.equal(store.status().events, 90);
  assert.ok(asked < 6, `${asked} transactions`);
});
