/** The table of `next-step.ts`, row by row. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { certificatesIn, isIssuedBy, namesOf, pemOf } from '../../src/certificates/certificate.ts';
import { makeAuthority } from '../../src/certificates/issue.ts';
import { bundleToPublish, nextStep, type Situation } from '../../src/certificates/next-step.ts';
import type { Files } from '../../src/certificates/pieces.ts';
import { makeServingCertificate } from '../../src/certificates/self-signed.ts';

const [hour, day] = [3_600_000, 86_400_000];
const start = Date.UTC(2030, 0, 1);
const names = ['webhook.svc', '10.0.0.1', '::1'];

const quiet: Omit<Situation, 'stored'> = {
  remembered: undefined,
  published: '',
  now: start,
  names,
  lifetime: 90 * day,
};

async function made(wanted: readonly string[], now: number, behind = ''): Promise<Files> {
  const { ca, certificate, key } = await makeServingCertificate(wanted, 90 * day, now);
  return { 'ca.crt': ca + behind, 'tls.crt': certificate, 'tls.key': key };
}

/** What becomes of the files in a situation: the step taken, and the files after it. */
async function after(stored: Files | undefined, more: Partial<Situation> = {}) {
  const situation = { ...quiet, ...more, stored };
  const step = nextStep(situation);
  if (step.kind === 'keep') return { step: 'keep', until: step.until, files: stored ?? {} };
  const { serving } = step;
  const behind = pemOf(step.authorities);
  const files =
    'names' in serving
      ? await made(serving.names, situation.now, behind)
      : { 'ca.crt': behind, 'tls.crt': serving.cert, 'tls.key': serving.key };
  return { step: step.why, until: 0, files };
}

function parts(files: Files) {
  const authorities = certificatesIn(files['ca.crt'] ?? '');
  const [leaf] = certificatesIn(files['tls.crt'] ?? '');
  assert.ok(leaf !== undefined);
  return { authorities, leaf, issuer: authorities.findIndex((one) => isIssuedBy(leaf, one)) };
}

const steady = await made(names, start);

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
  for (const key of ['ca.crt', 'tls.crt', 'tls.key']) {
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
      ['tls.crt', ''],
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
  test('is kept until two thirds of the certificate’s life, then another is made, the old authority behind its own', async () => {
    const { step, until } = await after(steady);
    assert.deepEqual([step, until], ['keep', start + 60 * day]);
    assert.equal((await after(steady, { now: start + 60 * day - 1 })).step, 'keep');
    const { step: next, files } = await after(steady, { now: start + 60 * day });
    const { authorities, issuer, leaf } = parts(files);
    assert.deepEqual(
      [next, authorities.length, issuer, authorities[1]?.toString()],
      ['renewed', 2, 0, steady['ca.crt']],
    );
    assert.equal(leaf.validToDate.getTime(), start + 150 * day);
    const { files: third } = await after(files, { now: start + 120 * day });
    assert.ok(!third['ca.crt']?.includes(steady['ca.crt'] ?? ''), 'what has expired goes with the next');
  });

  test('a lifetime that is shorter now counts for what was made before', async () => {
    const on = (days: number) => after(steady, { lifetime: 9 * day, now: start + days * day });
    assert.deepEqual([(await on(5)).step, (await on(5)).until], ['keep', start + 6 * day]);
    assert.equal((await on(6)).step, 'renewed');
  });

  test('a missing name: a certificate for old and wanted names, which neither side changes again', async () => {
    const { step, files } = await after(steady, { names: ['new.svc', '::1'] });
    assert.equal(step, 'renewed');
    assert.deepEqual(new Set(namesOf(parts(files).leaf)), new Set(['new.svc', ...names]));
    for (const wanted of [names, ['new.svc', '::1']]) {
      assert.equal((await after(files, { names: wanted })).step, 'keep');
    }
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
    assert.equal(certificatesIn(crowded).length, 6, 'five earlier ones');
  });
});
