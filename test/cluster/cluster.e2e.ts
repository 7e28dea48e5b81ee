/**
 * The cluster room against a real API server, as the ServiceAccount of the manifests with no more than its RBAC.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { ClusterConnection } from '../../src/cluster/index.ts';
import {
  certificateStore,
  connect,
  hasStatus,
  onChange,
  trustPublisher,
  watchNamespaces,
} from '../../src/cluster/index.ts';
import { metadataSource } from '../../src/cluster/metadata-source.ts';
import { namespaces } from '../../src/cluster/resource.ts';
import { type ControlPlane, startControlPlane } from '../e2e/control-plane.ts';
import { leftOut } from '../e2e/needs.ts';
import { until } from '../e2e/replica.ts';
import { root } from '../real/places.ts';

const name = 'falco-federation-webhook';
const namespace = 'falco-federation';
const secret = 'falco-federation-webhook-certificates';
const folder = path.join(root, '.cache', 'e2e-cluster');
const pem = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';
const base64 = (bytes: string | Uint8Array): string => Buffer.from(bytes).toString('base64');

/** What kubelet would mount for a pod of the ServiceAccount. */
async function mountServiceAccount({ kubectl, ca }: ControlPlane): Promise<string> {
  const mounted = path.join(folder, 'service-account');
  mkdirSync(mounted, { recursive: true });
  const token = await kubectl(['create', 'token', name, '--namespace', namespace]);
  for (const [file, text] of Object.entries({ 'ca.crt': ca, token, namespace })) {
    writeFileSync(path.join(mounted, file), text);
  }
  return mounted;
}

interface Cluster {
  readonly controlPlane: ControlPlane;
  readonly connection: ClusterConnection;
}

function watching(cluster: () => Cluster): void {
  const make = (
    of: string,
    annotations: object,
    labels: object = { 'falco-federation.io/inject': 'enabled' },
  ) =>
    cluster().controlPlane.kubectl(
      ['apply', '--server-side', '-f', '-'],
      JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: of, labels, annotations } }),
    );
  const annotate = (of: string, ...annotations: readonly string[]) =>
    cluster().controlPlane.kubectl(['annotate', '--overwrite', 'namespace', of, ...annotations]);
  const optOut = (of: string) =>
    cluster().controlPlane.kubectl(['label', 'namespace', of, 'falco-federation.io/inject-']);
  const watch = (t: TestContext) => {
    const watched = watchNamespaces(cluster().connection);
    t.after(watched.stop);
    return watched;
  };
  after(() =>
    cluster().controlPlane.kubectl(['delete', 'namespace', 'room-a', 'room-b', 'room-c', '--wait=false']),
  );

  test('namespaces are followed as they opt in and out and are annotated', async (t) => {
    await make('room-a', { 'falco-federation.io/cluster': 'x', other: 'y' });
    await make('room-b', {});
    await make('room-c', {}, {});
    const watched = watch(t);
    await until('the namespaces are listed', watched.synced);
    const a = watched.annotations('room-a');
    assert.deepEqual(a, { 'falco-federation.io/cluster': 'x' });
    assert.deepEqual(watched.annotations('room-b'), {});
    assert.equal(watched.annotations('room-c'), undefined);
    await annotate('room-a', 'other=z');
    await annotate('room-b', 'falco-federation.io/tags=t');
    await until(
      'room-b has its annotation',
      () => watched.annotations('room-b')?.['falco-federation.io/tags'] === 't',
    );
    assert.equal(watched.annotations('room-a'), a, 'the very same object');
    await optOut('room-b');
    await until('room-b has opted out', () => watched.annotations('room-b') === undefined);
    await make('room-b', {});
    await until('room-b has opted in', () => watched.annotations('room-b') !== undefined);
  });

  test('namespaces that are never injected are not counted, whatever their labels', async (t) => {
    const { controlPlane } = cluster();
    await controlPlane.kubectl(['label', 'namespace', 'kube-system', 'falco-federation.io/inject=enabled']);
    t.after(() => optOut('kube-system'));
    await make('room-a', {});
    const watched = watch(t);
    await until('the namespaces are listed', watched.synced);
    assert.notEqual(watched.annotations('room-a'), undefined);
    assert.equal(watched.annotations('kube-system'), undefined);
  });

  test('what happens while the API server is away is known soon after', async (t) => {
    const { controlPlane } = cluster();
    const watched = watch(t);
    await until('the namespaces are followed', watched.synced);
    const last = watched.annotations('room-a');
    const back = controlPlane.restartApiServer();
    await until('the loss is told', () => watched.problem() !== undefined);
    assert.equal(watched.annotations('room-a'), last, 'the last known stays');
    await back;
    await optOut('room-b');
    await annotate('room-a', 'falco-federation.io/cluster=restarted');
    await until(
      'both are known',
      () =>
        watched.annotations('room-b') === undefined &&
        watched.annotations('room-a')?.['falco-federation.io/cluster'] === 'restarted',
    );
    assert.equal(watched.problem(), undefined);
  });

  test('a version that is too old is told apart; a watch ends when it was asked to', async () => {
    const source = metadataSource(cluster().connection, namespaces);
    const { signal } = new AbortController();
    const read = async (version: string): Promise<number> => {
      const from = performance.now();
      for await (const event of await source.watch(version, 2, signal)) assert.ok(event.type);
      return performance.now() - from;
    };
    await assert.rejects(read('1'), (error) => hasStatus(error, 410));
    const { resourceVersion } = await source.list(undefined, signal);
    const took = await read(resourceVersion);
    assert.ok(took > 1_500 && took < 5_000, `${took} ms`);
  });
}

