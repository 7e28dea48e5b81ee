/** What must hold whatever happens: who is called is trusted, and in the end all agree. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { certificatesIn, namesMissing } from '../../src/certificates/certificate.ts';
import type { Files } from '../../src/certificates/pieces.ts';
import { makeServingCertificate } from '../../src/certificates/self-signed.ts';
import { isLong, rounds } from '../rounds.ts';
import { describe as describeCluster, SimulatedCluster } from './simulated-cluster.ts';

const day = 86_400_000;
const base = 'falco-federation-webhook.falco-federation.svc';
const keys = ['ca.crt', 'tls.crt', 'tls.key'] as const;

type Happening =
  | { readonly is: 'wait'; readonly seconds: number }
  /** In twentieths of a certificate's life. */
  | { readonly is: 'jump'; readonly twentieths: number }
  | { readonly is: 'delete' }
  | {
      readonly is: 'damage';
      readonly key: (typeof keys)[number];
      readonly how: 'drop' | 'garbage' | 'foreign';
    }
  /** The whole Secret, by another valid one or by an older one of its own. */
  | { readonly is: 'replace'; readonly by: 'foreign' | 'older' }
  | { readonly is: 'break bundle'; readonly by: '' | 'garbage' | 'foreign' }
  | { readonly is: 'kill'; readonly at: number }
  | { readonly is: 'add'; readonly minutes: number; readonly name: string }
  /** The API server for all, or the way to it for one. */
  | { readonly is: 'down'; readonly seconds: number }
  | { readonly is: 'cut off'; readonly at: number; readonly seconds: number };

const happening: fc.Arbitrary<Happening> = fc.oneof(
  fc.record({ is: fc.constant('wait'), seconds: fc.integer({ min: 1, max: 90 }) }),
  fc.record({ is: fc.constant('jump'), twentieths: fc.integer({ min: 1, max: 30 }) }),
  fc.record({ is: fc.constant('jump'), twentieths: fc.constant(170) }),
  fc.record({ is: fc.constant('delete') }),
  fc.record({
    is: fc.constant('damage'),
    key: fc.constantFrom(...keys),
    how: fc.constantFrom('drop', 'garbage', 'foreign'),
  }),
  fc.record({ is: fc.constant('replace'), by: fc.constantFrom('foreign', 'older') }),
  fc.record({ is: fc.constant('break bundle'), by: fc.constantFrom('', 'garbage', 'foreign') }),
  fc.record({ is: fc.constant('kill'), at: fc.nat(5) }),
  fc.record({
    is: fc.constant('add'),
    minutes: fc.integer({ min: -10, max: 10 }),
    name: fc.constantFrom(base, 'other.example'),
  }),
  fc.record({ is: fc.constant('cut off'), at: fc.nat(5), seconds: fc.integer({ min: 1, max: 200 }) }),
  fc.record({ is: fc.constant('down'), seconds: fc.integer({ min: 1, max: 100 }) }),
);

async function foreignFiles(now: number): Promise<Files> {
  const { ca, certificate, key } = await makeServingCertificate([base], 60 * day, now);
  return { 'ca.crt': ca, 'tls.crt': certificate, 'tls.key': key };
}

async function damage(cluster: SimulatedCluster, { key, how }: Extract<Happening, { is: 'damage' }>) {
  const { [key]: was = '', ...others } = cluster.secret?.files ?? {};
  if (how === 'drop') return cluster.setFiles(others);
  const bad = how === 'garbage' ? was.replace(/[A-Z]{3}/g, '???') : (await foreignFiles(cluster.time))[key];
  return cluster.setFiles({ ...others, [key]: bad ?? '' });
}

async function happen(cluster: SimulatedCluster, what: Happening, older: readonly Files[]): Promise<void> {
  switch (what.is) {
    case 'wait':
      return cluster.wait(what.seconds);
    case 'jump':
      // Long times are looked at now and then only: too seldom for what is mended within seconds.
      while (cluster.isMending || cluster.isSomeoneCutOff) await cluster.wait(5);
      return cluster.jump((what.twentieths * cluster.lifetime) / 20);
    case 'delete':
      return cluster.setFiles(undefined);
    case 'damage':
      return damage(cluster, what);
    case 'replace':
      return cluster.setFiles(what.by === 'older' ? older[0] : await foreignFiles(cluster.time));
    case 'break bundle':
      return cluster.breakBundle(
        what.by === 'foreign' ? ((await foreignFiles(cluster.time))['ca.crt'] ?? '') : what.by,
      );
    case 'kill':
      if (cluster.replicas.length > 1) cluster.killReplica(what.at);
      return;
    case 'add':
      if (cluster.replicas.length < 4) cluster.addReplica(what.minutes * 60_000, [base, what.name]);
      return;
    case 'cut off':
      for (const one of cluster.replicas.slice(what.at % cluster.replicas.length).slice(0, 1)) {
        one.cutOffUntil = cluster.time + what.seconds * 1_000;
      }
      return;
    case 'down':
      cluster.isDown = true;
      await cluster.wait(what.seconds);
      cluster.isDown = false;
  }
}

