/**
 * Many forwarders before a hub that takes a tenth of what they have: no work in vain, each spoke its share, and what is
 * urgent comes at once. `OVERLOAD_SPOKES` (8) and `OVERLOAD_SECONDS` (4) make it larger.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeClient } from '../../src/certificates/issue.ts';
import { httpClient } from '../../src/events/http-client.ts';
import { Delivery } from '../../src/forwarding/delivery.ts';
import { Keeper } from '../../src/forwarding/keeper.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { until } from '../until.ts';
import { type Stage, stage } from './stage.ts';

const spokes = Number(process.env.OVERLOAD_SPOKES ?? 8);
const seconds = Number(process.env.OVERLOAD_SECONDS ?? 4);
/** What the hub takes a second. */
const rate = 500;
const backlog = Math.ceil((rate * seconds * 10) / spokes);

function event(name: string, priority: number) {
  const [spoke] = name.split('/');
  const text = JSON.stringify({
    ...{ rule: 'R', priority: priority === 0 ? 'Emergency' : 'Notice', time: '2026-01-31T12:00:00.5Z' },
    output_fields: { name, spoke },
  });
  return { text, priority, received: Date.now(), sender: '10.0.0.1', key: name };
}

/** A forwarder's spool and delivery, without a process of its own. */
async function forwarder(hub: Stage, name: string) {
  const folder = temporaryFolder('overload-');
  const options = { folder, limit: 256 * 1024 * 1024 };
  const keeper = new Keeper(options, { onDropped: () => {}, onDamaged: () => {}, onChange: () => {} });
  const keep = (names: readonly string[], priority: number) =>
    keeper.keep(names.map((one) => event(one, priority)));
  await keep(
    Array.from({ length: backlog }, (_, at) => `${name}/${at}`),
    5,
  );
  const { certificate, key } = await makeClient(hub.authority, name, Date.now(), 86_400_000);
  const client = httpClient({
    ...{ address: `https://localhost:${hub.port}/`, env: {} },
    credentials: {
      ca: hub.authority.certificate,
      client: { cert: certificate, key, notAfter: new Date() },
      headers: {},
    },
  });
  const delivery = new Delivery({
    store: {
      next: async (most, lowest) => keeper.next(most, lowest),
      settle: (batch, settled) => keeper.settle(batch, settled),
      status: () => keeper.status(),
    },
    client,
    headers: () => ({}),
    ...{ onHub: () => {}, onDelivered: () => {}, onRetried: () => {}, onRejected: () => {} },
  });
  delivery.pump();
  return {
    urgent: async (urgent: string) => {
      await keep([urgent], 0);
      delivery.pump();
    },
    stop: async () => {
      await delivery.stop(0);
      keeper.close();
    },
  };
}

test(`${spokes} forwarders for ${seconds} s before a hub that takes ${rate} events a second`, {
  timeout: 60_000 + (seconds + spokes) * 10_000,
}, async (t) => {
  const hub = await stage();
  const { falcosidekick } = hub;
  // What it has taken and not yet brought to its outputs is its goroutines (FACTS 3.16).
  const from = performance.now();
  let [queue, drained] = [0, from];
  const drain = (): number => {
    const now = performance.now();
    queue = Math.max(0, queue - ((now - drained) / 1000) * rate);
    drained = now;
    return queue;
  };
  const arrived = new Map<string, number>();
  let doubles = 0;
  falcosidekick.goroutines = () => 7 + drain();
  falcosidekick.answers = (response, _request, text) => {
    drain();
    queue++;
    const name = String(JSON.parse(text).output_fields.name);
    if (arrived.has(name)) doubles++;
    arrived.set(name, performance.now());
    response.end();
  };
  const names = Array.from({ length: spokes }, (_, at) => `spoke-${at}`);
  const all = await Promise.all(names.map((name) => forwarder(hub, name)));
  t.after(async () => {
    await Promise.all(all.map(({ stop }) => stop()));
    await hub.close();
  });
  await sleep(2_000);
  const before = arrived.size;
  const begun = performance.now();
  const told = new Map<string, number>();
  for (const [at, one] of all.entries()) {
    await sleep((seconds * 500) / spokes);
    told.set(`${names[at]}/urgent`, performance.now());
    await one.urgent(`${names[at]}/urgent`);
  }
  await sleep(Math.max(0, seconds * 1000 - (performance.now() - begun)));
  const ended = performance.now();
  const done = arrived.size - before;
  const share = done / spokes;
  const shares = names.map(
    (name) =>
      [...arrived].filter(([key, at]) => key.startsWith(`${name}/`) && at >= begun && at < ended).length /
      share,
  );
  const waits = [...told].map(([name, at]) => (arrived.get(name) ?? Number.POSITIVE_INFINITY) - at);
  const work = done / (((ended - begun) / 1000) * rate);
  t.diagnostic(
    `${(100 * work).toFixed(0)} % of what it can take; shares ${Math.min(...shares).toFixed(2)} to ` +
      `${Math.max(...shares).toFixed(2)}; Emergency within ${Math.max(...waits).toFixed(0)} ms; ${doubles} twice`,
  );
  assert.equal(doubles, 0);
  const haveAll = () => [...told.keys()].every((name) => arrived.has(name));
  // Where others take the processor, many batches come back before their turn.
  await until('each urgent event has come', haveAll, 120_000);
  // A small one says no more where others take the processor.
  if (process.env.OVERLOAD_SPOKES === undefined && work < 0.5) return;
  assert.ok(process.env.OVERLOAD_SPOKES === undefined || work > 0.95, `${work}`);
  assert.ok(Math.min(...shares) > 0.8 && Math.max(...shares) < 1.2, `${shares}`);
  assert.ok(Math.max(...waits) < 5_000, `${waits}`);
});
