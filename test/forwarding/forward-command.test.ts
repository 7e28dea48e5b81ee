/** The forwarder as a user runs it: files that change, signals, ports, pages. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { portOf } from '../port-of.ts';
import { untilSo } from '../until.ts';
import {
  eventNamed,
  type ForwarderProcess,
  makePlace,
  type Place,
  type PlainHub,
  plainHub,
  program,
  send,
  startForwarder,
} from './forwarder-process.ts';
import { tlsHub } from './tls-hub.ts';

interface Settings {
  readonly address: string;
  readonly more?: string;
  readonly size?: string;
  /** Of the Service, and so of the other replica. */
  readonly peer?: string;
}

const settingsOf = ({ address, more = '', size = '64Mi', peer = 'http://127.0.0.1:1' }: Settings): string =>
  `cluster: staging\nhub: { address: "${address}" ${more} }\nforwarder: { spoolSize: ${size}, address: "${peer}" }\n`;

/** A forwarder with a hub; both go when the work is done. */
async function withForwarder(
  work: (parts: {
    readonly hub: PlainHub;
    readonly place: Place;
    readonly forwarder: ForwarderProcess;
  }) => Promise<void>,
  more: Partial<Settings> = {},
): Promise<void> {
  const hub = await plainHub();
  const place = makePlace(settingsOf({ address: hub.address, ...more }));
  const forwarder = await startForwarder(place);
  try {
    await work({ hub, place, forwarder });
  } finally {
    await forwarder.stop('SIGKILL');
    await hub.close();
  }
}

/** How often a line of the log was said. */
const said = ({ log }: ForwarderProcess, message: string): number =>
  log.filter(({ msg }) => msg === message).length;

test('an event arrives completed, and pages and metrics tell of it', async () => {
  await withForwarder(async ({ hub, forwarder }) => {
    assert.equal(await send(forwarder.port, eventNamed('a', { priority: 'Critical' })), 200);
    assert.equal(await send(forwarder.port, '[]'), 400);
    await hub.has(1);
    assert.deepEqual(hub.events[0]?.tags, ['staging']);
    assert.deepEqual(hub.events[0]?.output_fields, { name: 'a', env: 'staging' });
    await untilSo(async () => (await forwarder.metric('waiting_events')) === 0);
    const samples = {
      events_received_total: 1,
      'requests_refused_total{reason="not_one_event"}': 1,
      events_delivered_total: 1,
      waiting_bytes: 0,
      oldest_waiting_seconds: 0,
      delayed_events: 0,
      spool_limit_bytes: 64 * 2 ** 20,
      spool_writable: 1,
      hub_reachable: 1,
      hub_duration_seconds_count: 1,
    };
    for (const [name, value] of Object.entries(samples))
      assert.equal(await forwarder.metric(name), value, name);
    assert.ok((await forwarder.metric('spool_bytes')) > 4_096);
    const { status, text } = await forwarder.ready();
    assert.equal(status, 200);
    assert.match(
      text,
      /^\[\+\] forwarding: ok\n\[\+\] settings: ok, [0-9a-f]{12}\n\[\+\] spool: ok, 0 events wait \(0 bytes\)\n\[\+\] hub: ok\n\[\+\] credentials: ok\n$/,
    );
  });
});

test('a hub that is away: told once, ready all the same, and all arrives when it is back', async () => {
  await withForwarder(async ({ hub, forwarder }) => {
    hub.answers((response) => response.writeHead(503).end());
    for (let at = 0; at < 20; at++) assert.equal(await send(forwarder.port, eventNamed(`e${at}`)), 200);
    const { problem } = await forwarder.says('the hub accepts no events; they wait');
    assert.equal(problem, 'the hub answers 503');
    const { status, text } = await forwarder.ready();
    assert.equal(status, 200);
    assert.match(text, /^\[\+\] spool: ok, 20 events wait \(\d{4} bytes\)$/m);
    assert.match(text, /^\[\+\] hub: has accepted no events since \d{4}-.*Z: the hub answers 503(;|$)/m);
    assert.equal(await forwarder.metric('hub_reachable'), 0);
    assert.ok((await forwarder.metric('deliveries_retried_total')) > 0);
    await sleep(1_000);
    hub.answers(undefined);
    await hub.has(20);
    await forwarder.says('the hub takes events');
    assert.equal(said(forwarder, 'the hub accepts no events; they wait'), 1);
    assert.deepEqual([...new Set(hub.received.values())], [1]);
    // Starting, credentials, hub away, hub there: never a line an event.
    assert.equal(forwarder.log.length, 4);
  });
});

