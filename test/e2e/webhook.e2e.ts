/**
 * The manifests' objects in a real control plane, two replicas of the built program behind the webhook configuration: pods
 * that the controllers create, faults under load, and one created pod's init container run for real.
 *
 * FEDERATION_UPSTREAM names a folder with upstream's rendered charts; without it only our own small workloads are applied.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { V1Pod } from '@kubernetes/client-node';
import { buildImage } from '../real/built-image.ts';
import { root, upstreamFolder } from '../real/places.ts';
import { recordedPods } from '../real/recorded-pods.ts';
import { onNode, tagTwice } from '../real/tagging-run.ts';
import { type Api, api as apiOf } from './api.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { applyAndWait, makeNamespace, optedIn, ownChart, workloadsIn } from './created-pods.ts';
import { testFaults } from './faults.ts';
import { flags, installManifests, patchWebhook } from './install-manifests.ts';
import type { Installation } from './installation.ts';
import { leftOut } from './needs.ts';
import { testScenarios } from './scenarios.ts';

const folder = join(root, '.cache', 'e2e');
const settings = 'cluster: staging\nhub: {address: "https://falco.hub.example"}\n';
if (upstreamFolder === undefined) {
  console.log(
    "LEFT OUT: upstream's charts (FEDERATION_UPSTREAM names no folder); only our own workloads are applied",
  );
}

interface Cluster {
  readonly controlPlane: ControlPlane;
  readonly api: Api;
  readonly installation: Installation;
}

describe('the webhook', { skip: leftOut('control plane') }, () => {
  let started: Cluster | undefined;
  const cluster = (): Cluster => started ?? assert.fail('the control plane was not started');

  before(async () => {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const controlPlane = await startControlPlane(folder);
    const api = apiOf(controlPlane);
    const installation = await installManifests({ folder, controlPlane, api, settings, flags });
    started = { controlPlane, api, installation };
    const from = performance.now();
    await Promise.all([installation.add(), installation.add()]);
    console.log(`two replicas are ready ${Math.round(performance.now() - from)} ms after their start`);
  });
  after(async () => {
    await started?.installation.stop();
    started?.api.close();
    await started?.controlPlane.stop();
  });

  testScenarios(() => ({ ...cluster(), settings }));

  describe('faults under load', () => {
    let pod: V1Pod | undefined;
    before(async () => {
      const { controlPlane, api } = cluster();
      await makeNamespace(api, 'faults', optedIn);
      await makeNamespace(api, 'faults-plain', {});
      const own = workloadsIn(ownChart, 'own-chart');
      const [first] = await applyAndWait(controlPlane, api, own, 'faults-plain');
      await controlPlane.kubectl(['create', 'serviceaccount', 'falco', '--namespace', 'faults']);
      assert.ok(first?.spec !== undefined);
      pod = { metadata: { generateName: 'falco-' }, spec: first.spec };
    });
    testFaults(() => ({
      ...cluster(),
      optedIn: 'faults',
      pod: pod ?? assert.fail('no pod'),
      failurePolicy: (failurePolicy) => patchWebhook(cluster().controlPlane.kubectl, { failurePolicy }),
      flags,
      settings,
    }));
  });

  test('the init container of a created pod runs in the built image, and tags the rules', {
    skip: leftOut('image'),
  }, async () => {
    const { controlPlane, api } = cluster();
    const recorded = recordedPods(upstreamFolder ?? join(root, 'test/real/own-pod')).find(({ from }) =>
      ['falco-9.1.0-defaults', 'own-pod'].includes(from),
    );
    assert.ok(recorded !== undefined);
    await makeNamespace(api, 'node', optedIn);
    const { status, body } = await api.call('POST', '/api/v1/namespaces/node/pods', {
      metadata: { name: 'falco' },
      spec: { ...recorded.pod.spec, serviceAccountName: 'default', serviceAccount: 'default' },
    });
    assert.equal(status, 201, JSON.stringify(body));
    const image = buildImage();
    // Safe: 201 means that this is the pod.
    await onNode(image, recorded, body as V1Pod, async (node) => {
      const { rules, tagged } = await tagTwice(node, ['staging']);
      console.log(
        `${recorded.from}: ${tagged} of ${rules} rules tagged by the created pod's own init container`,
      );
      assert.ok(tagged > 0);
    });
    await controlPlane.kubectl(['delete', 'namespace', 'node', '--wait=false']);
  });
});
