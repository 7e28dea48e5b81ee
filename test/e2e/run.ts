/**
 * `npm run e2e`: a real control plane, the manifests' objects in it, two replicas of the built program behind the
 * webhook configuration; pods that the controllers create, faults under load, and one created pod's init container
 * run for real.
 *
 * It needs the programs of .ci/install-control-plane; for the last part root and those of .ci/install-tools. What is
 * missing is left out and said; where CI is set it fails instead. So are Helm and kustomize, by .ci/install-clients, for the
 * chart; FALCO_CHART names an unpacked chart of Falco for it. FEDERATION_UPSTREAM names a folder with upstream's
 * rendered charts; without it only our own small workloads are applied.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { V1Pod } from '@kubernetes/client-node';
import { checkCluster } from '../cluster/cluster.e2e.ts';
import { buildImage } from '../real/built-image.ts';
import { missing, must } from '../real/machine.ts';
import { root, upstreamFolder } from '../real/places.ts';
import { recordedPods } from '../real/recorded-pods.ts';
import { onNode, tagTwice } from '../real/tagging-run.ts';
import { type Api, api as apiOf } from './api.ts';
import { checkChart } from './chart/chart.e2e.ts';
import { checkEquality } from './chart/equal.e2e.ts';
import { checkCheck } from './check/check.e2e.ts';
import { missingClients } from './clients/programs.ts';
import { checkRendering } from './clients/rendering.e2e.ts';
import { type ControlPlane, missingPrograms, startControlPlane } from './control-plane.ts';
import { coverageInItsOwnCluster } from './coverage.e2e.ts';
import { applyAndWait, makeNamespace, optedIn, ownChart, workloadsIn } from './created-pods.ts';
import { testFaults } from './faults.ts';
import { flags, installManifests, patchWebhook } from './install-manifests.ts';
import type { Installation } from './installation.ts';
import { checkManifests } from './manifests.e2e.ts';
import { checkNewcomer } from './newcomer.e2e.ts';
import { testScenarios } from './scenarios.ts';

const isCi = process.env.CI === 'true';
const folder = join(root, '.cache', 'e2e');
const settings = 'cluster: staging\nhub: {address: "https://falcosidekick.hub.example"}\n';
const lacking = missingPrograms();
const leftOut = lacking.length > 0 && !isCi && `needs ${lacking.join(', ')} (see .ci/install-control-plane)`;
const lackingForImage = missing();
const imageLeftOut =
  lackingForImage.length > 0 && !isCi && `needs ${lackingForImage.join(', ')} (see .ci/install-tools)`;
for (const said of [leftOut, imageLeftOut]) if (said !== false) console.log(`LEFT OUT: ${said}`);
if (upstreamFolder === undefined) {
  console.log(
    "LEFT OUT: upstream's charts (FEDERATION_UPSTREAM names no folder); only our own workloads are applied",
  );
}

interface Cluster {
  readonly controlPlane: ControlPlane;
  readonly api: Api;
}

describe('in a real control plane', { skip: leftOut }, () => {
  let started: Cluster | undefined;
  const cluster = (): Cluster => started ?? assert.fail('the control plane was not started');

  before(async () => {
    assert.deepEqual(lacking, [], 'programs of .ci/install-control-plane');
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    must('npm', ['run', 'build'], { cwd: root });
    const from = performance.now();
    const controlPlane = await startControlPlane(folder);
    started = { controlPlane, api: apiOf(controlPlane) };
    console.log(`control plane ready after ${((performance.now() - from) / 1000).toFixed(1)} s`);
  });
  after(async () => {
    started?.api.close();
    await started?.controlPlane.stop();
  });

  describe('the manifests', () => checkManifests(() => cluster().controlPlane));
  describe('the cluster room', () => checkCluster(() => cluster().controlPlane));

  describe('the webhook', () => {
    let installed: Installation | undefined;
    const installation = (): Installation => installed ?? assert.fail('nothing was installed');

    before(async () => {
      const { controlPlane, api } = cluster();
      installed = await installManifests({ folder, controlPlane, api, settings, flags });
      const from = performance.now();
      await Promise.all([installed.add(), installed.add()]);
      console.log(`two replicas are ready ${Math.round(performance.now() - from)} ms after their start`);
    });
    after(() => installed?.stop());

    testScenarios(() => ({ ...cluster(), installation: installation(), settings }));

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
        installation: installation(),
        optedIn: 'faults',
        pod: pod ?? assert.fail('no pod'),
        failurePolicy: (failurePolicy) => patchWebhook(cluster().controlPlane.kubectl, { failurePolicy }),
        flags,
        settings,
      }));
    });

    test('the init container of a created pod runs in the built image, and tags the rules', {
      skip: imageLeftOut,
    }, async () => {
      assert.deepEqual(lackingForImage, [], 'programs of .ci/install-tools');
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
});

// In a control plane of its own: the API server's ways to pods are cut there.
describe('falco-federation check', { skip: leftOut }, checkCheck);

// In one of its own too: pods of other tests are not to be replaced.
describe('coverage', { skip: leftOut }, coverageInItsOwnCluster);

// By Helm and kustomize, which are built too.
const lackingClients = missingClients();
const clientsLeftOut =
  lackingClients.length > 0 && !isCi && `needs ${lackingClients.join(', ')} (see .ci/install-clients)`;
if (clientsLeftOut !== false) console.log(`LEFT OUT: ${clientsLeftOut}`);

describe('without a webhook', { skip: clientsLeftOut }, () => {
  before(() => assert.deepEqual(lackingClients, [], 'programs of .ci/install-clients'));
  checkRendering();
});

describe('the Helm chart', { skip: leftOut || clientsLeftOut }, () => {
  before(() => assert.deepEqual(lackingClients, [], 'programs of .ci/install-clients'));
  describe('and the kustomization', checkEquality);
  checkChart();
});

// What the pages say, as it stands there.
describe('a newcomer', { skip: leftOut || clientsLeftOut }, () => {
  before(() => assert.deepEqual(lackingClients, [], 'programs of .ci/install-clients'));
  checkNewcomer();
});