describe('settings are reread', () => {
  test('another hub, another minimum priority, another size', async () => {
    const other = await plainHub();
    await withForwarder(async ({ hub, place, forwarder }) => {
      await send(forwarder.port, eventNamed('first'));
      await hub.has(1);
      place.set(
        settingsOf({
          address: other.address,
          more: ', minimumPriority: warning',
          size: '128Mi',
        }),
      );
      await forwarder.says('settings reread');
      assert.equal(await send(forwarder.port, eventNamed('low', { priority: 'Notice' })), 200);
      assert.equal(await send(forwarder.port, eventNamed('high', { priority: 'Error' })), 200);
      await other.has(1);
      assert.deepEqual([[...hub.received.keys()], [...other.received.keys()]], [['first'], ['high']]);
      assert.equal(await forwarder.metric('events_below_priority_total'), 1);
      assert.equal(await forwarder.metric('spool_limit_bytes'), 128 * 2 ** 20);
    });
    await other.close();
  });

  test('bad ones: told, and the last good ones stay', async () => {
    await withForwarder(async ({ hub, place, forwarder }) => {
      place.set('cluster: staging\nhub: { adress: x }\n');
      const { problems } = await forwarder.says('settings refused; the last good ones stay');
      assert.match(JSON.stringify(problems), /hub\.ad/);
      assert.equal(await send(forwarder.port, eventNamed('a')), 200);
      await hub.has(1);
      const { status, text } = await forwarder.ready();
      assert.equal(status, 200);
      assert.match(text, /^\[\+\] settings: refused, the last good ones stay: /m);
    });
  });

  test('while events are on their way to the former hub: each arrives once', async () => {
    await withForwarder(async ({ hub, place, forwarder }) => {
      const names = Array.from({ length: 40 }, (_, at) => `e${at}`);
      const sending = (async () => {
        for (const name of names) {
          await send(forwarder.port, eventNamed(name));
          await sleep(50);
        }
      })();
      for (let at = 0; at < 3; at++) {
        await sleep(500);
        place.set(settingsOf({ address: `${hub.address}${at % 2 === 1 ? '' : '/'}` }));
      }
      await sending;
      await hub.has(names.length);
      assert.deepEqual([...new Set(hub.received.values())], [1]);
    });
  });
});

test('credentials: none, then bad ones, then good ones, without a restart; events wait meanwhile', async () => {
  const hub = await tlsHub({ asksForClients: true });
  const place = makePlace(settingsOf({ address: hub.address }));
  const put = (name: string, text: string): void => writeFileSync(path.join(place.credentials, name), text);
  const forwarder = await startForwarder(place);
  try {
    assert.equal(await send(forwarder.port, eventNamed('a')), 200);
    await forwarder.says('the hub accepts no events; they wait');
    put('tls.crt', 'no certificate');
    const { problem } = await forwarder.says('credentials refused; the last good ones stay');
    assert.match(String(problem), /tls\.crt and tls\.key go together/);
    assert.match((await forwarder.ready()).text, /^\[\+\] credentials: refused, the last good ones stay: /m);
    const { certificate, key } = await hub.clientFor('staging');
    put('ca.crt', hub.authority.certificate);
    put('headers', 'X-Token: secret-of-ours\n');
    put('tls.key', key);
    put('tls.crt', certificate);
    await forwarder.says('the hub takes events');
    await untilSo(() => hub.received.some(({ body }) => body.includes('"name":"a"')));
    assert.deepEqual(
      [...new Set(hub.received.map(({ client, headers }) => `${client} ${headers['x-token']}`))],
      ['staging secret-of-ours'],
    );
    assert.ok(
      (await forwarder.metric('client_certificate_not_after_timestamp_seconds')) > Date.now() / 1_000,
    );
    // Whoever reaches the pod may read these two pages.
    const metrics = await (await fetch(`http://127.0.0.1:${forwarder.metricsPort}/metrics`)).text();
    const told = [JSON.stringify(forwarder.log), (await forwarder.ready()).text, metrics].join('\n');
    assert.doesNotMatch(told, /secret-of-ours|PRIVATE KEY/);
  } finally {
    await forwarder.stop('SIGKILL');
    await hub.close();
  }
});

