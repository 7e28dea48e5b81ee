import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { ClusterError } from '../../src/cluster/cluster-error.ts';
import type { ClusterConnection } from '../../src/cluster/connection.ts';
import { requestJson, requestProxied } from '../../src/cluster/request.ts';
import {
  endpointSlices,
  mutatingWebhookConfiguration,
  namespaces,
  podProxy,
  secret,
} from '../../src/cluster/resource.ts';
import { untilSo } from '../until.ts';
import { apiServer, refused } from './api-server.ts';

test('a refusal says what was asked for, of whom, and which permission is missing', async (t) => {
  const { connection } = await apiServer(t, () => refused(403, 'Forbidden', 'no'));
  const messages = [
    { verb: 'get', resource: secret('ns', 'certs') },
    { verb: 'create', resource: secret('ns', 'certs') },
    { verb: 'patch', resource: mutatingWebhookConfiguration('ours') },
    { verb: 'list', resource: endpointSlices('ns') },
  ] as const;
  const told = await Promise.all(
    messages.map((request) => requestJson(connection, request).catch((error: unknown) => String(error))),
  );
  const at = connection.server;
  assert.deepEqual(told, [
    `ClusterError: get secrets "certs" in namespace "ns" at ${at}: 403 Forbidden no; this requires a Role in namespace "ns" with apiGroups [""], resources ["secrets"], resourceNames ["certs"], verbs ["get"]`,
    `ClusterError: create secrets "certs" in namespace "ns" at ${at}: 403 Forbidden no; this requires a Role in namespace "ns" with apiGroups [""], resources ["secrets"], verbs ["create"]`,
    `ClusterError: patch mutatingwebhookconfigurations.admissionregistration.k8s.io "ours" at ${at}: 403 Forbidden no; this requires a ClusterRole with apiGroups ["admissionregistration.k8s.io"], resources ["mutatingwebhookconfigurations"], resourceNames ["ours"], verbs ["patch"]`,
    `ClusterError: list endpointslices.discovery.k8s.io in namespace "ns" at ${at}: 403 Forbidden no; this requires a Role in namespace "ns" with apiGroups ["discovery.k8s.io"], resources ["endpointslices"], verbs ["list"]`,
  ]);
});

test('an answer without a Status object, as proxies give it, still has its status', async (t) => {
  const { connection } = await apiServer(t, () => (response) => {
    response.statusCode = 502;
    response.end('<html>');
  });
  await assert.rejects(
    requestJson(connection, { verb: 'list', resource: namespaces }),
    (error) => error instanceof ClusterError && error.status === 502 && error.message.endsWith(': 502'),
  );
});

test('nobody there, and no JSON: errors without a status', async (t) => {
  const { connection } = await apiServer(t, () => (response) => {
    response.end('{"kind":');
  });
  const request = { verb: 'list', resource: namespaces } as const;
  await assert.rejects(requestJson(connection, request), ClusterError);
  const nobody = { ...connection, server: 'https://localhost:9' };
  await assert.rejects(
    requestJson(nobody, request),
    (error) =>
      error instanceof ClusterError && error.status === undefined && /ECONNREFUSED/.test(error.message),
  );
  const noToken = { ...connection, access: () => Promise.reject(new Error('ENOENT: token')) };
  await assert.rejects(requestJson(noToken, request), /list namespaces at .*: ENOENT: token/);
});

const listed = (connection: ClusterConnection) =>
  requestJson(connection, { verb: 'list', resource: namespaces });
const proxied = (connection: ClusterConnection) =>
  requestProxied(connection, { verb: 'get', resource: podProxy('ns', 'pod', '8080', 'readyz') });

for (const [when, begin, seconds, asks] of [
  ['does not begin', '', 10, listed],
  ['does not end', '{', 10, listed],
  ['of somebody behind the API server does not begin', '', 5, proxied],
] as const) {
  test(`an answer that ${when} within ${seconds} s is given up`, async (t) => {
    let asked = (): void => {};
    const received = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const { connection } = await apiServer(t, () => (response) => {
      if (begin !== '') response.write(begin);
      asked();
    });
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let ended = false;
    const answer = asks(connection).finally(() => {
      ended = true;
    });
    answer.catch(() => {});
    await received;
    t.mock.timers.tick(1_000 * seconds - 1);
    await wait(20);
    assert.equal(ended, false);
    t.mock.timers.tick(1);
    await assert.rejects(answer, { message: new RegExp(`no answer within ${seconds} s`) });
  });
}

test('who goes away does not wait for an API server that hangs', async (t) => {
  const { connection, received } = await apiServer(t, () => () => {});
  const closing = new AbortController();
  const closed = { ...connection, closed: closing.signal };
  const waiting = requestJson(closed, { verb: 'list', resource: namespaces });
  waiting.catch(() => {});
  await untilSo(() => received.length === 1);
  closing.abort(new Error('stopping'));
  await assert.rejects(waiting, /: stopping$/);
  await assert.rejects(requestJson(closed, { verb: 'list', resource: namespaces }), /: stopping$/);
});
