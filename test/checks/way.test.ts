/** The way of an alert from a forwarder on: the hub, its receiver, and a test event that goes through. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Check } from '../../src/checks/check.ts';
import { forwarder, hubOfSpoke } from '../../src/checks/forwarder.ts';
import { receiver } from '../../src/checks/receiver.ts';
import { testEvent } from '../../src/checks/test-event.ts';
import { Fleet } from '../../src/receiving/fleet.ts';
import { type Pretended, podNamed, pretendCluster } from './pretend-cluster.ts';

const spoke = 'cluster: staging\nhub: {address: "https://hub.corp.net"}\n';
const onHub = 'cluster: obsrv\nrole: hub\nreceiver: {falcosidekick: "http://falcosidekick.falco:2801"}\n';

async function told(check: Check, cluster: Pretended): Promise<readonly string[]> {
  const lines = await check.look(pretendCluster(cluster));
  return lines.map(({ mark, text, why }) => [mark, text, why].filter(Boolean).join(' | '));
}

describe("a spoke's hub, as its forwarder finds it", () => {
  const name = 'falco-federation-forwarder-0';
  const linesWith = (detail: string) => {
    const pages = { [`${name} 8080/readyz`]: `[+] hub: ${detail}\n`, [`${name} 9090/metrics`]: '' };
    return told(hubOfSpoke, { settings: spoke, ours: [podNamed(name)], pages });
  };

  for (const [detail, line] of [
    ['ok', /^ok .* accepts events$/],
    ['ok; 3 events go again in 2 s', /^ok /],
    [
      'has accepted no events since T: getaddrinfo ENOTFOUND hub.corp.net',
      /^error .* its name cannot be resolved/,
    ],
    [
      'has accepted no events since T: the hub answers 403: see the certificate',
      /^error .* does not authorize this cluster/,
    ],
    ['has accepted no events since T: the hub answers 503', /^error .* its falcosidekick is away or full/],
    [
      'has accepted no events since T: the hub answers 200, and not as a receiver does',
      /^error .* not a receiver/,
    ],
    ['has accepted no events since T: connect ECONNREFUSED', /^error .* cannot be reached/],
  ] as const) {
    test(detail, async () => {
      const [found, ...more] = await linesWith(detail);
      assert.match(found ?? '', line);
      assert.deepEqual(more, []);
    });
  }
});

test('no Secret with the credentials of the forwarder: that, and how to make it', async () => {
  const lines = await forwarder.look(pretendCluster({ settings: spoke }));
  const line = lines.find(({ check }) => check === 'forwarder_credentials');
  assert.equal(line?.mark, 'error');
  assert.match(
    line?.fix ?? '',
    /^falco-federation certs spoke staging --namespace falco-federation && kubectl .* apply -f certs/,
  );
  const there = await told(forwarder, { settings: spoke, secrets: { 'falco-federation-hub': {} } });
  assert.ok(there.every((one) => !one.includes('Secret')));
});

describe('a test event', () => {
  const name = 'falco-federation-forwarder-0';

  interface Counts {
    readonly delivered?: number;
    readonly rejected?: number;
    readonly waiting?: number;
    readonly oldest?: number;
  }
  const page = ({ delivered = 0, rejected = 0, waiting = 0, oldest = 0 }: Counts): string =>
    [
      `falco_federation_forwarder_events_delivered_total ${delivered}`,
      `falco_federation_forwarder_events_rejected_total ${rejected}`,
      `falco_federation_forwarder_waiting_events ${waiting}`,
      `falco_federation_forwarder_oldest_waiting_seconds ${oldest}`,
      '',
    ].join('\n');

  /** @param answers statuses of the posts, the last one for ever */
  async function lineAfter(before: Counts, then: Counts, answers: readonly number[] = [200]) {
    let [posts, status] = [0, 0];
    const pages = {
      get [`${name} 9090/metrics`]() {
        return page(status === 200 ? then : before);
      },
    };
    const lines = await told(testEvent, {
      ...{ settings: spoke, ours: [podNamed(name)], pages },
      postToPod: async (_, pod, port, path) => {
        assert.deepEqual([pod, port, path], [name, '8080', 'test']);
        status = answers[Math.min(posts++, answers.length - 1)] ?? 0;
        return { status, text: status === 200 ? 'accepted\n' : 'not on disk\n' };
      },
    });
    assert.equal(lines.length, 1);
    return lines[0] ?? '';
  }

  test('arrives', async () => {
    assert.match(await lineAfter({ delivered: 4 }, { delivered: 5 }), /^ok .* went to the hub/);
    assert.match(await lineAfter({}, { delivered: 9, waiting: 3, oldest: 0 }), /^ok/, 'younger ones wait');
    assert.match(await lineAfter({}, { delivered: 1 }, [429, 200]), /^ok/, 'after that of somebody else');
  });

  test('waits, is refused, or is not kept', async () => {
    assert.match(
      await lineAfter({ delivered: 4 }, { delivered: 4, waiting: 8, oldest: 90 }),
      /^error .* within 10 s, and waits at the forwarder; 7 more wait with it$/,
    );
    assert.match(
      await lineAfter({}, { delivered: 7, waiting: 8, oldest: 90 }),
      /^error/,
      'what arrives is older, and not it',
    );
    assert.match(await lineAfter({ rejected: 1 }, { rejected: 2 }), /^error .* it was refused by the hub/);
    assert.match(await lineAfter({}, {}, [503]), /^error .* does not keep it: 503 not on disk$/);
  });

  test('cannot be sent: a warning, as the way may be open', async () => {
    const [line] = await told(testEvent, { settings: spoke, ours: [podNamed(name)] });
    assert.match(line ?? '', /^warning .* cannot be sent through the API server/);
  });

  test('is for spokes with a hub', async () => {
    assert.deepEqual(await told(testEvent, { settings: onHub }), []);
  });
});

