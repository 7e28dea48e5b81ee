/** The keeper with real timers, and with a real TLS server behind it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, createServer, request, type Server } from 'node:https';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { certificatesIn, fingerprintOf } from '../../src/certificates/certificate.ts';
import type { KeyPair } from '../../src/certificates/files.ts';
import { makeAuthority, makeServing } from '../../src/certificates/issue.ts';
import { type CertificateEvent, keepCertificates } from '../../src/certificates/keep.ts';
import type { StoredCertificates } from '../../src/certificates/store.ts';
import { portOf } from '../port-of.ts';
import { untilSo } from '../until.ts';

const day = 86_400_000;

/** What a test leaves running, also one that fails. */
const running: (() => void)[] = [];
afterEach(() => {
  for (const stop of running.splice(0)) stop();
});

interface Api {
  stored: StoredCertificates | undefined;
  bundle: string | undefined;
  /** What the API server answers instead. */
  failing: string | undefined;
  reads: number;
  /** Reads and writes of both, failed ones too. */
  calls: number;
}

/** A Secret and a caBundle in memory. */
function memory() {
  let version = 0;
  const api: Api = { stored: undefined, bundle: '', failing: undefined, reads: 0, calls: 0 };
  const answer = async <T>(act: () => T): Promise<T> => {
    await wait(1);
    api.calls++;
    if (api.failing !== undefined) throw new Error(api.failing);
    return act();
  };
  const dependencies = {
    store: {
      read: () =>
        answer(() => {
          api.reads++;
          return api.stored;
        }),
      write: (files: StoredCertificates['files'], over: StoredCertificates | undefined) =>
        answer(() => {
          if (over?.version !== api.stored?.version) return false;
          api.stored = { files: { ...over?.files, ...files }, version: `${++version}` };
          return true;
        }),
    },
    trust: {
      read: () => answer(() => api.bundle),
      publish: (bundle: string) =>
        answer(() => {
          api.bundle = bundle;
          return true;
        }),
    },
  };
  const remove = (): void => {
    api.stored = undefined;
  };
  return { api, dependencies, delete: remove };
}

function keep(memoryOf: ReturnType<typeof memory>) {
  const [pairs, events]: [KeyPair[], CertificateEvent[]] = [[], []];
  const kept = keepCertificates({
    ...memoryOf.dependencies,
    ...{ names: ['localhost'], lifetime: 10_000, every: 60_000 },
    onPair: (pair) => pairs.push(pair),
    tell: (event) => events.push(event),
  });
  running.push(kept.stop);
  return { ...kept, pairs, events, kinds: () => events.map(({ kind }) => kind).join(' ') };
}

describe('keepCertificates', () => {
  test('starts without an API server, tells the problem once, and goes on by itself', async () => {
    const cluster = memory();
    cluster.api.failing = 'connection refused';
    const kept = keep(cluster);
    await untilSo(() => cluster.api.calls > 2);
    assert.equal(kept.state().pair, undefined);
    assert.equal(kept.state().published, false);
    assert.match(kept.state().problem ?? '', /connection refused/);
    assert.equal(kept.kinds(), 'problem');
    cluster.api.failing = undefined;
    await untilSo(() => kept.state().published);
    assert.equal(kept.kinds(), 'problem made serving published recovered');
    assert.equal(kept.state().problem, undefined);
    assert.equal(cluster.api.bundle, cluster.api.stored?.files['ca.crt']);
  });

  test('goes on serving while the API server is away', async () => {
    const cluster = memory();
    const kept = keep(cluster);
    await untilSo(() => kept.state().published);
    const { pair } = kept.state();
    cluster.api.failing = 'away';
    kept.look();
    await untilSo(() => kept.state().problem !== undefined);
    assert.deepEqual([kept.state().pair, kept.state().published], [pair, true]);
  });

  test('a burst of calls is a look or two', async () => {
    const cluster = memory();
    const kept = keep(cluster);
    await untilSo(() => kept.state().published);
    const { reads } = cluster.api;
    for (let at = 0; at < 100; at++) kept.look();
    await wait(300);
    assert.ok(cluster.api.reads > reads && cluster.api.reads <= reads + 2, `${cluster.api.reads - reads}`);
  });

  test('no webhook of our names: certificates are there all the same, and the problem says so', async () => {
    const cluster = memory();
    cluster.api.bundle = undefined;
    const kept = keep(cluster);
    await untilSo(() => kept.state().problem !== undefined);
    assert.match(kept.state().problem ?? '', /no MutatingWebhookConfiguration with our webhooks/);
    assert.ok(kept.state().pair !== undefined && !kept.state().published);
    cluster.api.bundle = '';
    kept.look();
    await untilSo(() => kept.state().published);
  });

  test('two that start at once share one certificate', async () => {
    const cluster = memory();
    const both = [keep(cluster), keep(cluster)];
    await untilSo(() => both.every((one) => one.state().published));
    assert.equal(both[0]?.state().pair?.cert, both[1]?.state().pair?.cert);
    assert.equal(both.flatMap(({ events }) => events).filter(({ kind }) => kind === 'made').length, 1);
  });

  test('Secret deleted: put back within a second, and nobody’s certificate changes', async () => {
    const cluster = memory();
    const kept = keep(cluster);
    await untilSo(() => kept.state().published);
    const { api } = cluster;
    const before = api.stored?.files;
    cluster.delete();
    kept.look();
    await untilSo(() => api.stored !== undefined);
    await wait(300);
    assert.deepEqual(api.stored?.files, before);
    assert.equal(kept.pairs.length, 1);
  });

  test('events and problems hold no key', async () => {
    const cluster = memory();
    const kept = keep(cluster);
    await untilSo(() => kept.state().published);
    assert.ok(!/PRIVATE|BEGIN/.test(JSON.stringify(kept.events)));
  });
});

