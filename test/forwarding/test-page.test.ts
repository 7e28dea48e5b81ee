import assert from 'node:assert/strict';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { Refusal } from '../../src/events/refusal.ts';
import { testPage } from '../../src/forwarding/test-page.ts';

const request = new IncomingMessage(new Socket());

test('a test event is kept as any other, at the lowest priority that is; one a second', async () => {
  const kept: string[] = [];
  const page = testPage(
    async ({ lines }) => {
      for (const line of lines) if ('text' in line) kept.push(line.text);
      return new Map([[0, { is: 'accepted' }]]);
    },
    () => 'warning',
    'forwarder-0',
  );
  assert.deepEqual([(await page(request)).status, (await page(request)).status], [200, 429]);
  const [event, ...more] = kept.map((text) => JSON.parse(text));
  assert.deepEqual(
    [event.rule, event.priority, event.hostname, more],
    ['Falco federation test event', 'Warning', 'forwarder-0', []],
  );
});

test('one that is not safe is not said to be', async () => {
  const page = testPage(
    () => Promise.reject(new Refusal(503, 'unsafe', 'not on disk')),
    () => 'debug',
    'a',
  );
  const { status, text } = await page(request);
  assert.deepEqual([status, text], [503, 'not on disk\n']);
});
