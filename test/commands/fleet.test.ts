/** `falco-federation fleet`: what replicas of the receiver have heard becomes one table. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { showFleet } from '../../src/commands/fleet.ts';
import { Fleet, type SpokeReports } from '../../src/receiving/fleet.ts';
import { pretendCluster } from '../checks/pretend-cluster.ts';
import { runCommand } from './run-command.ts';

const names = ['falco-federation-receiver-a', 'falco-federation-receiver-b'];

function receiverPod(name: string) {
  const ports = [{ name: 'metrics', containerPort: 9090 }];
  return { metadata: { name }, spec: { containers: [{ name: 'receiver', ports }] } };
}

/** @param heard by each replica; undefined: it does not answer */
async function show(heard: readonly (readonly SpokeReports[] | undefined)[], asJson = false) {
  const pages = heard.flatMap((spokes, at) =>
    spokes === undefined ? [] : [[`${names[at]} 9090/fleet`, JSON.stringify({ spokes })]],
  );
  const [out, errors]: [string[], string[]] = [[], []];
  const view = pretendCluster({
    settings: 'cluster: obsrv\nrole: hub\n',
    ours: heard.map((_, at) => receiverPod(names[at] ?? '')),
    pages: Object.fromEntries(pages),
  });
  const status = await showFleet(view, asJson, {
    stdin: Readable.from([]),
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => errors.push(text) },
    env: {},
  });
  return { status, out: out.join(''), errors: errors.join('') };
}

const now = Date.now();

/** What a replica has heard: of each forwarder, how long ago and how many events wait. */
function heard(forwarders: Readonly<Record<string, readonly [number, number]>>, spokes = ['staging']) {
  const fleet = new Fleet(() => spokes);
  for (const [replica, [ago, events]] of Object.entries(forwarders)) {
    const oldest = events === 0 ? {} : { oldest: new Date(now - 240_500).toISOString() };
    const pods = { federated: 3, stale: 1, not_federated: 1, skipped: 7 };
    const report = { version: '0.1.0', replica, waiting: { events, bytes: events * 10, ...oldest }, pods };
    fleet.reported('staging', report, now - ago);
    fleet.connected('staging', Date.parse('2037-01-02T00:00:00Z'));
  }
  return fleet.heard();
}

describe('fleet', () => {
  test('of each forwarder the newest report counts, whichever replica has it; forwarders add up', async () => {
    const { status, out } = await show([
      heard({ 'f-0': [5_000, 2], 'f-1': [200_000, 900] }),
      heard({ 'f-0': [100_000, 500], 'f-1': [3_000, 40] }),
    ]);
    assert.equal(status, 0);
    const [head, row, ...rest] = out.trimEnd().split('\n');
    assert.match(head ?? '', /^ {2}SPOKE +REPORTED +WAITING +OLDEST +VERSION +FEDERATED +CERTIFICATE UNTIL$/);
    assert.match(row ?? '', /^✓ staging +\d+s ago +42 +4m +0\.1\.0 +4\/5 +2037-01-02$/);
    assert.deepEqual(rest, []);
  });

  test('one that is silent, and one of which nothing was ever heard, are marked, and the status is 1', async () => {
    const { status, out } = await show([heard({ 'f-0': [400_000, 0] }, ['staging', 'production'])]);
    assert.equal(status, 1);
    assert.match(out, /^✗ production +no +- +- +- +- +-$/m);
    assert.match(out, /^✗ staging +6m ago +0 +- /m);
  });

  test('a forwarder that has gone for a quarter of an hour does not count', async () => {
    const { out } = await show([heard({ 'f-0': [1_000, 1], 'f-1': [950_000, 70] })]);
    assert.match(out, /^✓ staging +\d+s ago +1 /m);
  });

  test('as JSON', async () => {
    const { status, out } = await show([heard({ 'f-0': [1_000, 2] }, ['staging', 'new'])], true);
    assert.equal(status, 1);
    const [unheard, staging] = JSON.parse(out).spokes;
    assert.deepEqual(unheard, {
      ...{ spoke: 'new', silent: true, versions: [], waiting: { events: 0, bytes: 0 } },
    });
    assert.deepEqual(
      [staging.silent, staging.reported, staging.certificateUntil, staging.pods.stale],
      [false, new Date(now - 1_000).toISOString(), '2037-01-02T00:00:00.000Z', 1],
    );
  });

  test('a replica that cannot be asked is told, and what the other one knows is shown', async () => {
    const { status, out, errors } = await show([heard({ 'f-0': [1_000, 2] }), undefined]);
    assert.equal(status, 1);
    assert.match(out, /^✓ staging/m);
    assert.match(errors, /fleet: falco-federation-receiver-b cannot be asked: /);
    const none = await show([undefined, undefined]);
    assert.deepEqual([none.status, none.out], [1, '']);
  });

  test('a cluster without a receiver is not the hub', async () => {
    await assert.rejects(show([]), /no receiver runs in namespace falco-federation .*--context/);
  });

  test('help, wrong use', async () => {
    assert.match((await runCommand(['fleet', '--help'])).stdout, /^Usage: falco-federation fleet/);
    assert.equal((await runCommand(['fleet', '--output', 'yaml'])).status, 2);
  });

  test('a spoke that gives its forwarders ever new names costs 32 reports', () => {
    const many = Array.from({ length: 100 }, (_, at) => [`f-${at}`, [0, 1]] as const);
    assert.equal(heard(Object.fromEntries(many))[0]?.reports.length, 32);
  });
});