/** All serve what is stored, it is for their names, and what is stored is published before all else. */
function assertAgreed(cluster: SimulatedCluster): void {
  const { files = {} } = cluster.secret ?? {};
  const [leaf] = certificatesIn(files['tls.crt'] ?? '');
  assert.ok(leaf !== undefined);
  for (const { ready, served, names, problem } of cluster.replicas) {
    assert.ok(ready);
    assert.equal(problem(), undefined);
    assert.equal(served?.cert, files['tls.crt']);
    assert.deepEqual(namesMissing(leaf, names), []);
  }
  assert.ok(cluster.isTrusted(cluster.replicas[0]?.served, cluster.bundle));
  assert.ok(cluster.bundle.startsWith(files['ca.crt'] ?? '-'));
  const besides = certificatesIn(cluster.bundle.slice(files['ca.crt']?.length));
  assert.ok(besides.every(({ validToDate }) => validToDate.getTime() > cluster.time - 600_000));
}

/** Waits for a minute in which nobody writes; a renewal may just be due in one or two. */
async function isQuiet(cluster: SimulatedCluster): Promise<boolean> {
  for (let minutes = 0; minutes < 5; minutes++) {
    const { writes } = cluster;
    await cluster.wait(60);
    if (cluster.writes === writes) return true;
  }
  return false;
}

async function play(cluster: SimulatedCluster, happenings: readonly Happening[]): Promise<void> {
  const older: Files[] = [];
  for (const what of happenings) {
    await happen(cluster, what, older);
    if (cluster.secret !== undefined) older.push(cluster.secret.files);
    await cluster.wait(3);
  }
}

/** Three that serve the same, for a while already. */
async function settled(): Promise<SimulatedCluster> {
  const cluster = new SimulatedCluster(90 * day, { trouble: 0, seed: 1 });
  for (const minutes of [-10, 0, 10]) cluster.addReplica(minutes * 60_000, [base]);
  await cluster.wait(60);
  assertAgreed(cluster);
  return cluster;
}

describe('what happens to replicas that share certificates', () => {
  test('one that is cut off keeps its authority trusted until it is back and serves the new certificate', async () => {
    const cluster = await settled();
    const [cutOff] = cluster.replicas;
    assert.ok(cutOff !== undefined);
    cutOff.cutOffUntil = cluster.time + 600_000;
    const { served } = cutOff;
    cluster.setFiles(await foreignFiles(cluster.time));
    await cluster.wait(590);
    assert.equal(cutOff.served, served);
    assert.ok(cluster.isTrusted(served, cluster.bundle));
    assert.notEqual(cluster.replicas[1]?.served?.cert, served?.cert);
    await cluster.wait(200);
    assertAgreed(cluster);
    assert.deepEqual(cluster.untrusted, []);
  });

  test('a caBundle that is emptied is back within seconds', async () => {
    const cluster = await settled();
    cluster.breakBundle('');
    await cluster.wait(30);
    assert.ok(
      cluster.longestUntrusted > 0 && cluster.longestUntrusted <= 3_000,
      `${cluster.longestUntrusted}`,
    );
    assertAgreed(cluster);
  });

  test('Secret deleted while all that know it are gone: newcomers begin anew, beside what is published', async () => {
    const cluster = await settled();
    const before = cluster.bundle;
    cluster.setFiles(undefined);
    cluster.replicas = [];
    for (const minutes of [5, -5]) cluster.addReplica(minutes * 60_000, [base]);
    await cluster.wait(20);
    assert.ok(cluster.bundle.endsWith(before), 'the old authority stays trusted behind the new one');
    await cluster.wait(120);
    assertAgreed(cluster);
  });

  test('a year and more: authorities come and go, and nobody is untrusted for a moment', async () => {
    const cluster = await settled();
    const first = cluster.bundle;
    await cluster.jump(400 * day);
    await cluster.wait(120);
    assertAgreed(cluster);
    assert.ok(!cluster.bundle.includes(first));
    assert.deepEqual(cluster.untrusted, []);
    assert.ok(cluster.events.filter((event) => event.includes(' renewed: ')).length >= 5);
  });
});

describe('replicas that share certificates', () => {
  test('who is called is trusted, whatever happens, and after some quiet all agree', async () => {
    const seen = { longest: 0, kinds: new Set<string>() };
    await fc.assert(
      fc.asyncProperty(
        fc.array(happening, { maxLength: 12 }),
        fc.integer(),
        fc.constantFrom(0, 0.05, 0.3),
        fc.constantFrom(90 * day, day / 4),
        async (happenings, seed, trouble, lifetime) => {
          const cluster = new SimulatedCluster(lifetime, { trouble, seed });
          try {
            for (const minutes of [-10, 0, 10]) cluster.addReplica(minutes * 60_000, [base]);
            await cluster.wait(60);
            await play(cluster, happenings);
            cluster.trouble = 0;
            await cluster.wait(240);
            assert.ok(await isQuiet(cluster), 'some minute passes in which nobody writes');
            assert.deepEqual(cluster.untrusted.slice(0, 3), []);
            assertAgreed(cluster);
          } catch (error) {
            throw new Error(`${String(error)}\n${describeCluster(cluster)}`);
          }
          seen.longest = Math.max(seen.longest, cluster.longestUntrusted);
          for (const event of cluster.events) seen.kinds.add(event.split(' ')[2] ?? '');
        },
      ),
      rounds(5),
    );
    if (isLong) console.log(seen);
  });
});
