/**
 * `falco-federation check` in a cluster that is well, and in ones that are broken on purpose: each names the fault and a
 * command that mends it, and where that is a plain one, it is run.
 */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { makeAuthority, makeServing } from '../../../src/certificates/issue.ts';
import type { Line } from '../../../src/checks/line.ts';
import { httpClient } from '../../../src/events/http-client.ts';
import { runCommand } from '../../commands/run-command.ts';
import { root } from '../../real/places.ts';
import { podsIn } from '../created-pods.ts';
import { leftOut } from '../needs.ts';
import { program, until } from '../replica.ts';
import { type Found, forwarder, namespace, type Stage, setStage, webhook, webhookPort } from './stage.ts';

const day = 86_400_000;
const texts: string[] = [];

/** The line of a check that is wrong, after saying it for the record. */
function told({ lines }: Found, name: string, mark: Line['mark'] = 'error'): Line {
  const found = lines.find((line) => line.check === name && line.mark === mark);
  const others = lines.filter((line) => line.mark !== 'ok');
  assert.ok(found !== undefined, `no ${mark} of ${name} in ${JSON.stringify(others, null, 1)}`);
  texts.push(`${mark === 'error' ? '✗' : '‼'} ${found.text}\n    ${found.why}\n    → ${found.fix}`);
  return found;
}

