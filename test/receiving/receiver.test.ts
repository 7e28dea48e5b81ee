/** The hub's door: who may come, what an event is marked with, and what each answer of falcosidekick comes to. */
import assert from 'node:assert/strict';
import type { Agent } from 'node:https';
import type { Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeAuthority } from '../../src/certificates/issue.ts';
import { stateOf } from '../../src/receiving/fleet.ts';
import { until } from '../until.ts';
import { type Answer, line, type Stage, stage } from './stage.ts';

const counts = ({ status, text }: Answer) => {
  if (status !== 200) return { status, text };
  const { accepted, duplicates, refused, later } = JSON.parse(text);
  return { accepted, duplicates, refused, later };
};
const only = (what: Readonly<Record<string, number>>) => ({
  ...{ accepted: 0, duplicates: 0, refused: 0, later: 0 },
  ...what,
});

/** The agent's one connection, when it is free again. */
async function idle(agent: Agent): Promise<Socket> {
  const free = () => Object.values(agent.freeSockets).flat()[0];
  await until('a connection is free', () => free() !== undefined);
  return free() ?? assert.fail('no connection is free');
}

const gone = (socket: Socket) => until('the connection is closed', () => socket.destroyed);

describe('an event is from the cluster whose certificate brought it', () => {
  let hub: Stage;
  before(async () => {
    hub = await stage({
      spokes: { staging: {}, production: { labels: { env: 'prod', region: 'eu' }, tags: ['prod'] } },
    });
  });
  after(() => hub.close());

  const cases: readonly (readonly [name: string, from: string, event: object, expected: object])[] = [
    ['nothing of it', 'staging', {}, { fields: { env: 'staging' }, tags: ['staging'] }],
    [
      'what the settings have for it',
      'production',
      { tags: ['network'] },
      { fields: { env: 'prod', region: 'eu' }, tags: ['network', 'prod'] },
    ],
    [
      'another name, by field and tag',
      'staging',
      { output_fields: { env: 'prod', x: 1 }, tags: ['prod', 'production', 'obsrv', 'mitre'] },
      { fields: { x: 1, env: 'staging' }, tags: ['mitre', 'staging'] },
    ],
  ];
  for (const [name, from, event, { fields, tags }] of cases as readonly [
    string,
    string,
    object,
    { fields: object; tags: string[] },
  ][]) {
    test(`that says ${name}`, async () => {
      hub.falcosidekick.taken.length = 0;
      const answer = await hub.post(
        await hub.agentOf(from),
        line(`mark/${name.length}`, { output_fields: {}, ...event }),
      );
      assert.deepEqual(counts(answer), only({ accepted: 1 }));
      assert.deepEqual(hub.falcosidekick.taken[0]?.output_fields, fields);
      assert.deepEqual(hub.falcosidekick.taken[0]?.tags, tags);
    });
  }

  test('a claim is counted and told once', async () => {
    const agent = await hub.agentOf('staging');
    for (const at of [1, 2]) await hub.post(agent, line(`claim/${at}`, { tags: ['production'] }));
    const metrics = await hub.receiver.metrics.registry.metrics();
    assert.match(metrics, /receiver_events_claimed_total\{spoke="staging"\} 3$/m);
    assert.equal(hub.log.filter((one) => one.includes('of another cluster')).length, 1);
  });

  test('numbers keep their digits', async () => {
    const big = '"n":12345678901234567890';
    await hub.post(await hub.agentOf('staging'), line('digits').replace('"name":"digits"', big));
    assert.ok(hub.falcosidekick.texts.at(-1)?.includes(big));
  });

  for (const [name, more] of [
    ['fields twice', '"output_fields":{"env":"prod"},"output_fields":{"a":1}'],
    ['fields in another spelling', '"OUTPUT_FIELDS":{"env":"prod"}'],
    ['tags with a letter that Go takes for an s', '"tag\u017f":["prod"]'],
  ]) {
    test(`refused, as Go and we would not read the same: ${name}`, async () => {
      const event = `{"rule":"R","priority":"Notice","time":"2026-01-31T12:00:00Z",${more}}\n`;
      assert.deepEqual(counts(await hub.post(await hub.agentOf('staging'), event)), only({ refused: 1 }));
    });
  }

  test('who is not among the spokes: 403; without a certificate of the authority: no connection', async () => {
    const stranger = await hub.post(await hub.agentOf('staging-2'), line('a'));
    assert.equal(stranger.status, 403);
    assert.match(stranger.text, /staging-2 is not among receiver\.spokes/);
    const other = await makeAuthority(Date.now(), 86_400_000);
    await assert.rejects(async () => hub.post(await hub.agentOf('staging', other), line('a')));
  });

  test('a spoke taken out is shut out at once, open connections too, and let in again delivers', async () => {
    const agent = await hub.agentOf('staging');
    assert.deepEqual(counts(await hub.post(agent, line('out/1'))), only({ accepted: 1 }));
    const open = await idle(agent);
    hub.set({ spokes: { production: {} } });
    await gone(open);
    assert.equal((await hub.post(agent, line('out/2'))).status, 403);
    hub.set({ spokes: { staging: {}, production: {} } });
    assert.deepEqual(counts(await hub.post(agent, line('out/2'))), only({ accepted: 1 }));
  });

  test('another authority: connections of the former one go', async () => {
    const agent = await hub.agentOf('staging');
    await hub.post(agent, line('authority/1'));
    const open = await idle(agent);
    const other = await makeAuthority(Date.now(), 86_400_000);
    const credentials = (ca: string) => ({
      ...{ ca, headers: {} },
      client: { cert: hub.serving.certificate, key: hub.serving.key, notAfter: new Date() },
    });
    hub.receiver.useCredentials(credentials(other.certificate));
    await gone(open);
    await assert.rejects(async () => hub.post(await hub.agentOf('staging'), line('authority/2')));
    const both = `${other.certificate}\n${hub.authority.certificate}`;
    hub.receiver.useCredentials(credentials(both));
    assert.deepEqual(
      counts(await hub.post(await hub.agentOf('staging'), line('authority/2'))),
      only({ accepted: 1 }),
    );
  });
});

