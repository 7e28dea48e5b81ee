import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { followPods, readPods } from '../../src/forwarding/federated-pods.ts';
import { makeMetrics } from '../../src/server/metrics.ts';
import { portOf } from '../port-of.ts';

const state = (namespace: string, is: string, pods: number) => ({
  ...{ namespace, workloadKind: 'DaemonSet', state: is, pods },
});

/** As a webhook tells it. */
function scrape(synced: boolean): Promise<string> {
  const states = [state('falco', 'federated', 3), state('other', 'federated', 2), state('falco', 'stale', 1)];
  return makeMetrics({
    version: '1.2.3',
    certificateNotAfter: () => new Date(),
    settings: () => ({ cluster: 'staging', role: 'spoke', valid: true }),
    namespaces: () => ({ known: 1, synced: true }),
    pods: () => ({ synced, states, findings: [] }),
  }).registry.metrics();
}

test("pods by state are the sums of the webhook's gauges, once it sees them", async () => {
  assert.deepEqual(readPods(await scrape(true)), { federated: 5, stale: 1 });
  assert.equal(readPods(await scrape(false)), undefined);
  assert.equal(readPods('<html>'), undefined);
});

test('an answer that is missing leaves what was known, three do not', async (t) => {
  const [good, answers] = [await scrape(true), [200, 503, 503, 503, 200]];
  const asked = createServer((_, response) => {
    response.writeHead(answers.shift() ?? 200).end(good);
    setImmediate(() => asked.emit('asked'));
  }).listen(0, '127.0.0.1');
  await once(asked, 'listening');
  // Safe: it listens on a port.
  const port = portOf(asked);
  const followed = followPods(`http://127.0.0.1:${port}/metrics`, 40);
  t.after(() => {
    followed.stop();
    asked.close();
  });
  const seen: string[] = [];
  for (let asks = 0; asks < 7; asks++) {
    await once(asked, 'asked');
    const now = JSON.stringify(followed.pods()) ?? 'unknown';
    if (seen.at(-1) !== now) seen.push(now);
  }
  const known = '{"federated":5,"stale":1}';
  // What is seen may be that of the answer before.
  assert.deepEqual(seen.slice(seen.indexOf(known)), [known, 'unknown', known]);
});