describe("a hub's receiver", () => {
  const name = 'falco-federation-receiver';
  const deployment = {
    metadata: { name, namespace: 'falco-federation' },
    spec: { replicas: 1, template: { spec: { containers: [{ name: 'receiver' }] } } },
    status: { replicas: 1, updatedReplicas: 1 },
  };
  const until = (days: number): number => Math.floor(Date.now() / 1000) + days * 86_400;
  /** @param heard by each replica: by spoke, how many seconds ago */
  const linesWith = (conditions: string, days = 90, heard: readonly Record<string, number>[] = [{}]) =>
    told(receiver, {
      settings: onHub,
      secrets: { 'falco-federation-hub-tls': {} },
      workloads: { Deployment: [deployment] },
      ours: heard.map((_, at) => podNamed(`${name}-${at}`)),
      endpoints: { [name]: 1 },
      pages: Object.fromEntries(
        heard.flatMap((spokes, at) => [
          [`${name}-${at} 8080/readyz`, conditions],
          [
            `${name}-${at} 9090/metrics`,
            `falco_federation_receiver_certificate_not_after_timestamp_seconds ${until(days)}\n`,
          ],
          [`${name}-${at} 9090/fleet`, fleetOf(spokes)],
        ]),
      ),
    });
  const fleetOf = (spokes: Record<string, number>): string => {
    const fleet = new Fleet(() => ['staging', 'production']);
    if (Object.keys(spokes).length === 0) return JSON.stringify({ spokes: [] });
    const report = { version: '0.1.0', replica: 'f-0', waiting: { events: 0, bytes: 0 } };
    for (const [spoke, ago] of Object.entries(spokes)) fleet.reported(spoke, report, Date.now() - ago * 1000);
    return JSON.stringify({ spokes: fleet.heard() });
  };
  const all = { staging: 1, production: 1 };
  const well = '[+] credentials: ok\n[+] falcosidekick: ok\n';

  test('all is well', async () => {
    const lines = await linesWith(well, 90, [all]);
    assert.equal(lines.length, 5);
    assert.ok(
      lines.every((line) => line.startsWith('ok ')),
      lines.join('\n'),
    );
  });

  for (const [about, conditions, days, line] of [
    [
      'no certificate',
      well.replace('credentials: ok', 'credentials: refused: x'),
      90,
      /^error .* refused: x$/,
    ],
    [
      'falcosidekick away',
      well.replace('kick: ok', 'kick: accepts no events: x'),
      90,
      /^error .* accepts no events: x$/,
    ],
    [
      'falcosidekick slow',
      well.replace('kick: ok', 'kick: ok; held back for 9 s'),
      90,
      /^warning .* held back for 9 s$/,
    ],
    ['an end that is near', well, 3, /^warning .* it expires in [23] days$/],
    ['an end that is past', well, -1, /^error .* it has expired/],
  ] as const) {
    test(about, async () => {
      const wrong = (await linesWith(conditions, days, [all])).filter((one) => !one.startsWith('ok '));
      assert.equal(wrong.length, 1, wrong.join('\n'));
      assert.match(wrong[0] ?? '', line);
    });
  }

  test('a spoke is silent where no replica has heard of it', async () => {
    const spokes = async (heard: readonly Record<string, number>[]) =>
      (await linesWith(well, 90, heard)).filter((line) => line.includes(' report'));
    assert.deepEqual(await spokes([{ staging: 3 }, { production: 4, staging: 900 }]), [
      'ok | 2 spokes report',
    ]);
    assert.match(
      (await spokes([{ staging: 3 }, { staging: 4, production: 900 }])).join('\n'),
      /^warning \| 1 spoke reports \| no report for five minutes from production$/,
    );
    assert.deepEqual(await spokes([{}]), ['warning | 0 spokes report | none has reported yet']);
  });

  test('is not there, or not in the settings', async () => {
    assert.match((await told(receiver, { settings: onHub }))[0] ?? '', /^error .* no Deployment falco-fed/);
    const without = 'cluster: obsrv\nrole: hub\n';
    assert.match((await told(receiver, { settings: without }))[0] ?? '', /^warning .* have no receiver/);
    assert.deepEqual(await told(receiver, { settings: spoke }), []);
  });
});
