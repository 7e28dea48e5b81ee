/** Faults under load, each counted: what an admission notices of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { V1MutatingWebhookConfiguration, V1Pod, V1Secret } from '@kubernetes/client-node';
import { certificatesIn } from '../../src/certificates/certificate.ts';
import type { Api } from './api.ts';
import type { ControlPlane } from './control-plane.ts';
import { appName, type Installation, namespace } from './installation.ts';
import { type Count, type Load, startLoad } from './load.ts';
import { until } from './replica.ts';

export interface Scene {
  readonly controlPlane: ControlPlane;
  readonly api: Api;
  readonly installation: Installation;
  /** A namespace that is opted in. */
  readonly optedIn: string;
  /** A Falco pod, as its controller would create it. */
  readonly pod: V1Pod;
  /** Sets the failure policy of the webhook. */
  readonly failurePolicy: (policy: 'Fail' | 'Ignore') => Promise<void>;
  /** The flags of every replica, and those for certificates that live for seconds. */
  readonly flags: readonly string[];
  readonly settings: string;
}

const secretPath = `/api/v1/namespaces/${namespace}/secrets/${appName}-certificates`;
const configurationPath = `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${appName}`;

async function secretOf(api: Api): Promise<V1Secret | undefined> {
  const { status, body } = await api.call('GET', secretPath);
  // Safe: the API server says that this is the Secret.
  return status === 200 ? (body as V1Secret) : undefined;
}

async function storedText(api: Api, key: string): Promise<string> {
  return Buffer.from((await secretOf(api))?.data?.[key] ?? '', 'base64').toString();
}

async function publishedBundle(api: Api): Promise<string> {
  const { body } = await api.call('GET', configurationPath);
  // Safe: the configuration was applied before.
  const bundle = (body as V1MutatingWebhookConfiguration).webhooks?.[0]?.clientConfig.caBundle ?? '';
  return Buffer.from(bundle, 'base64').toString();
}

/** Replaces both replicas one after the other, as a Deployment with `maxSurge: 1, maxUnavailable: 0` does. */
export async function rollingRestart(installation: Installation): Promise<void> {
  for (const old of [...installation.replicas()]) {
    await installation.add();
    assert.equal(await installation.remove(old), 0, `${old.name} ended by itself`);
  }
}

