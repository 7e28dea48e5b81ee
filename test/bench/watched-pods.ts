/** Falco pods of a federated cluster as the API server sends them: 18 KB each, injected, with what a kubelet writes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fastJsonPatch from 'fast-json-patch';
import { injectObject } from '../../src/admission/inject-object.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { defaultImage, withImage } from '../../src/settings/schema.ts';
import { areRecorded, recordedPod } from './bodies.ts';
import { root } from './webhook.ts';

const containerStatuses = (names: readonly string[]) =>
  names.map((name) => ({
    ...{
      name,
      image: `docker.io/example/${name}:1`,
      imageID: `docker.io/example/${name}@sha256:${'0'.repeat(64)}`,
    },
    ...{
      ready: true,
      started: true,
      restartCount: 0,
      state: { running: { startedAt: '2026-11-01T00:00:00Z' } },
    },
    ...{ containerID: `containerd://${'0'.repeat(64)}`, resources: {}, volumeMounts: [] },
  }));

/** What one namespace's list holds, from one position to another. */
export type PodsOf = (namespace: string, from: number, to: number) => readonly unknown[];

/**
 * @param settings file of the settings that injected them
 * @param podsInNamespace in each of the namespaces that are opted in
 */
export async function watchedPods(settings: string, podsInNamespace: number): Promise<PodsOf> {
  const loaded = await loadSettings(settings);
  if (!loaded.ok) throw new Error('the settings of the benchmark are not good');
  // As a webhook that runs in no pod of its own.
  const settingsInForce = withImage(loaded.settings, defaultImage);
  const file = areRecorded ? recordedPod : join(root, 'docs/examples/review.json');
  const { object } = JSON.parse(readFileSync(file, 'utf8')).request;
  const { patch } = injectObject(object, 'Pod', settingsInForce, undefined);
  const injected = fastJsonPatch.applyPatch(object, [...patch], true, false).newDocument;
  const names = injected.spec.containers.map(({ name }: { name: string }) => name);
  const status = {
    phase: 'Running',
    conditions: ['Ready', 'PodScheduled', 'Initialized', 'ContainersReady'].map((type) => ({
      type,
      status: 'True',
    })),
    containerStatuses: containerStatuses(names),
    initContainerStatuses: containerStatuses(
      (injected.spec.initContainers ?? []).map(({ name }: { name: string }) => name),
    ),
  };
  // The kubelet's own fields, which are there on every running pod.
  const fields = {
    'f:status': Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`f:field-${at}`, {}])),
  };
  const managedFields = [
    ...(injected.metadata.managedFields ?? []),
    { manager: 'kubelet', fieldsV1: fields },
  ];
  return (namespace, from, to) =>
    Array.from({ length: Math.max(0, Math.min(to, podsInNamespace) - from) }, (_, at) => {
      const id = `${namespace}-${from + at}`;
      return {
        ...injected,
        metadata: {
          ...injected.metadata,
          ...{ name: `falco-${id}`, namespace, managedFields, resourceVersion: String(from + at + 1) },
          ...{
            uid: `00000000-0000-0000-0000-${id.padStart(20, '0')}`,
            creationTimestamp: '2026-11-01T00:00:00Z',
          },
          ownerReferences: [
            {
              apiVersion: 'apps/v1',
              kind: 'DaemonSet',
              name: 'falco',
              uid: `uid-${namespace}`,
              controller: true,
            },
          ],
        },
        status,
      };
    });
}