function says(line: Line, why: RegExp, fix: RegExp): void {
  assert.match(line.why ?? '', why);
  assert.match(line.fix ?? '', fix);
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** Tests that leave the cluster as it was: each ends with a cluster that is well. */
function testFaults(stage: () => Stage): void {
  /** Looks until check says something, since what is broken shows a moment later. */
  async function lookUntil(
    name: string,
    mark: Line['mark'] = 'error',
    ...flags: readonly string[]
  ): Promise<Found> {
    let last: Found | undefined;
    await until(`check tells of ${name}`, async () => {
      last = await stage().look(...flags);
      return last.lines.some((line) => line.check === name && line.mark === mark);
    }).catch((failure: unknown) => {
      throw new Error(
        `${String(failure)}: ${JSON.stringify(
          last?.lines.filter(({ mark: is }) => is !== 'ok'),
          null,
          1,
        )}`,
      );
    });
    return last ?? assert.fail();
  }

  /** Runs what brings our objects again; the overlay has other settings, and waits for new replicas. */
  async function repair({ fix = '' }: Line): Promise<void> {
    const { run, setSettings, settings, patch } = stage();
    await run(fix);
    await setSettings(settings);
    await patch('deployment', webhook, { spec: { strategy: { type: 'Recreate', rollingUpdate: null } } });
  }

  /** On a hub: a Secret by which it would crash. */
  async function lookAtFalcosidekicksSecret(): Promise<void> {
    const { patch, kubectl, well } = stage();
    const envFrom = (name: string) => ({
      spec: {
        template: { spec: { containers: [{ name: 'falcosidekick', envFrom: [{ secretRef: { name } }] }] } },
      },
    });
    await kubectl([
      'create',
      'secret',
      'generic',
      'falcosidekick',
      '--namespace',
      'falco',
      '--from-literal=PROMETHEUS_EXTRALABELS=shh, team',
      '--from-literal=SLACK_WEBHOOKURL=https://secret.example',
    ]);
    await patch('deployment', 'falco-falcosidekick', envFrom('falcosidekick'), 'falco');
    await stage().rolledOut('falco');
    const found = await lookUntil('falcosidekick_labels');
    says(
      told(found, 'falcosidekick_labels'),
      /it panics at start-up: team would be a duplicate label of its metrics/,
      /edit deployment\/falco-falcosidekick/,
    );
    assert.doesNotMatch(JSON.stringify(found.lines), /shh|secret\.example/, 'nothing else of the Secret');
    await patch(
      'deployment',
      'falco-falcosidekick',
      { spec: { template: { spec: { containers: [{ name: 'falcosidekick', envFrom: null }] } } } },
      'falco',
    );
    await stage().rolledOut('falco');
    await well();
  }

  /** On a hub: the receiver behind its Service, falcosidekick behind it, and what spokes report. */
  async function lookAtReceiver(): Promise<void> {
    const { hub, kubectl, setSettings, node, controlPlane, look } = stage();
    const falcosidekick = createServer((request, response) => {
      request.resume().on('end', () => response.end());
    }).listen(0, '127.0.0.1');
    falcosidekick.unref();
    await once(falcosidekick, 'listening');
    // Safe: it listens on a port.
    const { port } = falcosidekick.address() as AddressInfo;
    await setSettings(
      `cluster: obsrv\nrole: hub\nlabels: {env: obsrv}\nreceiver: {falcosidekick: "http://127.0.0.1:${port}/", spokes: {staging: {}}}\n`,
    );
    const missing = told(await lookUntil('receiver_replicas'), 'receiver_replicas');
    says(missing, /no Deployment falco-federation-receiver/, /kubectl apply|helm/);
    await kubectl(['apply', '--server-side', '-k', join(root, 'manifests/receiver')]);
    const noSecret = told(await lookUntil('receiver_credentials'), 'receiver_credentials');
    says(
      noSecret,
      /tls\.crt and tls\.key are missing|not read yet/,
      /describe secret falco-federation-hub-tls/,
    );
    const own = await makeServing(hub.authority, ['localhost'], Date.now(), 90 * day);
    const stringData = {
      ...{ 'ca.crt': hub.authority.certificate, 'tls.crt': own.certificate, 'tls.key': own.key },
    };
    await kubectl(
      ['apply', '--server-side', '--force-conflicts', '-f', '-'],
      JSON.stringify({
        ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'falco-federation-hub-tls', namespace } },
        stringData,
      }),
    );
    const silent = told(await lookUntil('receiver_spokes', 'warning'), 'receiver_spokes', 'warning');
    says(silent, /no report for five minutes of staging/, /falco-federation fleet/);
    const fleet = () => runCommand(['fleet', '--kubeconfig', controlPlane.kubeconfig]);
    assert.match((await fleet()).stdout, /^✗ staging +no /m);
    const { certificate: cert, key } = await hub.clientFor('staging', 9 * day);
    const doors = () => node.readyPorts('falco-federation-receiver', 2802);
    await until('the receiver is ready', () => doors().length === 2);
    const [door] = doors();
    const client = httpClient({
      ...{ address: `https://localhost:${door}/`, checkCertificate: true, env: {} },
      credentials: {
        ca: hub.authority.certificate,
        client: { cert, key, notAfter: new Date() },
        headers: {},
      },
    });
    const report = {
      version: '0.1.0',
      replica: 'f-0',
      waiting: { events: 7, bytes: 9 },
      pods: { federated: 2 },
    };
    const posted = await client.send({
      ...{ method: 'POST', body: Buffer.alloc(0) },
      headers: {
        'content-type': 'application/x-ndjson',
        'falco-federation-report': JSON.stringify(report),
      },
    });
    client.abort();
    assert.equal(posted.is === 'answered' && posted.status, 200);
    const { status, stdout } = await fleet();
    texts.push(stdout);
    assert.match(stdout, /^✓ staging +\d+s ago +7 +- +0\.1\.0 +2\/2 +20/m);
    assert.equal(status, 0);
    const well = await lookUntil('receiver_spokes', 'ok');
    for (const { check, mark, why } of well.lines)
      if (check.startsWith('receiver')) assert.equal(mark, 'ok', `${check}: ${why}`);
    assert.ok((await look()).lines.some(({ check }) => check === 'receiver_falcosidekick'));
    await kubectl(['delete', '-k', join(root, 'manifests/receiver')]);
    await kubectl(['delete', 'secret', 'falco-federation-hub-tls', '--namespace', namespace]);
    falcosidekick.close();
  }

  test('all is well: nothing wrong, nothing to look at, exit 0; the built program says the same as text', async () => {
    await stage().well();
    const { status, lines } = await stage().look();
    assert.equal(status, 0);
    assert.deepEqual(
      lines.filter(({ mark }) => mark !== 'ok'),
      [],
    );
    for (const name of [
      'permissions',
      'certificate',
      'ca_bundle',
      'dry_run',
      'pods',
      'settings_everywhere',
      'webhook_permissions',
      'alerts_shipped',
      'hub',
      'test_event',
    ]) {
      assert.ok(
        lines.some((line) => line.check === name),
        `${name} was looked at`,
      );
    }
    // Not in one go: the API server's way to the replicas leads through this process.
    const { stdout: text } = await promisify(execFile)(process.execPath, [program, 'check'], {
      env: {
        PATH: process.env.PATH,
        KUBECONFIG: `/nowhere:${stage().controlPlane.kubeconfig}`,
        HOME: '/nowhere',
      },
    });
    assert.match(text, /✓ a Falco pod in namespace falco is federated \(dry run, \d+ ms\)/);
    assert.match(text, /\nHealthy: 0 errors, 0 warnings\.\n$/);
    texts.push(text);
  });

  test('webhook down', async () => {
    const { patch, well } = stage();
    await patch('deployment', webhook, { spec: { replicas: 0 } });
    await until('they are gone', async () =>
      (await podsIn(stage().api, namespace)).every(({ metadata }) => !metadata?.name?.startsWith(webhook)),
    );
    const found = await lookUntil('webhook_endpoints');
    assert.equal(found.status, 1);
    says(
      told(found, 'webhook_replicas'),
      /asks for none, so pods/,
      /scale deployment\/falco-federation-webhook --replicas=2/,
    );
    says(told(found, 'dry_run'), /refused at once, nobody listens/, /get pods,endpointslices/);
    await stage().run(told(found, 'webhook_replicas').fix ?? '');
    await well();
  });

  test('replicas that do not answer any more, not noticed yet: refused', async () => {
    const { egress, open, well } = stage();
    egress.lead((address) => (/:(443|8443)$/.test(address) ? { to: 'nobody' } : open(address)));
    says(told(await lookUntil('dry_run'), 'dry_run'), /refused at once/, /logs --selector/);
    egress.lead(open);
    await well();
  });

  test('a port that the API server does not reach; a webhook that is too slow', async () => {
    const { egress, open, well, patch } = stage();
    const timeout = (timeoutSeconds: number) =>
      patch('mutatingwebhookconfiguration', webhook, {
        webhooks: [{ name: 'inject.falco-federation.io', timeoutSeconds }],
      });
    await timeout(1);
    await until('it counts', async () => (await stage().look()).status === 0);
    egress.lead((address) => (/:(443|8443)$/.test(address) ? { to: 'silence' } : open(address)));
    says(
      told(await stage().look(), 'dry_run'),
      /does not reach the webhook's port: no answer for 1\.0 s/,
      /managed-clusters/,
    );
    egress.lead((address) => {
      const way = open(address);
      return /:(443|8443)$/.test(address) && way.to === 'port' ? { ...way, after: 1_500 } : way;
    });
    says(told(await stage().look(), 'dry_run'), /too slow.*a replica took 1\.[5-9] s/, /top pod/);
    egress.lead(open);
    await timeout(5);
    await well();
  });

  test('a caBundle of another authority', async () => {
    const { kubectl, patch, well } = stage();
    // Else the replicas would heal it at once.
    await kubectl(['delete', 'clusterrolebinding', webhook]);
    const other = await makeAuthority(Date.now(), day);
    await patch('mutatingwebhookconfiguration', webhook, {
      webhooks: [
        { name: 'inject.falco-federation.io', clientConfig: { caBundle: base64(other.certificate) } },
      ],
    });
    const found = await lookUntil('ca_bundle');
    says(told(found, 'ca_bundle'), /another authority than the certificate/, /rollout restart deployment/);
    says(
      told(found, 'webhook_permissions'),
      /may not .*: .*the caBundle is not kept/,
      /kubectl apply --server-side/,
    );
    const dry = await lookUntil('dry_run');
    says(told(dry, 'dry_run'), /takes no answer from them/, /fail_open_count/);
    // What the line names, and an alert asks for, is there.
    const counted = (await kubectl(['get', '--raw', '/metrics']))
      .split('\n')
      .find((line) => line.startsWith('apiserver_admission_webhook_fail_open_count{name="inject.falco'));
    assert.match(counted ?? '', /\{name="inject\.falco-federation\.io",type="admit"\} [1-9]/);
    await repair(told(found, 'webhook_permissions'));
    await stage().run(told(found, 'ca_bundle').fix ?? '');
    await well();
  });

  test('certificates from files: the Secret missing, the certificate expired', async () => {
    const { kubectl, patch, well } = stage();
    const asBefore = (args: readonly string[]) => ({
      spec: {
        template: {
          spec: {
            containers: [{ name: 'webhook', args, volumeMounts: [{ mountPath: '/tls', $patch: 'delete' }] }],
            volumes: [{ name: 'tls', $patch: 'delete' }],
          },
        },
      },
    });
    const { body } = await stage().api.call(
      'GET',
      `/apis/apps/v1/namespaces/${namespace}/deployments/${webhook}`,
    );
    // Safe: it was applied.
    const before =
      (body as { spec: { template: { spec: { containers: { args: string[] }[] } } } }).spec.template.spec
        .containers[0]?.args ?? [];
    await patch('deployment', webhook, {
      spec: {
        template: {
          spec: {
            containers: [
              {
                name: 'webhook',
                args: [
                  'serve',
                  '--settings=/etc/falco-federation-webhook/federation.yaml',
                  '--tls-cert=/tls/tls.crt',
                  '--tls-key=/tls/tls.key',
                ],
                volumeMounts: [{ name: 'tls', mountPath: '/tls' }],
              },
            ],
            volumes: [{ name: 'tls', secret: { secretName: 'webhook-tls' } }],
          },
        },
      },
    });
    says(
      told(await lookUntil('certificate'), 'certificate'),
      /not found: the replicas cannot start/,
      /get secret webhook-tls/,
    );

    const then = Date.now() - 10 * day;
    const authority = await makeAuthority(then, 100 * day);
    const expired = await makeServing(authority, [`${webhook}.${namespace}.svc`], then, 5 * day);
    const data = { 'tls.crt': expired.certificate, 'tls.key': expired.key };
    await kubectl(
      ['create', '-f', '-'],
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'webhook-tls', namespace },
        stringData: data,
      }),
    );
    const found = await lookUntil('webhook_readiness');
    says(told(found, 'certificate'), /it expired at .*calls the webhook no more/, /describe certificates/);
    says(told(found, 'webhook_readiness'), /expired at/, /logs falco-federation-webhook/);
    assert.match(told(found, 'webhook_replicas').why ?? '', /certificate: expired at/);

    await patch('deployment', webhook, asBefore(before));
    await kubectl(['delete', 'secret', 'webhook-tls', '--namespace', namespace]);
    await well();
  });

  test('settings that are refused; an image of another version; a placeholder', async () => {
    const { setSettings, settings, well } = stage();
    await setSettings(settings.replace('cluster: staging', 'cluster: stag ing'));
    const found = await lookUntil('settings_everywhere');
    says(
      told(found, 'settings'),
      /federation\.yaml:1:10: cluster: .*stag ing/,
      /edit configmap\/falco-federation-webhook/,
    );
    says(told(found, 'settings_everywhere'), /refused, the last good ones stay/, /edit configmap/);
    await setSettings(`${settings}rules: {image: "registry.example/falco-federation-webhook:0.0.9"}\n`);
    says(
      told(await lookUntil('versions'), 'versions'),
      /runs from falco-federation-webhook:0\.1\.0/,
      /rules\.image: falco-federation-webhook:0\.1\.0/,
    );
    await setSettings('cluster: staging\nhub: {address: "https://falco.hub.example"}\n');
    says(
      told(await lookUntil('settings_placeholder', 'warning'), 'settings_placeholder', 'warning'),
      /placeholder/,
      /edit configmap/,
    );
    await setSettings(settings);
    await well();
  });

  test('a selection that is not of this version; a webhook that is not registered', async () => {
    const { patch, well, kubectl } = stage();
    await patch('mutatingwebhookconfiguration', webhook, {
      webhooks: [{ name: 'inject.falco-federation.io', objectSelector: { matchLabels: { team: 'red' } } }],
    });
    says(
      told(await lookUntil('webhook_selection'), 'webhook_selection'),
      /objectSelector is different/,
      /kubectl apply --server-side --force-conflicts -k/,
    );
    await kubectl(['delete', 'mutatingwebhookconfiguration', webhook]);
    const found = await lookUntil('webhook_configuration');
    says(
      told(found, 'webhook_configuration'),
      /no MutatingWebhookConfiguration/,
      /kubectl apply --server-side --force-conflicts -k manifests\/overlays\/spoke/,
    );
    await repair(told(found, 'webhook_configuration'));
    await well();
  });

  test('a namespace with Falco that has not opted in; its pods from before; the commands mend both', async () => {
    const { falcoIn, rolledOut, run, well, kubectl } = stage();
    await falcoIn('payments', false);
    const outside = told(await lookUntil('falco_outside', 'warning'), 'falco_outside', 'warning');
    says(outside, /has not opted in/, /kubectl label --overwrite namespace payments/);
    await run((outside.fix ?? '').split(' && ')[0] ?? '');
    const found = await lookUntil('pods');
    const old = told(found, 'pods');
    says(old, /without the webhook or before the namespace opted in/, /rollout restart/);
    for (const line of found.lines.filter(({ check, mark }) => check === 'pods' && mark === 'error'))
      await run(line.fix ?? '');
    await rolledOut('payments');
    await well();
    await kubectl(['delete', 'namespace', 'payments', '--wait=false']);
  });

  test("Falco's pods that PodSecurity refuses; the forwarder's Service is gone; a label's key with a typo", async () => {
    const { kubectl, run, well, pod, look } = stage();
    await kubectl(['label', 'namespace', 'falco', 'pod-security.kubernetes.io/enforce=baseline']);
    const { name = '' } = (await pod('falco', 'falco-')).metadata ?? {};
    await kubectl(['delete', 'pod', name, '--namespace', 'falco', '--force', '--grace-period=0']);
    const refused = told(await lookUntil('wanted_pods'), 'wanted_pods');
    says(refused, /violates PodSecurity "baseline/, /enforce=privileged/);
    await run(refused.fix ?? '');
    // Its controller tries again after a while, or when the DaemonSet changes.
    await kubectl(['annotate', 'daemonset', 'falco', '--namespace', 'falco', 'again=1']);
    await stage().rolledOut('falco');

    await kubectl(['delete', 'service', forwarder, '--namespace', namespace]);
    const gone = told(await lookUntil('forwarder_endpoints'), 'forwarder_endpoints');
    says(gone, /reach no replica by it, so no alert leaves them/, /get service/);
    await stage().again('Service');
    await well();

    await kubectl(['create', 'namespace', 'team']);
    await kubectl(['label', 'namespace', 'team', 'falco-federation.io/injection=enabled']);
    const typo = told(await look(), 'opting_in', 'warning');
    await run(typo.fix ?? '');
    assert.ok(
      (await look()).lines.some(({ check, text }) => check === 'opting_in' && /falco, team$/.test(text)),
    );
    await kubectl(['delete', 'namespace', 'team', '--wait=false']);
  });

  test('stale pods', async () => {
    const { setSettings, settings, run, well, look } = stage();
    await setSettings(settings.replace('staging', 'production'));
    await lookUntil('pods', 'warning');
    await until('all replicas work by them', async () =>
      (await look()).lines.some(({ check, mark }) => check === 'settings_everywhere' && mark === 'ok'),
    );
    const found = await look();
    says(told(found, 'pods', 'warning'), /injected with other settings/, /rollout restart/);
    assert.equal(found.status, 0, 'a warning');
    for (const line of found.lines.filter(({ check, mark }) => check === 'pods' && mark === 'warning'))
      await run(line.fix ?? '');
    await stage().rolledOut('falco');
    await until('none is stale', async () =>
      (await look()).lines.every(({ check, mark }) => check !== 'pods' || mark === 'ok'),
    );
    await setSettings(settings);
    await lookUntil('pods', 'warning');
    await lookUntil('settings_everywhere', 'ok');
    for (const line of (await look()).lines.filter(
      ({ check, mark }) => check === 'pods' && mark === 'warning',
    ))
      await run(line.fix ?? '');
    await stage().rolledOut('falco');
    await well();
  });

  test('tagging failed: what tag-rules left behind is told', async () => {
    const { pod, setPodStatus, look } = stage();
    const falco = await pod('falco', 'falco-');
    const folder = mkdtempSync(join(tmpdir(), 'tagging-'));
    const message = join(folder, 'message');
    writeFileSync(join(folder, 'falco.yaml'), `rules_files: [${folder}/broken]\nconfig_files: []\n`);
    writeFileSync(join(folder, 'broken'), 'x');
    try {
      execFileSync(
        process.execPath,
        [
          program,
          'tag-rules',
          '--tag',
          'staging',
          '--output',
          join(folder, 'out'),
          '--config',
          join(folder, 'none.yaml'),
          '--on-failure',
          'fail',
          '--termination-message',
          message,
        ],
        { stdio: 'ignore' },
      );
    } catch {
      // It could not, and says so in its message.
    }
    const terminated = {
      exitCode: 0,
      message: readFileSync(message, 'utf8'),
      startedAt: null,
      finishedAt: null,
    };
    await setPodStatus(falco, {
      phase: 'Running',
      initContainerStatuses: [containerStatus('falco-federation-tag-rules', { terminated })],
    });
    const found = await look();
    says(
      told(found, 'tag_rules'),
      /rules_config_unreadable: A configuration file of Falco could not be read/,
      /logs falco-.* --container falco-federation-tag-rules/,
    );
    await setPodStatus(falco, { initContainerStatuses: null });
    await stage().well();
  });

  test('an image that cannot be pulled', async () => {
    const { pod, setPodStatus, look, well } = stage();
    const falco = await pod('falco', 'falco-');
    const notFound = { waiting: { reason: 'ImagePullBackOff', message: 'not found' } };
    assert.equal(falco.metadata?.ownerReferences?.[0]?.kind, 'DaemonSet');
    await setPodStatus(falco, {
      initContainerStatuses: [containerStatus('falco-federation-tag-rules', notFound)],
    });
    says(told(await look(), 'pods'), /falco-federation-tag-rules: ImagePullBackOff/, /describe pod falco-/);
    await setPodStatus(falco, { initContainerStatuses: null });
    await well();
  });

  test('the hub away, its certificate wrong, its name unknown', async () => {
    const { setSettings, settings, patch, hub, well } = stage();
    const withHub = (address: string) => settings.replace(hub.address, address);
    await setSettings(withHub('https://localhost:1/in'));
    says(
      told(await lookUntil('hub'), 'hub'),
      /not reached \(network\).*ECONNREFUSED/,
      /curl --verbose https:\/\/localhost:1\/ping/,
    );
    await setSettings(withHub('https://no-such-hub.invalid/in'));
    await until('it is another fault', async () =>
      (await stage().look()).lines.some(({ check, why }) => check === 'hub' && /DNS/.test(why ?? '')),
    );
    says(told(await stage().look(), 'hub'), /its name is not found \(DNS\)/, /nslookup no-such-hub\.invalid/);
    const other = await makeAuthority(Date.now(), day);
    await setSettings(settings);
    await well();
    await patch('secret', 'falco-federation-hub', { data: { 'ca.crt': base64(other.certificate) } });
    await stage().kubectl([
      'delete',
      'pod',
      '--namespace',
      namespace,
      '--selector',
      `app.kubernetes.io/name=${forwarder}`,
      '--wait=false',
    ]);
    says(
      told(await lookUntil('hub'), 'hub'),
      /certificate is not trusted.*\(TLS\)/,
      /openssl s_client -connect localhost:\d+/,
    );
    await patch('secret', 'falco-federation-hub', { data: { 'ca.crt': base64(hub.authority.certificate) } });
    await well();
  });

  test('a forwarder that is full, with a client certificate near its end', async () => {
    const { setSettings, settings, hub, node, well, patch, look } = stage();
    const soon = await hub.clientFor('staging', 3 * day);
    const data = { 'tls.crt': base64(soon.certificate), 'tls.key': base64(soon.key) };
    await patch('secret', 'falco-federation-hub', { data });
    const full = settings
      .replace(hub.address, 'https://localhost:1/in')
      .replace('spoolSize: 1Gi', 'spoolSize: 16Mi');
    await setSettings(full);
    await lookUntil('hub');
    const [port] = node.readyPorts(forwarder, 2801);
    const event = JSON.stringify({
      ...{ output: 'x'.repeat(900_000), priority: 'Notice', rule: 'Some rule', source: 'syscall' },
      ...{ time: new Date().toISOString(), output_fields: { pid: 1 }, hostname: 'node-1', tags: [] },
    });
    for (let at = 0; at < 24; at += 1) {
      const { status } = await fetch(`http://127.0.0.1:${port}/`, {
        method: 'POST',
        body: event,
        headers: { 'content-type': 'application/json' },
      });
      assert.equal(status, 200);
    }
    const found = await look();
    const line = found.lines.find(({ check, mark }) => check === 'forwarder_spool' && mark !== 'ok');
    told(found, 'forwarder_spool', line?.mark ?? 'error');
    assert.match(line?.why ?? '', /full: [1-9]\d* events? dropped/);
    assert.match(line?.fix ?? '', /spoolSize/);
    says(
      told(await lookUntil('forwarder_certificate', 'warning'), 'forwarder_certificate', 'warning'),
      /expires in [23] days/,
      /certs spoke staging --renew/,
    );
    await setSettings(settings);
    const client = await hub.clientFor('staging', 90 * day);
    await patch('secret', 'falco-federation-hub', {
      data: { 'tls.crt': base64(client.certificate), 'tls.key': base64(client.key) },
    });
    await well();
  });

  test('a hub: its own events get their labels; what stops its falcosidekick; the way in, well and not', async () => {
    const { setSettings, settings, rolledOut, run, look, well } = stage();
    const again = 'kubectl --namespace falco rollout restart daemonset/falco deployment/falco-falcosidekick';
    await setSettings('cluster: obsrv\nrole: hub\nlabels: {env: obsrv}\n');
    await lookUntil('settings_everywhere', 'ok');
    const before = told(await lookUntil('pods'), 'pods');
    says(before, /without the webhook or before/, /rollout restart deployment\/falco-falcosidekick/);
    await run(again);
    await rolledOut('falco');
    await lookUntil('falcosidekick_labels', 'ok');
    await lookAtFalcosidekicksSecret();
    const reached = await look();
    const way = told(reached, 'receiver_replicas', 'warning');
    says(way, /the settings have no receiver/, /edit configmap/);
    await lookAtReceiver();
    assert.ok(reached.lines.every(({ check }) => !check.startsWith('forwarder')));
    await setSettings(settings);
    await lookUntil('settings_everywhere', 'ok');
    await run(again);
    await rolledOut('falco');
    await well();
  });

  test('permissions that are missing are named with the rule; the role that check-role brings is enough', async () => {
    const { kubectl, controlPlane, look, run } = stage();
    await kubectl(['create', 'serviceaccount', 'visitor', '--namespace', 'default']);
    const kubeconfig = await controlPlane.serviceAccountKubeconfig('default', 'visitor');
    const found = await look('--kubeconfig', kubeconfig);
    assert.equal(found.status, 1);
    const line = told(found, 'permissions');
    says(
      line,
      /resources \["namespaces"\], verbs \["list"\]/,
      /kubectl apply -k manifests\/check-role && .*--user=system:serviceaccount:default:visitor/,
    );
    await run(line.fix ?? '');
    // Nothing is hidden from whoever has the role.
    const [allowed, all] = [await look('--kubeconfig', kubeconfig), await look()];
    assert.deepEqual(
      allowed.lines.map(({ check, mark }) => `${check} ${mark}`),
      all.lines.map(({ check, mark }) => `${check} ${mark}`),
    );
    assert.equal(allowed.status, 0);
  });

  test('before an installation', async () => {
    const { lines, status } = await stage().look('--pre');
    assert.equal(status, 0);
    assert.deepEqual(
      lines.map(({ check, mark }) => `${check} ${mark}`),
      [
        'api_server ok',
        'install_permissions ok',
        'not_installed warning',
        'pod_admitted ok',
        'storage_class warning',
      ],
    );
  });

  test('an API server that does not answer: one line; a context that is not there: the names of those that are', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'kubeconfig-')), 'config');
    writeFileSync(
      file,
      readFileSync(stage().controlPlane.kubeconfig, 'utf8').replace(
        stage().controlPlane.url,
        'https://127.0.0.1:1',
      ),
    );
    const found = await stage().look('--kubeconfig', file);
    assert.equal(found.status, 1);
    says(told(found, 'api_server'), /ECONNREFUSED/, /kubectl cluster-info/);
    assert.equal(found.lines.length, 1);
    const wrong = await stage().look('--context', 'nowhere');
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /--context "nowhere" is none of its contexts \(e2e\)/);
  });

  test('--wait ends as soon as nothing is wrong', async () => {
    const { patch, look } = stage();
    await patch('deployment', webhook, { spec: { replicas: 0 } });
    await until('it is noticed', async () => (await look()).status === 1);
    const looking = look('--wait', '60s');
    await patch('deployment', webhook, { spec: { replicas: 2 } });
    assert.equal((await looking).status, 0);
    assert.ok(stage().node.readyPorts(webhook, webhookPort).length > 0);
  });
}

function containerStatus(name: string, state: object): object {
  return { name, image: 'i', imageID: 'i', ready: false, restartCount: 3, state };
}

describe('falco-federation check', { skip: leftOut('control plane') }, () => {
  let set: Stage | undefined;
  before(async () => {
    const from = performance.now();
    set = await setStage(join(root, '.cache', 'e2e-check'));
    console.log(`the stage is set after ${((performance.now() - from) / 1000).toFixed(1)} s`);
  });
  after(async () => {
    await set?.stop();
    writeFileSync(join(root, '.cache', 'e2e-check', 'texts.txt'), `${texts.join('\n\n')}\n`);
  });
  testFaults(() => set ?? assert.fail('the stage was not set'));
});