/** Registers the tests; the table is printed at the end. */
export function testFaults(scene: () => Scene): void {
  const table: string[][] = [['fault', 'sent', 'failed', 'longest', 'what was seen']];
  let load: Load | undefined;

  async function measured(
    fault: string,
    during: (note: (text: string) => void) => Promise<void>,
  ): Promise<Count> {
    const { api, optedIn, pod } = scene();
    load ??= startLoad(api, optedIn, pod);
    const notes: string[] = [];
    // What a replica that has just ended cut off was no fault of this one.
    await wait(1_000);
    // Some seconds before and after, so that what comes late is counted too.
    const count = await load.measure(async () => {
      await wait(1_000);
      await during((text) => notes.push(text));
      await wait(1_500);
    });
    const { sent, failed, longest, unreachable } = count;
    if (unreachable > 0) notes.push(`${unreachable} tries found no API server`);
    table.push([fault, String(sent), String(failed), `${Math.round(longest)} ms`, notes.join('; ')]);
    return count;
  }

  function assertNoneFailed({ failed, unchanged, messages }: Count): void {
    assert.deepEqual([failed, unchanged], [0, 0], messages.join('\n'));
  }

  test('no fault', async () => {
    assertNoneFailed(await measured('none', () => wait(3_000)));
  });

  test('rolling restart of both replicas: no admission fails', async () => {
    assertNoneFailed(await measured('rolling restart of both', () => rollingRestart(scene().installation)));
  });

  // A call that the process was answering is lost, and so is one that the API server writes to an idle connection in
  // the moment of its end: it does not repeat a POST. There is one call at most on each connection.
  test('kill -9 of one, seen at once: no admission fails but on the connections it had', async () => {
    const { installation } = scene();
    let cut = { all: 0, answering: 0 };
    const { failed, messages } = await measured('kill -9 of one, seen at once', async (note) => {
      const [victim] = installation.replicas();
      assert.ok(victim !== undefined);
      await installation.kill(victim, 0);
      await wait(1_000);
      await installation.add();
      cut = installation.service.cut(victim.name);
      note(`it had ${cut.all} connections, and was answering on ${cut.answering}`);
    });
    assert.ok(failed <= cut.all, `${failed} failed, ${cut.all} connections: ${messages.join('\n')}`);
    for (const message of messages) assert.match(message, /: (EOF|.*broken pipe|.*reset by peer)$/);
  });

  test('kill -9 of one, seen after a second: only calls sent to it in that second fail', async () => {
    const { installation } = scene();
    const { sent, failed, messages } = await measured('kill -9 of one, seen after 1 s', async (note) => {
      const [victim] = installation.replicas();
      assert.ok(victim !== undefined);
      await installation.kill(victim, 1_000);
      note('new connections to it are refused for 1 s, as by kube-proxy');
      await installation.add();
    });
    assert.ok(failed < sent / 2, messages.join('\n'));
    for (const message of messages) assert.match(message, /failed calling webhook/);
  });

  test('certificate and authority rotate all the time: no admission fails', async () => {
    const { installation, flags, api } = scene();
    installation.useFlags([...flags, '--certificate-lifetime', '12s']);
    await rollingRestart(installation);
    const leaves = new Set<string>();
    const authorities = new Set<string>();
    let overlaps = 0;
    assertNoneFailed(
      await measured('certificate and authority rotate', async (note) => {
        const end = performance.now() + 40_000;
        while (performance.now() < end) {
          const [leaf] = certificatesIn(await storedText(api, 'tls.crt'));
          const trusted = certificatesIn(await storedText(api, 'ca.crt'));
          if (leaf !== undefined) leaves.add(leaf.fingerprint256);
          for (const authority of trusted) authorities.add(authority.fingerprint256);
          if (trusted.length > 1) overlaps += 1;
          await wait(200);
        }
        note(`${leaves.size} certificates, ${authorities.size} authorities in 40 s`);
      }),
    );
    assert.ok(leaves.size >= 3, `${leaves.size} certificates`);
    assert.ok(authorities.size >= 2, `${authorities.size} authorities`);
    assert.ok(overlaps > 0, 'old and new authority were trusted at the same time');
    installation.useFlags(flags);
    await rollingRestart(installation);
    // What lives for seconds is renewed once more; the tests below compare the Secret with what it was.
    const anHour = 3_600_000;
    await until(
      'certificates live long again',
      async () => {
        const made = certificatesIn(await storedText(api, 'tls.crt'));
        return made.every(({ validToDate }) => validToDate.getTime() > Date.now() + anHour);
      },
      90_000,
    );
  });

  test('the Secret is deleted: it comes back as it was, and no admission fails', async () => {
    const { api } = scene();
    const before = await storedText(api, 'tls.crt');
    assertNoneFailed(
      await measured('Secret deleted', async (note) => {
        assert.equal((await api.call('DELETE', secretPath)).status, 200);
        const took = await until('the Secret is back', async () => (await secretOf(api)) !== undefined);
        note(`back after ${Math.round(took)} ms`);
        assert.ok(took < 5_000);
      }),
    );
    assert.equal(await storedText(api, 'tls.crt'), before);
  });

  test('the Secret is damaged: it is mended, and no admission fails', async () => {
    const { api } = scene();
    const before = await storedText(api, 'tls.crt');
    assertNoneFailed(
      await measured('Secret damaged', async (note) => {
        const broken = { data: { 'tls.key': Buffer.from('broken').toString('base64'), 'ca.crt': null } };
        const { status } = await api.call('PATCH', secretPath, broken, 'application/merge-patch+json');
        assert.equal(status, 200);
        const took = await until('the Secret is mended', async () =>
          (await storedText(api, 'tls.key')).includes('PRIVATE KEY'),
        );
        note(`mended after ${Math.round(took)} ms`);
        assert.ok(took < 5_000);
      }),
    );
    assert.equal(await storedText(api, 'tls.crt'), before);
  });

  test('caBundle is emptied: it is published again within a second', async () => {
    const { api } = scene();
    const before = await publishedBundle(api);
    let took = 0;
    const { messages } = await measured('caBundle emptied', async (note) => {
      const { status } = await api.call(
        'PATCH',
        configurationPath,
        { webhooks: [{ name: 'inject.falco-federation.io', clientConfig: { caBundle: null } }] },
        'application/strategic-merge-patch+json',
      );
      assert.equal(status, 200);
      took = await until('caBundle is back', async () => (await publishedBundle(api)) === before);
      note(`back after ${Math.round(took)} ms; until then the API server trusts nobody`);
    });
    assert.ok(took < 2_000, `${took} ms`);
    for (const message of messages) assert.match(message, /failed calling webhook.*(x509|certificate)/);
  });

  test('the API server is restarted: no admission fails, and annotations are followed again', async () => {
    const { controlPlane, api, optedIn, installation } = scene();
    assertNoneFailed(
      await measured('API server restarted', async (note) => {
        const from = performance.now();
        await controlPlane.restartApiServer();
        note(`away for ${Math.round(performance.now() - from)} ms`);
        await wait(2_000);
      }),
    );
    const path = `/api/v1/namespaces/${optedIn}`;
    const annotate = (value: string | null) =>
      api.call(
        'PATCH',
        path,
        { metadata: { annotations: { 'falco-federation.io/cluster': value } } },
        'application/merge-patch+json',
      );
    await annotate('after-restart');
    const { pod } = scene();
    await until('every replica knows the annotation', async () => {
      const clusters = new Set<string | undefined>();
      for (let at = 0; at < 2 * installation.replicas().length; at += 1) {
        const { body } = await api.call('POST', `/api/v1/namespaces/${optedIn}/pods?dryRun=All`, pod);
        // Safe: what is no pod has no label, and the wait goes on.
        clusters.add((body as V1Pod).metadata?.labels?.['falco-federation.io/cluster']);
      }
      return clusters.size === 1 && clusters.has('after-restart');
    });
    await annotate(null);
  });

  test('settings are broken and mended: the last good ones stay, log, readiness and metric say so', async () => {
    const { installation, settings } = scene();
    const valid = 'falco_federation_settings_last_reload_successful';
    assertNoneFailed(
      await measured('settings broken and mended', async (note) => {
        installation.settings.swap('cluster: staging\nrole: leaf\n');
        for (const replica of installation.replicas()) {
          const took = await until('the metric says so', async () => (await replica.metric(valid)) === 0);
          note(`noticed after ${Math.round(took)} ms`);
          assert.match(await replica.readiness(), /settings: refused, the last good ones stay: .*:2:7: role/);
          assert.equal(await replica.isReady(), true);
          assert.ok(replica.log.some(({ msg }) => msg.startsWith('settings refused')));
        }
        installation.settings.swap(settings);
        for (const replica of installation.replicas()) {
          await until('the metric says so', async () => (await replica.metric(valid)) === 1);
        }
      }),
    );
  });

  test('both replicas are gone: with Ignore, pods are created unchanged; both back: injected again', async () => {
    const { installation, failurePolicy } = scene();
    const failing = await measured('both gone, Fail', async () => {
      for (const replica of [...installation.replicas()]) await installation.kill(replica, 0);
      await wait(1_000);
    });
    assert.ok(failing.failed > 0, 'with Fail nothing passes unseen');
    await failurePolicy('Ignore');
    const ignoring = await measured('both gone, Ignore', () => wait(2_000));
    assert.equal(ignoring.failed, 0, ignoring.messages.join('\n'));
    assert.equal(ignoring.unchanged, ignoring.sent);
    await failurePolicy('Fail');
    await installation.add();
    await installation.add();
    assertNoneFailed(await measured('both back', () => wait(1_000)));
  });

  test('the table', async () => {
    await load?.stop();
    const widths = [34, 7, 7, 9];
    for (const row of table) {
      console.log(row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' '));
    }
  });
}
