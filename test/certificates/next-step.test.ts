/** The table of `next-step.ts`, row by row. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { carryOut } from '../../src/certificates/carry-out.ts';
import { certificatesIn, fingerprintOf, isIssuedBy, namesOf } from '../../src/certificates/certificate.ts';
import { makeAuthority, makeServing } from '../../src/certificates/issue.ts';
import { bundleToPublish, nextStep, type Situation, settlingTime } from '../../src/certificates/next-step.ts';
import type { Files } from '../../src/certificates/pieces.ts';

const [hour, day] = [3_600_000, 86_400_000];
const lifetimes = { authority: 1095 * day, leaf: 90 * day };
const settling = settlingTime(lifetimes);
const start = Date.UTC(2030, 0, 1);
const names = ['webhook.svc', '10.0.0.1', '::1'];

const quiet: Omit<Situation, 'stored'> = {
  ...{ remembered: undefined, published: '', publishedFor: () => 0 },
  ...{ now: start, names, lifetimes },
};

/** What becomes of the files in a situation: the step taken, and the files after it. */
async function after(stored: Files | undefined, more: Partial<Situation> = {}) {
  const situation = { ...quiet, ...more, stored };
  const step = nextStep(situation);
  const files = step.kind === 'keep' ? (stored ?? {}) : await carryOut(step.plan, lifetimes, situation.now);
  return {
    step: step.kind === 'keep' ? 'keep' : step.why,
    until: step.kind === 'keep' ? step.until : 0,
    files,
  };
}

function parts(files: Files) {
  const authorities = certificatesIn(files['ca.crt'] ?? '');
  const [leaf] = certificatesIn(files['tls.crt'] ?? '');
  assert.ok(leaf !== undefined);
  return { authorities, leaf, issuer: authorities.findIndex((one) => isIssuedBy(leaf, one)) };
}

/** When an authority made at the start is due. */
const later = start + 731 * day;

/** Another serving certificate by the authority that is stored. */
async function anotherLeaf(stored: Files, now: number): Promise<Files> {
  const [newest = ''] = certificatesIn(stored['ca.crt'] ?? '').map(String);
  const leaf = await makeServing(
    { certificate: newest, key: stored['ca.key'] ?? '' },
    names,
    now,
    lifetimes.leaf,
  );
  return { ...stored, 'tls.crt': leaf.certificate, 'tls.key': leaf.key };
}

const steady = (await after(undefined)).files;
const introduced = (await after(await anotherLeaf(steady, later), { now: later })).files;
const switched = (await after(introduced, { now: later, publishedFor: () => settling })).files;

describe('missing', () => {
  test('an authority and a certificate for the names are made', async () => {
    const { step, files } = await after(undefined);
    assert.equal(step, 'made');
    const { authorities, leaf } = parts(files);
    assert.deepEqual(namesOf(leaf), names);
    assert.equal(authorities.length, 1);
    assert.ok(leaf.validToDate <= (authorities[0]?.validToDate ?? 0));
  });

  test('what a replica remembers is put back as it was', async () => {
    const { step, files } = await after(undefined, { remembered: steady });
    assert.deepEqual([step, files], ['restored', steady]);
  });

  test('published authorities of ours stay trusted behind the new one; others and expired ones do not', async () => {
    const [expired, valid] = [await makeAuthority(start - 9 * day, day), await makeAuthority(start, day)];
    const published = `${expired.certificate}${valid.certificate}${steady['tls.crt']}junk`;
    const { files } = await after(undefined, { published });
    assert.equal(parts(files).authorities.length, 2);
    assert.equal(parts(files).authorities[1]?.toString(), valid.certificate);
    assert.equal(parts(files).issuer, 0);
  });
});

describe('damaged', () => {
  for (const key of ['ca.crt', 'ca.key', 'tls.crt', 'tls.key']) {
    for (const [how, value] of [
      ['missing', undefined],
      ['garbage', 'garbage'],
    ] as const) {
      test(`${key} ${how}: the one that is remembered is put back`, async () => {
        const { [key]: _, ...others } = steady;
        const stored = value === undefined ? others : { ...others, [key]: value };
        const { step, files } = await after(stored, { remembered: steady });
        assert.deepEqual([step, files], ['repaired', steady]);
      });
    }
  }

  test('nobody remembers: all is made anew, and what is stored or published of ours stays trusted', async () => {
    for (const [key, published] of [
      ['ca.key', ''],
      ['tls.key', ''],
      ['ca.crt', steady['ca.crt'] ?? ''],
    ] as const) {
      const { step, files } = await after({ ...steady, [key]: '' }, { published });
      assert.equal(step, 'repaired');
      const { authorities, issuer } = parts(files);
      assert.deepEqual([authorities.length, issuer, authorities[1]?.toString()], [2, 0, steady['ca.crt']]);
    }
  });

  test('an expired certificate is replaced; one from a wrong clock, years ahead, too', async () => {
    for (const now of [start + 91 * day, start - 400 * day]) {
      const { step, files } = await after(steady, { now });
      assert.equal(step, 'repaired');
      assert.ok(parts(files).leaf.validFromDate.getTime() === now - hour);
    }
  });

  test('one that begins within the hour is of a clock that is ahead, and good', async () => {
    assert.equal((await after(steady, { now: start - 1.9 * hour })).step, 'keep');
  });

  test('other data of the Secret is nobody’s damage', async () => {
    assert.equal((await after({ ...steady, note: 'mine' })).step, 'keep');
  });
});