describe('what falcosidekick answers', () => {
  let hub: Stage;
  before(async () => {
    hub = await stage({}, { patience: 300 });
  });
  after(() => hub.close());

  test('200: accepted, and a key that comes again is a duplicate, also at the same time', async () => {
    const agent = await hub.agentOf('a');
    const body = line('k/1') + line('k/2') + line('k/1');
    assert.deepEqual(counts(await hub.post(agent, body)), only({ accepted: 2, duplicates: 1 }));
    assert.deepEqual(counts(await hub.post(agent, body)), only({ duplicates: 3 }));
    // Another spoke's keys are its own.
    assert.deepEqual(counts(await hub.post(await hub.agentOf('b'), line('k/1'))), only({ accepted: 1 }));
  });

  const answers: readonly (readonly [
    name: string,
    status: number,
    body: string,
    expected: 'refused' | 'later',
  ])[] = [
    ['its 400', 400, 'Please send a valid request body\n', 'refused'],
    ["somebody else's 400", 400, '<html>Bad Request</html>', 'later'],
    ['a sign-in page', 200, '<html>sign in</html>', 'later'],
    ['500', 500, '', 'later'],
    ['403', 403, '', 'later'],
  ];
  for (const [name, status, body, expected] of answers) {
    test(`${name}: ${expected}, and the others of the batch go their way`, async () => {
      hub.falcosidekick.answers = (response, _request, text) =>
        text.includes('bad') ? void response.writeHead(status).end(body) : void response.end();
      const agent = await hub.agentOf('a');
      const bad = line(`bad/${status}/${body.length}`);
      const answer = await hub.post(agent, line(`ok/${status}/${body.length}`) + bad);
      assert.deepEqual(counts(answer), only({ accepted: 1, [expected]: 1 }));
      assert.equal(JSON.parse(answer.text).lines[0].line, 1);
      hub.falcosidekick.answers = undefined;
      assert.deepEqual(counts(await hub.post(agent, bad)), only({ accepted: 1 }));
    });
  }

  test('nothing: lines come back for later, then 503 at once, and all goes on when it is there', async () => {
    const agent = await hub.agentOf('a');
    hub.falcosidekick.answers = (response) => response.destroy();
    let answer = await hub.post(agent, line('gone/0'));
    assert.deepEqual(counts(answer), only({ later: 1 }));
    await until('it says so', async () => {
      await hub.post(agent, line('gone/1'));
      return hub.receiver.checks().falcosidekick.detail.startsWith('accepts no events: ');
    });
    // One at a time tries; the other is not even looked at, whichever comes first.
    const agents = [agent, await hub.agentOf('a')];
    await until('one is told to come again', async () => {
      const both = await Promise.all(agents.map((one, at) => hub.post(one, line(`gone/${9 + at}`))));
      return both.some(({ status, retryAfter }) => status === 503 && retryAfter === '1');
    });
    hub.falcosidekick.answers = undefined;
    await until('it is taken', async () => {
      answer = await hub.post(agent, line('gone/0'));
      return answer.status === 200 && JSON.parse(answer.text).accepted === 1;
    });
    assert.deepEqual(counts(answer), only({ accepted: 1 }));
    assert.match(hub.receiver.checks().falcosidekick.detail, /^ok/);
  });
});