interface Got {
  readonly socket: TLSSocket;
  readonly fingerprint: string;
}

/** A request as the API server sends it; the fingerprint is that of the certificate it was shown. */
function get(port: number, ca: string, agent: Agent): Promise<Got> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', servername: 'localhost', port, ca, agent }, (incoming) => {
      const socket = incoming.socket as TLSSocket; // What https gives.
      const fingerprint = socket.getPeerCertificate().fingerprint256.replaceAll(':', '').toLowerCase();
      incoming.resume().on('end', () => resolve({ socket, fingerprint }));
    });
    outgoing.on('error', reject).end();
  });
}

async function serve(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer({ keepAliveTimeout: 120_000 }, (_, response) => response.end('ok'));
  server.listen(0, '127.0.0.1');
  running.push(() => server.close().closeAllConnections());
  await once(server, 'listening');
  return { server, port: portOf(server) };
}

const fingerprint = (pem: string): string =>
  fingerprintOf(certificatesIn(pem)[0] ?? assert.fail('no certificate'));

describe('over real TLS', () => {
  test('old and new authority both verify in one bundle, and a connection outlives the swap', async () => {
    const { server, port } = await serve();
    const now = Date.now();
    const [a, b] = [await makeAuthority(now, day), await makeAuthority(now, day)];
    const [leafA, leafB] = [
      await makeServing(a, ['localhost'], now, day),
      await makeServing(b, ['localhost'], now, day),
    ];
    const alive = new Agent({ keepAlive: true });
    const bundle = b.certificate + a.certificate;
    server.setSecureContext({ cert: leafA.certificate, key: leafA.key });
    const first = await get(port, bundle, alive);
    assert.equal(first.fingerprint, fingerprint(leafA.certificate));
    server.setSecureContext({ cert: leafB.certificate, key: leafB.key });
    const second = await get(port, bundle, alive);
    assert.equal(second.socket, first.socket, 'the same connection');
    const fresh = await get(port, bundle, new Agent());
    assert.equal(fresh.fingerprint, fingerprint(leafB.certificate));
    await assert.rejects(get(port, a.certificate, new Agent()), /certificate|issuer/);
    alive.destroy();
  });

  test('two replicas renew certificate and authority: every request on every connection is answered', async () => {
    const cluster = memory();
    // So short that the settling time is a quarter of a second.
    const servers = [await serve(), await serve()];
    let renewed = 0;
    const kept = servers.map(({ server }) =>
      keepCertificates({
        ...cluster.dependencies,
        ...{ names: ['localhost'], lifetime: 5_000, every: 200 },
        onPair: ({ cert, key }) => server.setSecureContext({ cert, key }),
        tell: ({ kind }) => {
          if (kind === 'renewed') renewed++;
        },
      }),
    );
    running.push(...kept.map(({ stop }) => stop));
    await untilSo(() => kept.every((one) => one.state().published));
    const alive = new Agent({ keepAlive: true });
    const shown = new Set<string>();
    // One on a connection that stays, one that has to verify what is served now.
    const ask = async (port: number): Promise<void> => {
      for (const agent of [alive, new Agent()]) {
        shown.add((await get(port, cluster.api.bundle ?? '', agent)).fingerprint);
      }
    };
    // A certificate of seconds ends where a machine keeps this process waiting for a part of them.
    let [last, stalled] = [Date.now(), 0];
    const look = (): number => {
      if (Date.now() - last > 400) stalled = Date.now();
      last = Date.now();
      return last - stalled;
    };
    for (const end = last + 60_000; (renewed < 3 || shown.size < 3) && last < end; await wait(20)) {
      look();
      await Promise.all(servers.map(({ port }) => ask(port))).catch((error) => {
        if (look() > 5_000) throw error;
      });
    }
    assert.ok(renewed >= 3, `${renewed} renewals`);
    assert.ok(shown.size >= 3, 'certificates were swapped under load');
    alive.destroy();
  });
});