test('what the hub refuses for good is printed to the byte while it runs, and sent once more', async () => {
  await withForwarder(async ({ hub, place, forwarder }) => {
    hub.answers((response, _request, lines) => {
      const refused = lines.flatMap((line, at) =>
        line.includes('"odd"') ? [{ line: at, outcome: 'refused', reason: 'falcosidekick refuses it' }] : [],
      );
      const counts = { accepted: lines.length - refused.length, duplicates: 0, later: 0 };
      response.end(JSON.stringify({ ...counts, refused: refused.length, lines: refused }));
    });
    const digits = '12345678901234567890';
    await send(forwarder.port, eventNamed('odd').replace('{', `{"n":${digits},`));
    const { reason } = await forwarder.says(/^the hub refuses events for good/);
    assert.equal(reason, 'falcosidekick refuses it');
    const run = (...flags: string[]) =>
      spawnSync(process.execPath, [program, 'forward', ...flags, '--spool', place.spool], {
        encoding: 'utf8',
      });
    await untilSo(async () => (await forwarder.metric('waiting_events')) === 0);
    const listed = run('--list-rejected').stdout;
    assert.ok(listed.includes(`"n":${digits},`), listed);
    const rejected = JSON.parse(listed);
    assert.deepEqual([rejected.reason, rejected.event.output_fields.name], [reason, 'odd']);
    assert.equal(await forwarder.metric('events_rejected_total'), 1);
    hub.answers(undefined);
    const { status, stderr } = run(
      '--send-rejected',
      '--host',
      '127.0.0.1',
      '--port',
      String(forwarder.port),
    );
    assert.deepEqual([status, stderr], [0, '1 events are sent again\n']);
    await hub.has(1);
    assert.equal(run('--list-rejected').stdout, '');
  });
});

