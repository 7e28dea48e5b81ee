import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { type KeyPairResult, loadKeyPair, readKeyPair, watchKeyPair } from '../../src/certificates/files.ts';
import { makeServingCertificate } from '../../src/certificates/self-signed.ts';
import { temporaryFolder } from '../temporary-folder.ts';

describe('a serving certificate made on the spot', () => {
  test('is signed by its authority, for the names asked, for the days asked', async () => {
    const made = await makeServingCertificate(['localhost', '127.0.0.1', '::1'], 30 * 86_400_000);
    const [ca, leaf] = [new X509Certificate(made.ca), new X509Certificate(made.certificate)];
    assert.ok(ca.ca && !leaf.ca);
    assert.ok(leaf.verify(ca.publicKey));
    assert.equal(leaf.checkHost('localhost'), 'localhost');
    assert.equal(leaf.checkIP('127.0.0.1'), '127.0.0.1');
    assert.equal(leaf.checkHost('elsewhere'), undefined);
    assert.ok(leaf.validFromDate.getTime() < Date.now() - 3_000_000, 'valid for clocks that are late');
    const days = (leaf.validToDate.getTime() - Date.now()) / 86_400_000;
    assert.ok(days > 29 && days < 31);
  });
});

describe('certificate files', () => {
  const folder = temporaryFolder('certificates-');
  const files = { cert: path.join(folder, 'tls.crt'), key: path.join(folder, 'tls.key') };
  const write = (cert: string, key: string): void => {
    writeFileSync(files.cert, cert);
    writeFileSync(files.key, key);
  };

  test('bad ones are told apart: missing, no PEM, of two pairs', async () => {
    const one = await makeServingCertificate(['a'], 86_400_000);
    const two = await makeServingCertificate(['a'], 86_400_000);
    const why = (result: KeyPairResult): string => (result.ok ? 'accepted' : result.why);
    assert.match(why(await loadKeyPair({ cert: '/nowhere', key: '/nowhere' })), /ENOENT.*\/nowhere/);
    assert.match(why(readKeyPair('x', one.key)), /no PEM certificate and key/);
    assert.match(why(readKeyPair(one.certificate, 'x')), /no PEM certificate and key/);
    assert.match(why(readKeyPair(one.certificate, two.key)), /does not match the certificate/);
    assert.ok(readKeyPair(one.certificate, one.key).ok);
  });

  test('a new pair is told, a half-written one too, and then the whole', async () => {
    const [one, two] = [
      await makeServingCertificate(['a'], 86_400_000),
      await makeServingCertificate(['a'], 172_800_000),
    ];
    write(one.certificate, one.key);
    const known = await loadKeyPair(files);
    assert.ok(known.ok);
    const told: KeyPairResult[] = [];
    let go: () => void = () => {};
    const stop = watchKeyPair(files, known.pair, 5, (result) => {
      told.push(result);
      go();
    });
    const next = (): Promise<void> =>
      new Promise((resolve) => {
        go = resolve;
      });
    let change = next();
    writeFileSync(files.cert, two.certificate);
    await change;
    assert.equal(told.at(-1)?.ok, false);
    change = next();
    writeFileSync(files.key, two.key);
    await change;
    const last = told.at(-1);
    assert.ok(last?.ok && last.pair.cert === two.certificate);
    stop();
  });
});
