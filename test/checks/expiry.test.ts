/** What `check` says of certificates that end soon, by what is left of them. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { makeAuthority, makeServing } from '../../src/certificates/issue.ts';
import { endLine } from '../../src/checks/programs.ts';
import { lifeOf } from '../../src/checks/serving-certificate.ts';

const [hour, day] = [3_600_000, 86_400_000];
const start = Date.UTC(2030, 0, 1);

test("the webhook's: a warning with less than seven days left, or a quarter of a short life", async () => {
  const authority = await makeAuthority(start, 1_000 * day);
  const made = async (life: number): Promise<X509Certificate> =>
    new X509Certificate((await makeServing(authority, ['a.svc'], start, life)).certificate);
  const [long, short] = [await made(90 * day), await made(11 * hour)];
  const said = (certificate: X509Certificate, left: number) =>
    lifeOf(certificate, 'it', {
      bundle: '',
      ...{ secretName: 'ns/s', fix: 'f', now: certificate.validToDate.getTime() - left },
    }).mark;
  assert.equal(said(long, 7 * day), 'ok');
  assert.equal(said(long, 7 * day - hour), 'warning');
  assert.equal(said(long, 1), 'warning');
  assert.equal(said(long, 0), 'error');
  // It begins an hour ago, for clocks that are late.
  assert.equal(said(short, 3 * hour), 'ok');
  assert.equal(said(short, 3 * hour - 1_000), 'warning');
});

test('those that people make with certs: a warning with less than fourteen days left', () => {
  const said = (left: number) =>
    endLine('it', 'it', start / 1_000, { now: start - left, expired: 'e', fix: 'f' }).map(({ mark }) => mark);
  assert.deepEqual(said(14 * day), ['ok']);
  assert.deepEqual(said(14 * day - hour), ['warning']);
  assert.deepEqual(said(0), ['error']);
});