describe('steady', () => {
  test('is kept until two thirds of the certificate’s life, then another is made by the same authority', async () => {
    const { step, until } = await after(steady);
    assert.deepEqual([step, until], ['keep', start + 60 * day]);
    assert.equal((await after(steady, { now: start + 60 * day - 1 })).step, 'keep');
    const { step: next, files } = await after(steady, { now: start + 60 * day });
    assert.deepEqual([next, files['ca.crt']], ['renewed', steady['ca.crt']]);
    assert.equal(parts(files).leaf.validToDate.getTime(), start + 150 * day);
  });

  test('lifetimes that are shorter now count for what was made before', async () => {
    const shorter = { authority: 30 * day, leaf: 9 * day };
    const on = (days: number) => after(steady, { lifetimes: shorter, now: start + days * day });
    assert.deepEqual([(await on(5)).step, (await on(5)).until], ['keep', start + 6 * day]);
    assert.equal((await on(6)).step, 'renewed');
    assert.equal((await on(20)).step, 'authority_introduced');
  });

  test('a missing name: a certificate for old and wanted names, which neither side changes again', async () => {
    const { step, files } = await after(steady, { names: ['new.svc', '::1'] });
    assert.equal(step, 'renewed');
    assert.deepEqual(new Set(namesOf(parts(files).leaf)), new Set(['new.svc', ...names]));
    for (const wanted of [names, ['new.svc', '::1']]) {
      assert.equal((await after(files, { names: wanted })).step, 'keep');
    }
  });

  test('an authority at two thirds of its life: another comes in front, the certificate stays', async () => {
    const { authorities, issuer } = parts(introduced);
    assert.deepEqual([authorities.length, issuer], [2, 1]);
    assert.equal(authorities[1]?.toString(), steady['ca.crt']);
    const stored = await anotherLeaf(steady, start + 729 * day);
    assert.equal((await after(stored, { now: start + 729 * day })).step, 'keep');
    const { step, files } = await after(stored, { now: start + 730 * day });
    assert.deepEqual([step, files['tls.crt']], ['authority_introduced', stored['tls.crt']]);
  });

  test('a certificate that would outlive its authority: another authority first', async () => {
    const authority = await makeAuthority(start, 130 * day);
    const leaf = await makeServing(authority, names, start, lifetimes.leaf);
    const stored = {
      ...{ 'ca.crt': authority.certificate, 'ca.key': authority.key },
      ...{ 'tls.crt': leaf.certificate, 'tls.key': leaf.key },
    };
    assert.equal((await after(stored, { now: start + 60 * day })).step, 'authority_introduced');
  });
});

describe('introduced', () => {
  test('waits until the new authority was published for the settling time, then switches', async () => {
    const newest = fingerprintOf(parts(introduced).authorities[0] ?? assert.fail());
    const publishedFor = (ms: number) => (authority: string) => (authority === newest ? ms : 0);
    const early = await after(introduced, { now: later, publishedFor: publishedFor(settling - 10) });
    assert.deepEqual([early.step, early.until], ['keep', later + 10]);
    const { step, files } = await after(introduced, { now: later, publishedFor: publishedFor(settling) });
    assert.deepEqual([step, files['ca.crt'], parts(files).issuer], ['switched', introduced['ca.crt'], 0]);
  });

  test('does not wait any more when the certificate is at nine tenths of its life', async () => {
    assert.equal((await after(introduced, { now: later + 80.9 * day })).step, 'keep');
    assert.equal((await after(introduced, { now: later + 81 * day })).step, 'switched');
  });
});

describe('switched', () => {
  test('the old authority stays trusted until it expires', async () => {
    const now = start + 1096 * day;
    const [newest = '', older = ''] = certificatesIn(switched['ca.crt'] ?? '').map(String);
    const stored = await anotherLeaf(switched, now - day);
    const { step, files } = await after(stored, { now });
    assert.deepEqual([step, files['ca.crt']], ['pruned', newest]);
    assert.ok(!files['ca.crt']?.includes(older));
  });
});

describe('the caBundle', () => {
  test('is ca.crt; what is published besides of ours stays while it is valid', async () => {
    const other = await makeAuthority(start, 900 * day);
    const published = `${other.certificate}${steady['tls.crt']}`;
    const at = { stored: steady, now: start };
    assert.equal(bundleToPublish({ ...at, published: '' }), steady['ca.crt']);
    assert.equal(bundleToPublish({ ...at, published }), `${steady['ca.crt']}${other.certificate}`);
    assert.equal(
      bundleToPublish({ ...at, published, now: start + 901 * day }),
      steady['ca.crt'],
      'what expired is not kept',
    );
    const many = await Promise.all(Array.from({ length: 8 }, () => makeAuthority(start, 900 * day)));
    const crowded = bundleToPublish({
      ...at,
      published: many.map(({ certificate }) => certificate).join(''),
    });
    assert.equal(certificatesIn(crowded).length, 6, 'five of those whose keys are gone');
  });
});
