/**
 * `falco-federation check` in a cluster that is well, and in ones that are broken on purpose: each names the fault and a
 * command that mends it, and where that is a plain one, it is run.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { makeAuthority, makeServing } from '../../../src/certificates/issue.ts';
import type { Line } from '../../../src/checks/line.ts';
import { httpClient } from '../../../src/events/http-client.ts';
import { runCommand } from '../../commands/run-command.ts';
import type { TlsHub } from '../../forwarding/tls-hub.ts';
import { portOf } from '../../port-of.ts';
import { root } from '../../real/places.ts';
import { temporaryFolder } from '../../temporary-folder.ts';
import { leftOut } from '../needs.ts';
import { program, until } from '../replica.ts';
import { testPods, testPrograms } from './falco-pods.ts';
import { type Looking, looking } from './looking.ts';
import { forwarder, namespace, patience, type Stage, setStage, webhook, webhookPort } from './stage.ts';

const day = 86_400_000;

/** The address of `localhost` that it listens on; its certificate is for the name. */
function numberOf({ server }: TlsHub): string {
  const listening = server.address();
  if (listening === null || typeof listening === 'string') return assert.fail('it does not listen');
  return listening.family === 'IPv6' ? `[${listening.address}]` : listening.address;
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** Tests that leave the cluster as it was: each ends with a cluster that is well. */
function testFaults(stage: () => Stage, { texts, told, says, run, lookUntil, tells, mended }: Looking): void {
  /** Runs what brings our objects again; the overlay has other settings, and waits for new replicas. */
  async function repair({ fix = '' }: Line, settings = stage().settings): Promise<void> {
    const { setSettings, patch } = stage();
    await run(fix);
    await setSettings(settings);
    await patch('deployment', webhook, { spec: { strategy: { type: 'Recreate', rollingUpdate: null } } });
  }

  async function restartForwarders(): Promise<void> {
    const pods = ['--namespace', namespace, '--selector', `app.kubernetes.io/name=${forwarder}`];
    await stage().kubectl(['delete', 'pod', ...pods, '--wait=false']);
  }

  /** On a hub: a Secret by which it would crash. */
  async function lookAtFalcosidekicksSecret(): Promise<void> {
    const { patch, kubectl } = stage();
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
    await tells(
      'falcosidekick_labels',
      /it panics at start-up: team would be a duplicate label of its metrics/,
      /edit deployment\/falco-falcosidekick/,
    );
    const { lines } = await stage().look();
    assert.doesNotMatch(JSON.stringify(lines), /shh|secret\.example/, 'nothing else of the Secret');
    await patch(
      'deployment',
      'falco-falcosidekick',
      { spec: { template: { spec: { containers: [{ name: 'falcosidekick', envFrom: null }] } } } },
      'falco',
    );
    await stage().rolledOut('falco');
    await mended('falcosidekick_labels');
  }

  /** On a hub: the receiver behind its Service, falcosidekick behind it, and what spokes report. */
  async function lookAtReceiver(): Promise<void> {
    const { hub, kubectl, setSettings, node, controlPlane, look, office } = stage();
    const falcosidekick = createServer((request, response) => {
      request.resume().on('end', () => response.end());
    }).listen(0, '127.0.0.1');
    falcosidekick.unref();
    await once(falcosidekick, 'listening');
    // Safe: it listens on a port.
    const port = portOf(falcosidekick);
    const settings = `cluster: obsrv\nrole: hub\nlabels: {env: obsrv}\nreceiver: {falcosidekick: "http://127.0.0.1:${port}/", spokes: {staging: {}}}\n`;
    await setSettings(settings);
    const missing = await tells(
      'receiver_replicas',
      /no Deployment falco-federation-receiver/,
      /kubectl apply --server-side --force-conflicts -k manifests\/overlays\/hub/,
    );
    await repair(missing, settings);
    const noSecret = await tells(
      'receiver_credentials',
      /there is none: without a certificate/,
      /^falco-federation certs hub --name DNS .* apply -f certs\/hub\/secret.yaml$/,
    );
    await run((noSecret.fix ?? '').replace('DNS', 'localhost'), { cwd: office });
    const silent = /no report for five minutes from staging/;
    await tells('receiver_spokes', silent, /falco-federation fleet/, 'warning');
    const fleet = () => runCommand(['fleet', '--kubeconfig', controlPlane.kubeconfig]);
    assert.match((await fleet()).stdout, /^✗ staging +no /m);
    const { certificate: cert, key } = await hub.clientFor('staging', 9 * day);
    const doors = () => node.readyPorts('falco-federation-receiver', 2802);
    await until('the receiver is ready', () => doors().length === 2, patience);
    const [door] = doors();
    const client = httpClient({
      ...{ address: `https://localhost:${door}/`, env: {} },
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
    assert.equal((await lookUntil('webhook_endpoints')).status, 1);
    const none = await tells(
      'webhook_replicas',
      /is scaled to 0, so pods/,
      /scale deployment\/falco-federation-webhook --replicas=2/,
    );
    await tells('dry_run', /refused at once, nothing listens/, /get pods,endpointslices/);
    await run(none.fix ?? '');
    await well();
  });

  test('replicas that do not answer any more, not noticed yet: refused', async (t) => {
    const { egress, open, well } = stage();
    t.after(() => egress.lead(open));
    egress.lead((address) => (/:(443|8443)$/.test(address) ? { to: 'nobody' } : open(address)));
    await tells('dry_run', /refused at once/, /logs --selector/);
    egress.lead(open);
    await well();
  });

  test('a port that the API server does not reach; a webhook that is too slow', async (t) => {
    const { egress, open, well, patch } = stage();
    t.after(() => egress.lead(open));
    const timeout = (timeoutSeconds: number) =>
      patch('mutatingwebhookconfiguration', webhook, {
        webhooks: [{ name: 'inject.falco-federation.io', timeoutSeconds }],
      });
    await timeout(1);
    await until('it counts', async () => (await stage().look()).status === 0, patience);
    egress.lead((address) => (/:(443|8443)$/.test(address) ? { to: 'silence' } : open(address)));
    await tells('dry_run', /does not reach the webhook's port: no answer for 1\.0 s/, /managed-clusters/);
    egress.lead((address) => {
      const way = open(address);
      return /:(443|8443)$/.test(address) && way.to === 'port' ? { ...way, after: 1_500 } : way;
    });
    await tells('dry_run', /too slow.*a replica took \d+\.\d s/, /describe pod --selector/);
    egress.lead(open);
    await timeout(5);
    await well();
  });

  test('a caBundle of another authority', async () => {
    const { kubectl, patch, well } = stage();
    // Else the replicas would heal it at once.
    await kubectl(['delete', 'clusterrolebinding', webhook]);
    await kubectl(['delete', 'rolebinding', webhook, '--namespace', namespace]);
    const other = await makeAuthority(Date.now(), day);
    await patch('mutatingwebhookconfiguration', webhook, {
      webhooks: [
        { name: 'inject.falco-federation.io', clientConfig: { caBundle: base64(other.certificate) } },
      ],
    });
    const bundle = await tells('ca_bundle', /another authority than the/, /rollout restart deployment/);
    const rights = await tells(
      'webhook_permissions',
      /may not .*: .*the caBundle is not kept up to date; the certificate is not renewed/,
      /kubectl apply --server-side/,
    );
    await tells('dry_run', /rejects their answers or does not call them/, /fail_open_count/);
    // What the line names, and an alert asks for, is there.
    const counted = (await kubectl(['get', '--raw', '/metrics']))
      .split('\n')
      .find((line) => line.startsWith('apiserver_admission_webhook_fail_open_count{name="inject.falco'));
    assert.match(counted ?? '', /\{name="inject\.falco-federation\.io",type="admit"\} [1-9]/);
    await repair(rights);
    await run(bundle.fix ?? '');
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
    const missing = await tells(
      'certificate',
      /not found: the replicas cannot start/,
      /create secret tls web/,
    );
    const cwd = temporaryFolder('certificate-');
    const authority = await makeAuthority(Date.now() - 10 * day, 100 * day);
    const bring = async (from: number, { fix = '' }: Line): Promise<void> => {
      const made = await makeServing(authority, [`${webhook}.${namespace}.svc`], from, 5 * day);
      writeFileSync(join(cwd, 'tls.crt'), made.certificate);
      writeFileSync(join(cwd, 'tls.key'), made.key);
      await run(fix, { cwd });
    };
    await bring(Date.now() - 10 * day, missing);
    await tells('webhook_readiness', /expired at/, /logs falco-federation-webhook/);
    await tells('webhook_replicas', /certificate: expired at/, /describe pod/);
    const expired = await tells(
      'certificate',
      /it expired at .*no longer calls the webhook/,
      /create secret tls/,
    );
    await bring(Date.now(), expired);
    const bundle = await tells('ca_bundle', /of another authority/, /edit mutatingwebhookconfiguration/);
    const script = `s|caBundle: .*|caBundle: ${base64(authority.certificate)}|`;
    await run(bundle.fix ?? '', { script });
    await well();

    await patch('deployment', webhook, asBefore(before));
    await kubectl(['delete', 'secret', 'webhook-tls', '--namespace', namespace]);
    await well();
  });

  test('settings that are refused; an image of another version; a placeholder', async () => {
    const { setSettings, settings, well, hub } = stage();
    await setSettings(settings.replace('cluster: staging', 'cluster: stag ing'));
    const edit = /edit configmap\/falco-federation-webhook/;
    await tells('settings_everywhere', /refused, the last good ones stay/, edit);
    const refused = await tells('settings', /federation\.yaml:1:10: cluster: .*stag ing/, edit);
    await run(refused.fix ?? '', { script: 's/stag ing/staging/' });
    await setSettings(`${settings}rules: {image: "registry.example/falco-federation-webhook:0.0.9"}\n`);
    const other = await tells(
      'versions',
      /runs from falco-federation-webhook:0\.1\.0/,
      /edit configmap.* rules\.image: falco-federation-webhook:0\.1\.0/,
    );
    await run(other.fix ?? '', { script: 's|registry.example/||; s/0.0.9/0.1.0/' });
    await mended('versions');
    await setSettings(settings.replace(hub.address, 'https://falco.hub.example'));
    const example = await tells('settings_placeholder', /placeholder/, edit, 'warning');
    await run(example.fix ?? '', { script: `s|https://falco.hub.example|${hub.address}|` });
    await well();
  });

  test('a selection that is not of this version; a webhook that is not registered', async () => {
    const { patch, well, kubectl } = stage();
    await patch('mutatingwebhookconfiguration', webhook, {
      webhooks: [{ name: 'inject.falco-federation.io', objectSelector: { matchLabels: { team: 'red' } } }],
    });
    await tells(
      'webhook_selection',
      /objectSelector is different/,
      /kubectl apply --server-side --force-conflicts -k/,
    );
    await kubectl(['delete', 'mutatingwebhookconfiguration', webhook]);
    const none = await tells(
      'webhook_configuration',
      /no MutatingWebhookConfiguration/,
      /kubectl apply --server-side --force-conflicts -k manifests\/overlays\/spoke/,
    );
    await repair(none);
    await well();
  });

  test('a namespace with Falco that has not opted in; its pods from before; the commands mend both', async () => {
    const { falcoIn, rolledOut, well, kubectl } = stage();
    await falcoIn('payments', false);
    const label = /kubectl label --overwrite namespace payments/;
    const outside = await tells('falco_outside', /has not opted in/, label, 'warning');
    const [optIn = '', restart = ''] = (outside.fix ?? '').split(' && ');
    await run(optIn);
    await tells('pods', /without the webhook or before the namespace opted in/, /rollout restart/);
    await run(restart);
    await rolledOut('payments');
    await well();
    await kubectl(['delete', 'namespace', 'payments', '--wait=false']);
    await rolledOut('payments');
  });

  test("Falco's pods that PodSecurity refuses; the forwarder's Service is gone; a label's key with a typo", async () => {
    const { kubectl, well, pod, look, patch } = stage();
    await kubectl(['label', 'namespace', 'falco', 'pod-security.kubernetes.io/enforce=baseline']);
    const { name = '' } = (await pod('falco', 'falco-')).metadata ?? {};
    await kubectl(['delete', 'pod', name, '--namespace', 'falco', '--force', '--grace-period=0']);
    const refused = await tells('wanted_pods', /violates PodSecurity "baseline/, /enforce=privileged/);
    await run(refused.fix ?? '');
    // Its controller tries again after a while, or when the DaemonSet changes.
    await kubectl(['annotate', 'daemonset', 'falco', '--namespace', 'falco', 'again=1']);
    await stage().rolledOut('falco');

    await kubectl(['delete', 'service', forwarder, '--namespace', namespace]);
    const why = /cannot reach the forwarder, so no alert leaves them/;
    await repair(await tells('forwarder_endpoints', why, /kubectl apply --server-side/));
    await well();
    await patch('service', forwarder, { spec: { selector: { team: 'red' } } });
    await repair(await tells('forwarder_endpoints', why, /kubectl apply --server-side/));
    await well();

    await kubectl(['create', 'namespace', 'team']);
    await kubectl(['label', 'namespace', 'team', 'falco-federation.io/injection=enabled']);
    const typo = /its label falco-federation.io\/injection has no effect/;
    const line = await tells('opting_in', typo, /label --overwrite namespace team/, 'warning');
    await run(line.fix ?? '');
    await mended('opting_in');
    assert.ok(
      (await look()).lines.some(({ check, text }) => check === 'opting_in' && /falco, team$/.test(text)),
    );
    await kubectl(['delete', 'namespace', 'team', '--wait=false']);
  });

  test('stale pods', async () => {
    const { setSettings, settings, well, rolledOut } = stage();
    for (const text of [settings.replace('staging', 'production'), settings]) {
      await setSettings(text);
      await lookUntil('settings_everywhere', 'ok');
      const stale = await tells('pods', /injected with different settings/, /rollout restart/, 'warning');
      await run(stale.fix ?? '');
      await rolledOut('falco');
      await mended('pods');
    }
    await well();
  });

  test('the hub away, its certificate wrong, its name unknown', async () => {
    const { setSettings, settings, patch, hub, well, office } = stage();
    const withHub = (address: string) => settings.replace(hub.address, address);
    await setSettings(withHub('https://localhost:1/in'));
    await tells(
      'hub',
      /cannot be reached \(network\).*ECONNREFUSED/,
      /curl --verbose https:\/\/localhost:1\/ping/,
    );
    await setSettings(withHub('https://no-such-hub.invalid/in'));
    await tells('hub', /its name cannot be resolved \(DNS\)/, /nslookup no-such-hub\.invalid/);
    const address = hub.address.replace('localhost', numberOf(hub));
    await setSettings(withHub(address));
    const named = await tells('hub', /for another name \(TLS\).*altnames/, /hub\.address: a name of the/);
    await run(named.fix ?? '', { script: `s|${address}|${hub.address}|` });
    await well();
    const other = await makeAuthority(Date.now(), day);
    await patch('secret', 'falco-federation-hub', { data: { 'ca.crt': base64(other.certificate) } });
    await restartForwarders();
    await tells('hub', /certificate is not trusted.*\(TLS\)/, /openssl s_client -connect localhost:\d+/);
    await patch('secret', 'falco-federation-hub', { data: { 'ca.crt': base64(hub.authority.certificate) } });
    await well();
    await stage().kubectl(['delete', 'secret', 'falco-federation-hub', '--namespace', namespace]);
    rmSync(join(office, 'certs/spokes/staging'), { recursive: true });
    const none = await tells(
      'forwarder_credentials',
      /there is none: the hub's receiver/,
      /certs spoke stagi/,
    );
    await run(none.fix ?? '', { cwd: office });
    await well();
  });

  test('a forwarder that is full, with a client certificate near its end', async () => {
    const { setSettings, settings, hub, node, well, look, office } = stage();
    const soon = 'falco-federation certs spoke staging --renew --days 3';
    await run(`${soon} && kubectl apply -f certs/spokes/staging/secret.yaml`, { cwd: office });
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
    // Room is made by whole files: how full it is just then is chance.
    const { mark } =
      found.lines.find(({ check, mark }) => check === 'forwarder_spool' && mark !== 'ok') ?? {};
    await says(told(found, 'forwarder_spool', mark), /full: [1-9]\d* events? dropped/, /spoolSize/);
    const near = /certs spoke staging --renew && .* apply -f certs\/spokes\/staging\/secret.yaml$/;
    const line = await tells('forwarder_certificate', /expires in [23] days/, near, 'warning');
    await run(line.fix ?? '', { cwd: office });
    await mended('forwarder_certificate');
    await setSettings(settings);
    // What was dropped since it started is told until it is started again.
    await restartForwarders();
    await well();
  });

  test('a hub: its own events get their labels; what stops its falcosidekick; the way in, well and not', async () => {
    const { setSettings, settings, rolledOut, look, well } = stage();
    const again = (workload: string) => run(`kubectl --namespace falco rollout restart ${workload}`);
    await setSettings('cluster: obsrv\nrole: hub\nlabels: {env: obsrv}\n');
    await lookUntil('settings_everywhere', 'ok');
    const restart = /rollout restart deployment\/falco-falcosidekick/;
    const before = await tells('pods', /without the webhook or before/, restart);
    await run(before.fix ?? '');
    await again('daemonset/falco');
    await rolledOut('falco');
    await lookUntil('falcosidekick_labels', 'ok');
    await lookAtFalcosidekicksSecret();
    await tells('receiver_replicas', /the settings have no receiver/, /edit configmap/, 'warning');
    assert.ok((await look()).lines.every(({ check }) => !check.startsWith('forwarder')));
    await lookAtReceiver();
    await setSettings(settings);
    await lookUntil('settings_everywhere', 'ok');
    await again('daemonset/falco deployment/falco-falcosidekick');
    await rolledOut('falco');
    await well();
  });

  test('permissions that are missing are named with the rule; the role that check-role brings is enough', async () => {
    const { kubectl, controlPlane, look } = stage();
    await kubectl(['create', 'serviceaccount', 'visitor', '--namespace', 'default']);
    const kubeconfig = await controlPlane.serviceAccountKubeconfig('default', 'visitor');
    const found = await look('--kubeconfig', kubeconfig);
    assert.equal(found.status, 1);
    const line = told(found, 'permissions');
    await says(
      line,
      /resources \["namespaces"\], verbs \["list"\]/,
      /kubectl apply -k manifests\/check-role && .*--user=system:serviceaccount:default:visitor/,
    );
    const installing = told(await look('--pre', '--kubeconfig', kubeconfig), 'install_permissions');
    await says(installing, /you may not create namespaces, clusterroles/, /kubectl auth whoami/);
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
    const found = await stage().look('--pre');
    const { lines, status } = found;
    assert.equal(status, 0);
    await says(told(found, 'storage_class', 'warning'), /there is none: on a spoke/, /get storageclasses/);
    assert.deepEqual(
      lines.map(({ check, mark }) => `${check} ${mark}`),
      ['api_server ok', 'install_permissions ok', 'pod_admitted ok', 'storage_class warning'],
    );
  });

  test('an API server that does not answer: one line; a context that is not there: the names of those that are', async () => {
    const file = join(temporaryFolder('kubeconfig-'), 'config');
    writeFileSync(
      file,
      readFileSync(stage().controlPlane.kubeconfig, 'utf8').replace(
        stage().controlPlane.url,
        'https://127.0.0.1:1',
      ),
    );
    const found = await stage().look('--kubeconfig', file);
    assert.equal(found.status, 1);
    await says(told(found, 'api_server'), /ECONNREFUSED/, /kubectl cluster-info/);
    assert.equal(found.lines.length, 1);
    const wrong = await stage().look('--context', 'nowhere');
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /context "nowhere" is none of its contexts \(e2e\)/);
  });

  test('--wait ends as soon as nothing is wrong', async () => {
    const { patch, look } = stage();
    await patch('deployment', webhook, { spec: { replicas: 0 } });
    await until('it is noticed', async () => (await look()).status === 1, patience);
    const looking = look('--wait', '5m');
    await patch('deployment', webhook, { spec: { replicas: 2 } });
    assert.equal((await looking).status, 0);
    assert.ok(stage().node.readyPorts(webhook, webhookPort).length > 0);
  });
}

describe('falco-federation check', { skip: leftOut('control plane') }, () => {
  let set: Stage | undefined;
  const stage = (): Stage => set ?? assert.fail('the stage was not set');
  const look = looking(stage);
  before(async () => {
    const from = performance.now();
    set = await setStage(join(root, '.cache', 'e2e-check'));
    console.log(`the stage is set after ${((performance.now() - from) / 1000).toFixed(1)} s`);
  });
  after(async () => {
    await set?.stop();
    writeFileSync(join(root, '.cache', 'e2e-check', 'texts.txt'), `${look.texts.join('\n\n')}\n`);
  });
  testFaults(stage, look);
  testPods(stage, look);
  testPrograms(stage, look);
  test('each command of kubectl that was told was run', () => {
    assert.deepEqual(look.notRun(), []);
  });
});