describe('when it is asked to stop', () => {
  test('events are taken until nobody sends any, and what waits goes out', async () => {
    const hub = await plainHub();
    const place = makePlace(settingsOf({ address: hub.address }));
    const forwarder = await startForwarder(place, {
      flags: ['--drain-delay', '3s', '--grace-period', '60s'],
    });
    hub.answers((response) => response.writeHead(503).end());
    const answers: (number | undefined)[] = [await send(forwarder.port, eventNamed('before'))];
    const stopped = forwarder.stop();
    await forwarder.says('draining');
    assert.match((await forwarder.ready()).text, /^\[-\] forwarding: draining$/m);
    answers.push(await send(forwarder.port, eventNamed('while')));
    hub.answers(undefined);
    assert.equal(await stopped, 0);
    assert.deepEqual(answers, [200, 200]);
    assert.deepEqual([...hub.received.keys()].sort(), ['before', 'while']);
    assert.equal((await forwarder.says('stopped')).waiting, 0);
    await hub.close();
  });

  test('reports say who it is, what waits, and how many pods the webhook sees', async () => {
    const hub = await plainHub();
    const webhook = createHttpServer((_, response) => {
      const pods = '{namespace="falco",workload_kind="DaemonSet",state="federated"} 3';
      response.end(`falco_federation_pods_synced 1\nfalco_federation_pods${pods}\n`);
    }).listen(0, '127.0.0.1');
    await once(webhook, 'listening');
    const port = portOf(webhook);
    const flags = ['--webhook-metrics', `http://127.0.0.1:${port}/metrics`];
    const forwarder = await startForwarder(makePlace(settingsOf({ address: hub.address })), {
      ...{ flags, env: { POD_NAME: 'forwarder-7' } },
    });
    await send(forwarder.port, eventNamed('a'));
    await untilSo(async () => {
      await send(forwarder.port, eventNamed('b'));
      return hub.reports.at(-1)?.pods !== undefined;
    });
    const { version, waiting, ...others } = hub.reports.at(-1) ?? {};
    assert.deepEqual(others, { replica: 'forwarder-7', pods: { federated: 3 } });
    assert.match(`${version} ${JSON.stringify(waiting)}`, /^\d+\.\d+\.\d+ \{"events":\d+,"bytes":\d+/);
    await forwarder.stop('SIGKILL');
    webhook.close();
    await hub.close();
  });

  test('with the hub away, what waits goes to the other replica', async () => {
    const hub = await plainHub();
    hub.answers((response) => response.writeHead(503).end());
    const other = await startForwarder(makePlace(settingsOf({ address: hub.address })));
    const peer = `http://127.0.0.1:${other.port}`;
    const leaving = await startForwarder(makePlace(settingsOf({ address: hub.address, peer })));
    for (let at = 0; at < 50; at++) await send(leaving.port, eventNamed(`e${at}`));
    await leaving.says('the hub accepts no events; they wait');
    assert.equal(await leaving.stop(), 0);
    const { waiting, handedOver } = await leaving.says('stopped');
    assert.deepEqual([waiting, handedOver], [0, 50]);
    hub.answers(undefined);
    await hub.has(50);
    assert.deepEqual([...new Set(hub.received.values())], [1]);
    await other.stop('SIGKILL');
    await hub.close();
  });

  test('what nobody takes is there at the next start, also with a hub that hangs', async () => {
    const hub = await plainHub();
    const place = makePlace(settingsOf({ address: hub.address }));
    const first = await startForwarder(place, { flags: ['--grace-period', '1s'] });
    hub.answers(() => {});
    for (let at = 0; at < 5; at++) await send(first.port, eventNamed(`e${at}`));
    const from = performance.now();
    assert.equal(await first.stop(), 0);
    // Answers are waited for 30 s otherwise.
    assert.ok(performance.now() - from < 12_000);
    assert.equal((await first.says('stopped')).waiting, 5);
    hub.answers(undefined);
    const second = await startForwarder(place);
    await hub.has(5);
    await untilSo(async () => (await second.metric('waiting_events')) === 0);
    assert.equal(await second.stop('SIGINT'), 0);
    assert.deepEqual([...new Set(hub.received.values())], [1]);
    await hub.close();
  });
});

test('a spool that another forwarder has: not ready, said, and none of its events is touched', async () => {
  await withForwarder(async ({ hub, place, forwarder }) => {
    const second = await startForwarder(place);
    await second.says(/^the spool cannot be written/);
    const { status, text } = await second.ready();
    assert.equal(status, 503);
    assert.match(text, /^\[-\] spool: .*another forwarder uses this spool/m);
    assert.equal(await send(second.port, eventNamed('b')), 503);
    assert.equal(await send(forwarder.port, eventNamed('a')), 200);
    await hub.has(1);
    await second.stop('SIGKILL');
  });
});

test('a port that is taken: 1, with the flag to change', async () => {
  const other = createServer();
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  const port = portOf(other);
  const { settings, spool } = makePlace(settingsOf({ address: 'http://127.0.0.1:1/' }));
  const { status, stderr } = spawnSync(
    process.execPath,
    [
      ...[program, 'forward', '--settings', settings, '--spool', spool, '--host', '127.0.0.1'],
      ...['--port', String(port), '--health-port', '0', '--metrics-port', '0'],
    ],
    { encoding: 'utf8', timeout: 30_000 },
  );
  other.close();
  assert.equal(status, 1);
  assert.match(stderr, new RegExp(`port ${port} \\(--port\\): .*EADDRINUSE`));
});

test('settings without a hub: it says what is missing, and events wait', async () => {
  const place = makePlace('cluster: staging\n');
  const forwarder = await startForwarder(place);
  assert.equal(await send(forwarder.port, eventNamed('a')), 200);
  const { problem } = await forwarder.says('the hub accepts no events; they wait');
  assert.match(String(problem), /set hub\.address/);
  assert.equal(await forwarder.metric('waiting_events'), 1);
  await forwarder.stop('SIGKILL');
});
