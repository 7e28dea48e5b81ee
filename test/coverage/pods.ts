import type { V1Container, V1PodStatus } from '@kubernetes/client-node';
import jsonPatch from 'fast-json-patch';
import { injectObject } from '../../src/admission/inject-object.ts';
import { type SeenPod, seePod } from '../../src/coverage/seen-pod.ts';
import type { EffectiveFor } from '../../src/coverage/survey.ts';
import { effectiveSettings } from '../../src/federation/effective-settings.ts';
import type { Settings } from '../../src/settings/schema.ts';
import { settingsFrom } from '../injection/pods.ts';

/** Pods as the API server sends them: of a hub, where falcosidekick is injected too. */

export const today = settingsFrom('cluster: staging\nrole: hub\n');
export const before = settingsFrom('cluster: before\nrole: hub\n');

export const falco: V1Container = { name: 'falco', image: 'falco:0.44.1', args: ['/usr/bin/falco'] };
export const sidekick: V1Container = { name: 'falcosidekick', image: 'falcosidekick:2.32.0' };

let made = 0;

export interface PodParts {
  readonly name?: string;
  readonly containers?: readonly V1Container[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly owner?: { readonly kind: string; readonly name: string };
  readonly status?: object;
  readonly deletionTimestamp?: string;
  /** The settings with which the webhook injected it; otherwise it was not there. */
  readonly injected?: Settings;
}

export function pod(parts: PodParts = {}): unknown {
  made += 1;
  const { labels = {}, annotations = {}, containers = [falco], owner, injected, status = {} } = parts;
  const asked = {
    metadata: {
      name: parts.name ?? `pod-${made}`,
      uid: `uid-${made}`,
      resourceVersion: String(made),
      creationTimestamp: '2026-11-01T00:00:00Z',
      ...(parts.deletionTimestamp === undefined ? {} : { deletionTimestamp: parts.deletionTimestamp }),
      ...{ labels, annotations },
      ...(owner === undefined
        ? {}
        : {
            ownerReferences: [
              { apiVersion: 'apps/v1', ...owner, uid: `uid-of-${owner.name}`, controller: true },
            ],
          }),
    },
    spec: { containers: [...containers] },
  };
  if (injected === undefined) return { ...asked, status };
  const { patch } = injectObject(asked, 'Pod', injected, undefined);
  const { newDocument } = jsonPatch.applyPatch(asked, [...patch], true, false);
  return { ...newDocument, status };
}

export const effectiveFor: EffectiveFor = (_namespace, { annotations }) =>
  effectiveSettings(today, undefined, annotations).effective;

export function seen(parts: PodParts = {}, settings = today, namespace = 'falco'): SeenPod | undefined {
  return seePod(pod(parts), namespace, (own) => effectiveSettings(settings, undefined, own).effective);
}

type Statuses = NonNullable<V1PodStatus['containerStatuses']>;

/** The status of one container. */
export function containerStatus(name: string, state: object, lastState: object = {}): Statuses[number] {
  return { name, image: '', imageID: '', ready: false, restartCount: 1, state, lastState };
}