test('held back while falcosidekick has 200 in memory; what does not get its turn comes back', async (t) => {
  const hub = await stage({}, { patience: 4_000 });
  t.after(() => hub.close());
  const { falcosidekick } = hub;
  falcosidekick.goroutines = () => 7 + falcosidekick.taken.length;
  const agent = await hub.agentOf('a');
  const many = Array.from({ length: 600 }, (_, at) => line(`m/${at}`)).join('');
  const { accepted, later } = JSON.parse((await hub.post(agent, many)).text);
  assert.equal(accepted + later, 600);
  // What is on its way while the gauge is read goes on top of the 200.
  assert.ok(accepted > 150 && accepted <= 400, String(accepted));
  assert.match(hub.receiver.checks().falcosidekick.detail, /held back/);
  // It has brought all of them to its outputs.
  falcosidekick.goroutines = () => 7;
  assert.ok(JSON.parse((await hub.post(agent, many)).text).accepted > 150);
});

test('where its metrics cannot be read: a few at once, and said', async (t) => {
  const hub = await stage();
  t.after(() => hub.close());
  hub.falcosidekick.goroutines = undefined;
  hub.falcosidekick.answers = (response) => void setTimeout(() => response.end(), 5);
  const many = Array.from({ length: 100 }, (_, at) => line(`m/${at}`)).join('');
  assert.deepEqual(counts(await hub.post(await hub.agentOf('a'), many)), only({ accepted: 100 }));
  assert.ok(hub.falcosidekick.mostAtOnce <= 4, String(hub.falcosidekick.mostAtOnce));
  assert.match(hub.receiver.checks().falcosidekick.detail, /its metrics cannot be read/);
});

test('spokes take turns, and the highest priority of each comes first', async (t) => {
  const hub = await stage({}, { patience: 30_000 });
  t.after(() => hub.close());
  const order: string[] = [];
  hub.falcosidekick.goroutines = undefined;
  hub.falcosidekick.answers = (response, _request, text) => {
    order.push(JSON.parse(text).output_fields.name);
    setTimeout(() => response.end(), 2);
  };
  const batchOf = (name: string, count: number, priority = 'Notice') =>
    Array.from({ length: count }, (_, at) => line(`${name}/${at}`, { priority })).join('');
  const large = hub.post(
    await hub.agentOf('large'),
    batchOf('large', 400) + batchOf('urgent', 1, 'Emergency'),
  );
  while (order.length === 0) await sleep(1);
  const small = hub.post(await hub.agentOf('small'), batchOf('small', 50));
  await Promise.all([large, small]);
  assert.ok(order.indexOf('urgent/0') < 10, String(order.indexOf('urgent/0')));
  const lastOfSmall = order.lastIndexOf('small/49');
  assert.ok(lastOfSmall < 200, `a spoke with 50 events waits for one with 400: ${lastOfSmall}`);
});

test('reports: what waits, versions and pods of each spoke, and who has never come', async (t) => {
  const hub = await stage({ spokes: { staging: {}, silent: {} } });
  t.after(() => hub.close());
  const agent = await hub.agentOf('staging');
  const report = (replica: string, events: number) =>
    JSON.stringify({
      ...{ version: '0.1.0', replica, waiting: { events, bytes: 10, oldest: '2026-01-31T12:00:00.000Z' } },
      pods: { federated: 3, stale: 1 },
    });
  for (const [replica, events] of [
    ['forwarder-0', 5],
    ['forwarder-1', 2],
    ['forwarder-0', 4],
  ] as const)
    assert.deepEqual(
      counts(await hub.post(agent, '', { 'falco-federation-report': report(replica, events) })),
      only({}),
    );
  await hub.post(agent, '', { 'falco-federation-report': '{"version": 1' });
  const [silent, staging] = hub.receiver.fleet.heard().map(stateOf);
  assert.deepEqual([silent?.spoke, silent?.reported], ['silent', undefined]);
  assert.deepEqual(
    [staging?.waiting, staging?.versions, staging?.pods],
    [{ events: 6, bytes: 20 }, ['0.1.0'], { federated: 3, stale: 1 }],
  );
  const metrics = await hub.receiver.metrics.registry.metrics();
  for (const sample of [
    /spoke_last_report_timestamp_seconds\{spoke="silent"\} 0$/m,
    /spoke_waiting_events\{spoke="staging",forwarder="forwarder-0"\} 4$/m,
    /spoke_pods\{spoke="staging",state="stale"\} 1$/m,
    /spoke_info\{spoke="staging",version="0\.1\.0"\} 1$/m,
  ])
    assert.match(metrics, sample);
});