function sharing(cluster: () => Cluster): void {
  const store = () => certificateStore(cluster().connection, namespace, secret);
  const stored = async () => (await store().read()) ?? assert.fail('there is no Secret');

  test('the Secret: made once, written over what was read only, foreign parts kept', async () => {
    const { kubectl } = cluster().controlPlane;
    assert.equal(await store().read(), undefined);
    const made = { 'ca.crt': 'A\n', 'tls.key': 'K' };
    assert.equal(await store().write(made, undefined), true);
    assert.equal(await store().write(made, undefined), false, 'it is there');
    const first = await stored();
    assert.deepEqual(first.files, made);
    const foreign = {
      metadata: { labels: { team: 'x' }, annotations: { note: 'y' } },
      data: { bytes: base64(Uint8Array.of(255, 0)) },
    };
    await kubectl([
      'patch',
      'secret',
      secret,
      '-n',
      namespace,
      '--type=merge',
      '-p',
      JSON.stringify(foreign),
    ]);
    assert.equal(await store().write(made, first), false, 'it has changed since');
    const over = await stored();
    const next = { ...made, 'ca.crt': 'B' };
    const both = await Promise.all([store().write(next, over), store().write(next, over)]);
    assert.deepEqual(both.sort(), [false, true], 'one of two is faster');
    const { metadata, data, type } = JSON.parse(
      await kubectl(['get', 'secret', secret, '-n', namespace, '-o', 'json']),
    );
    assert.deepEqual(data, { ...foreign.data, 'ca.crt': base64('B'), 'tls.key': base64('K') });
    assert.deepEqual(metadata.labels, { 'app.kubernetes.io/name': name, team: 'x' });
    assert.deepEqual(metadata.annotations, { note: 'y' });
    assert.equal(type, 'Opaque');
  });

  test('the Secret: one that was deleted, or made again, is another one', async () => {
    const old = await stored();
    await cluster().controlPlane.kubectl(['delete', 'secret', secret, '-n', namespace]);
    assert.equal(await store().write(old.files, old), false);
    assert.equal(await store().write(old.files, undefined), true);
    assert.equal(await store().write(old.files, old), false);
  });

  test('the caBundle: set by name, and left alone by applying the manifests again', async () => {
    const { kubectl } = cluster().controlPlane;
    const trust = trustPublisher(cluster().connection, name);
    const configuration = async () =>
      JSON.parse(await kubectl(['get', 'mutatingwebhookconfiguration', name, '-o', 'json']));
    const before = await configuration();
    assert.equal(await trust.read(), '');
    assert.equal(await trust.publish(pem), true);
    assert.equal(await trust.read(), pem);
    const published = await configuration();
    for (const webhook of published.webhooks) delete webhook.clientConfig.caBundle;
    assert.deepEqual(published.webhooks, before.webhooks, 'nothing else has changed');
    assert.equal(await trustPublisher(cluster().connection, name).publish(pem), false, 'nothing was read');
    await kubectl(['apply', '--server-side', '-k', path.join(root, 'manifests/base')]);
    assert.equal(await trust.read(), pem);
    await kubectl(['annotate', 'mutatingwebhookconfiguration', name, 'someone=else']);
    assert.equal(await trust.publish(''), false, 'it was changed since it was read');
    assert.equal(await trust.read(), pem);
    const strangers = trustPublisher(cluster().connection, name, ['nobody.example.org']);
    assert.equal(await strangers.read(), undefined);
    assert.equal(await strangers.publish(pem), false);
  });

  test('changes of both are noticed', async (t) => {
    const { connection, controlPlane } = cluster();
    let calls = 0;
    const stop = onChange(connection, { namespace, secret, webhookConfiguration: name }, () => {
      calls += 1;
    });
    t.after(stop);
    await until('both were listed', () => calls === 2);
    await controlPlane.kubectl(['delete', 'secret', secret, '-n', namespace]);
    await until('the deletion is noticed', () => calls === 3);
    const trust = trustPublisher(connection, name);
    await trust.read();
    assert.equal(await trust.publish(`${pem}${pem}`), true);
    await until('the new caBundle is noticed', () => calls === 4);
  });
}

