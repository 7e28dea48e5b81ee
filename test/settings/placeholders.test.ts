import assert from 'node:assert/strict';
import { test } from 'node:test';
import { placeholders } from '../../src/settings/placeholders.ts';
import { settingsFrom } from '../injection/pods.ts';

const keys = (text: string) => placeholders(settingsFrom(text)).map(({ key }) => key);

test('what is still as the manifests bring it is found, and nothing else', () => {
  assert.deepEqual(keys('cluster: change-me\nhub: {address: "https://falco.hub.example"}\n'), [
    'cluster',
    'hub.address',
  ]);
  assert.deepEqual(keys('cluster: a\nhub: {address: "https://example.com:8443/in"}\n'), ['hub.address']);
  assert.deepEqual(keys('cluster: change-me-not\nhub: {address: "https://example.corp.net"}\n'), []);
  assert.deepEqual(keys('cluster: obsrv\nrole: hub\n'), []);
});
