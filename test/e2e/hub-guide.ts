/** What `certs` has people apply, on the real API server. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { certs } from '../../src/commands/certs.ts';
import { root } from '../real/places.ts';
import type { ControlPlane } from './control-plane.ts';

/** Adds its tests to the suite that it is called in; leaves the cluster as it was. */
export function checkHubGuide(controlPlane: () => ControlPlane): void {
  const folder = join(root, '.cache', 'e2e-hub-guide');
  const namespaces = ['falco', 'falco-federation'];
  let dir = '';

  const ff = async (...argv: readonly string[]): Promise<void> => {
    const silent = { write: () => true };
    const io = { stdin: Readable.from([]), stdout: silent, stderr: silent, env: {} };
    assert.equal(await certs([...argv, '--dir', dir], io), 0);
  };

  before(async () => {
    mkdirSync(folder, { recursive: true });
    dir = mkdtempSync(join(folder, 'certs-'));
    for (const namespace of namespaces) await controlPlane().kubectl(['create', 'namespace', namespace]);
  });
  after(async () => {
    rmSync(folder, { recursive: true, force: true });
    await controlPlane().kubectl(['delete', '--timeout=50s', 'namespace', ...namespaces]);
  });

  describe('the Secrets of certs', () => {
    const apply = async (file: string): Promise<string> =>
      (await controlPlane().kubectl(['apply', '-f', join(dir, file)])).trim();

    test('are accepted; a renewed one too', async () => {
      await ff('hub', '--name', 'falco.hub.example');
      await ff('spoke', 'staging');
      assert.equal(await apply('hub/secret.yaml'), 'secret/falco-federation-hub-tls created');
      assert.equal(await apply('spokes/staging/secret.yaml'), 'secret/falco-federation-hub created');
      assert.equal(await apply('spokes/staging/secret.yaml'), 'secret/falco-federation-hub unchanged');
      for (const argv of [['hub'], ['spoke', 'staging']]) await ff(...argv, '--renew');
      assert.equal(await apply('hub/secret.yaml'), 'secret/falco-federation-hub-tls configured');
      assert.equal(await apply('spokes/staging/secret.yaml'), 'secret/falco-federation-hub configured');
    });

    test("headers of the user's own stay when it is applied again", async () => {
      const get = async (jsonpath: string): Promise<string> =>
        controlPlane().kubectl([
          ...['get', 'secret', 'falco-federation-hub', '--namespace', 'falco-federation'],
          ...['--output', `jsonpath=${jsonpath}`],
        ]);
      await controlPlane().kubectl([
        ...['patch', 'secret', 'falco-federation-hub', '--namespace', 'falco-federation'],
        ...['--type', 'merge', '--patch', '{"stringData": {"headers": "X-Falco-Spoke: staging"}}'],
      ]);
      await ff('spoke', 'staging', '--renew');
      await apply('spokes/staging/secret.yaml');
      assert.equal(Buffer.from(await get('{.data.headers}'), 'base64').toString(), 'X-Falco-Spoke: staging');
      assert.equal(
        Buffer.from(await get('{.data.tls\\.crt}'), 'base64').toString(),
        readFileSync(join(dir, 'spokes/staging/tls.crt'), 'utf8'),
      );
    });
  });
}