function permissions(cluster: () => Cluster): void {
  test('other objects than its own are refused, and the message says what it would take', async () => {
    const { connection } = cluster();
    await assert.rejects(certificateStore(connection, namespace, 'other').read(), {
      status: 403,
      message:
        /this requires a Role in namespace "falco-federation" .* resourceNames \["other"\], verbs \["get"\]$/,
    });
    await assert.rejects(trustPublisher(connection, 'other').read(), {
      status: 403,
      message: /this requires a ClusterRole/,
    });
  });

  test('a token is read again for each request', async () => {
    const { connection } = cluster();
    const file = path.join(folder, 'service-account', 'token');
    const store = certificateStore(connection, namespace, secret);
    writeFileSync(file, 'expired');
    await assert.rejects(store.read(), { status: 401 });
    await mountServiceAccount(cluster().controlPlane);
    await store.read();
  });

  test('with a kubeconfig', async () => {
    const kubeconfig = await cluster().controlPlane.serviceAccountKubeconfig(namespace, name);
    const connection = (await connect({ kubeconfig, env: {} })) ?? assert.fail('no connection');
    assert.notEqual(await trustPublisher(connection, name).read(), undefined);
  });
}

describe('the cluster room', { skip: leftOut('control plane') }, () => {
  let started: Cluster | undefined;
  const cluster = (): Cluster => started ?? assert.fail('the control plane was not started');

  before(async () => {
    const controlPlane = await startControlPlane(path.join(folder, 'control-plane'));
    await controlPlane.kubectl(['apply', '--server-side', '-k', path.join(root, 'manifests/base')]);
    const { hostname, port } = new URL(controlPlane.url);
    const connection = await connect({
      env: { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port },
      serviceAccount: await mountServiceAccount(controlPlane),
    });
    started = { controlPlane, connection: connection ?? assert.fail('there is no connection') };
  });
  after(() => started?.controlPlane.stop());

  describe('watching', () => watching(cluster));
  describe('sharing', () => sharing(cluster));
  describe('permissions', () => permissions(cluster));
});
