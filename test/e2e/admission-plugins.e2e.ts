/**
 * What else a cluster's admission has in it: LimitRanger, and an API server that shows the webhook a client certificate, as
 * docs/security.md says, which alone may call.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { V1Pod } from '@kubernetes/client-node';
import { makeAuthority, makeClient } from '../../src/certificates/issue.ts';
import { podRemedy } from '../../src/checks/causes.ts';
import { root } from '../real/places.ts';
import { type Api, api as apiOf } from './api.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { makeNamespace, optedIn } from './created-pods.ts';
import { installManifests, patchWebhook, flags as usualFlags } from './install-manifests.ts';
import { appName, type Installation, namespace } from './installation.ts';
import { leftOut } from './needs.ts';
import { until } from './replica.ts';

const folder = join(root, '.cache', 'e2e-admission');
const patience = 120_000;
const caller = 'kube-apiserver';
const settings = 'cluster: staging\nhub: {address: "https://falco.hub.example"}\n';

/** Written anew before a restart: the API server reads it at its start. */
const callersFile = join(folder, 'callers.kubeconfig');

/** As docs/security.md has it. @param user what the API server shows; nothing: no certificate */
function writeCallers(user: object): void {
  const service = `${appName}.${namespace}.svc`;
  // Another port than 443 is part of the name.
  const users = [service, `${service}:8443`].map((name) => ({ name, user }));
  writeFileSync(callersFile, JSON.stringify({ apiVersion: 'v1', kind: 'Config', users }));
}

function admissionConfiguration(): string {
  const apiVersion = 'apiserver.config.k8s.io/v1';
  const configuration = { apiVersion, kind: 'WebhookAdmissionConfiguration', kubeConfigFile: callersFile };
  const plugins = [{ name: 'MutatingAdmissionWebhook', configuration }];
  const file = join(folder, 'admission.json');
  writeFileSync(file, JSON.stringify({ apiVersion, kind: 'AdmissionConfiguration', plugins }));
  return file;
}

const containersOf = ({ spec }: V1Pod) => [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
const oursIn = (pod: V1Pod) => containersOf(pod).filter(({ name }) => name.startsWith('falco-federation-'));

describe('admission plugins', { skip: leftOut('control plane') }, () => {
  let started: { controlPlane: ControlPlane; api: Api; installation: Installation } | undefined;
  const scene = () => started ?? assert.fail('the control plane was not started');

  before(async () => {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const now = Date.now();
    const authority = await makeAuthority(now, 86_400_000);
    const { certificate, key } = await makeClient(authority, caller, now, 3_600_000);
    writeCallers({ 'client-certificate-data': btoa(certificate), 'client-key-data': btoa(key) });
    const clientCa = join(folder, 'callers.crt');
    writeFileSync(clientCa, authority.certificate);
    const controlPlane = await startControlPlane(join(folder, 'control-plane'), {
      apiServerFlags: [`--admission-control-config-file=${admissionConfiguration()}`],
    });
    const api = apiOf(controlPlane);
    const flags = [...usualFlags, '--client-ca', clientCa, '--client-name', caller];
    const installation = await installManifests({ folder, controlPlane, api, settings, flags });
    started = { controlPlane, api, installation };
    await installation.add();
  });
  after(async () => {
    await started?.installation.stop();
    started?.api.close();
    await started?.controlPlane.stop();
  });

  const resources = { requests: { cpu: '1', memory: '512Mi' }, limits: { cpu: '1', memory: '512Mi' } };
  const create = (where: string) =>
    scene().api.call('POST', `/api/v1/namespaces/${where}/pods`, {
      metadata: { generateName: 'falco-' },
      spec: {
        containers: [
          { name: 'falco', image: 'falcosecurity/falco:0.44.1', args: ['/usr/bin/falco'], resources },
        ],
      },
    });

  test('a LimitRange with a ratio: its refusal has a remedy, and requests that equal limits pass', async () => {
    const { api, installation } = scene();
    await makeNamespace(api, 'ranged', optedIn);
    const limits = [
      {
        type: 'Container',
        min: { cpu: '100m', memory: '32Mi' },
        max: { cpu: '1', memory: '512Mi' },
        maxLimitRequestRatio: { cpu: '1', memory: '1' },
      },
    ];
    const { status } = await api.call('POST', '/api/v1/namespaces/ranged/limitranges', {
      metadata: { name: 'ratio' },
      spec: { limits },
    });
    assert.equal(status, 201);
    const refused = await create('ranged');
    assert.equal(refused.status, 403);
    // Safe: a refusal is a Status.
    const { message } = refused.body as { message: string };
    assert.match(message, /limit to request ratio/);
    assert.equal(podRemedy(message, 'ranged'), 'kubectl --namespace ranged describe limitrange');

    installation.settings.swap(`${settings}rules: {requestsEqualLimits: true}\n`);
    let made: V1Pod | undefined;
    await until(
      'the replica has the new settings, and the pod is made',
      async () => {
        const { status, body } = await create('ranged');
        // Safe: 201 means that this is the pod.
        if (status === 201) made = body as V1Pod;
        return made !== undefined;
      },
      patience,
    );
    const ours = oursIn(made ?? assert.fail('no pod'));
    assert.ok(ours.length > 0);
    for (const { name, resources } of ours) assert.deepEqual(resources?.requests, resources?.limits, name);
  });

  test('--client-ca: without its certificate the API server is refused, and the pod is as it was', async () => {
    const { api, controlPlane, installation } = scene();
    await makeNamespace(api, 'calls', optedIn);
    const first = await create('calls');
    assert.equal(first.status, 201, JSON.stringify(first.body));
    // Safe: 201 means that this is the pod.
    assert.ok(oursIn(first.body as V1Pod).length > 0);

    // What the manifests have; everything else here is stricter.
    await patchWebhook(controlPlane.kubectl, { failurePolicy: 'Ignore' });
    writeCallers({});
    await controlPlane.restartApiServer();
    const refusals = () =>
      installation.replicas().flatMap(({ log }) => log.filter(({ status }) => status === 403));
    let last: unknown;
    await until(
      'a call is refused',
      async () => {
        const { status, body } = await create('calls');
        last = status === 201 ? body : undefined;
        return last !== undefined && refusals().length > 0;
      },
      patience,
    );
    // Safe: 201 means that this is the pod.
    assert.deepEqual(oursIn(last as V1Pod), []);
    const refusal = refusals()[0] ?? assert.fail('nobody was refused');
    assert.equal(refusal.msg, 'refused');
    assert.equal(refusal.detail, `Only clients with a certificate of --client-ca for ${caller} may call.`);
  });
});
