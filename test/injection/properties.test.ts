import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { V1Container } from '@kubernetes/client-node';
import fc from 'fast-check';
import fastJsonPatch, { type Operation } from 'fast-json-patch';
import { effectiveSettings } from '../../src/federation/effective-settings.ts';
import { inject } from '../../src/injection/inject.ts';
import {
  isTooLarge,
  type PodTemplate,
  readPodTemplate,
  templatePath,
} from '../../src/injection/pod-template.ts';
import { isOurName } from '../../src/injection/status.ts';
import type { Settings } from '../../src/settings/schema.ts';
import { rounds } from '../rounds.ts';
import { assertAcceptable, frozen, podTemplates, settingsFrom, settingsTexts } from './pods.ts';
import { recordedReviews } from './reviews.ts';

function injected(template: PodTemplate, settings: Settings) {
  const { effective } = effectiveSettings(settings, undefined, template.metadata?.annotations);
  return inject(template, effective);
}

function applied(template: PodTemplate, patch: readonly Operation[]): PodTemplate {
  // As text in between, as on the way to the API server: afterwards nothing is shared.
  const sent: Operation[] = JSON.parse(JSON.stringify(patch));
  return fastJsonPatch.applyPatch(structuredClone(template), sent, true).newDocument;
}

const oursInEnvironment = /^(CUSTOMFIELDS|TEMPLATEDFIELDS|CUSTOMTAGS)$/;

/** A container of somebody else but for what we may put into Falco and falcosidekick. */
function foreignPart(container: V1Container): unknown {
  const { args, env, volumeMounts, ...rest } = container;
  return {
    ...rest,
    env: (env ?? []).filter(({ name }) => !oursInEnvironment.test(name)),
    volumeMounts: (volumeMounts ?? []).filter(({ name }) => !name.startsWith('falco-federation')),
  };
}

function assertForeignUntouched(before: PodTemplate, after: PodTemplate): void {
  const lists = ['containers', 'initContainers', 'volumes'] as const;
  for (const list of lists) {
    const was = before.spec[list] ?? [];
    const is = (after.spec[list] ?? []).slice(0, was.length);
    assert.deepEqual(
      is.map(({ name }) => name),
      was.map(({ name }) => name),
      `${list} moved`,
    );
    const added = (after.spec[list] ?? []).slice(was.length).map(({ name }) => name);
    for (const name of added) assert.match(name, /^falco-federation/, `${list}: ${name} is not ours`);
  }
  before.spec.containers.forEach((container, at) => {
    const now = after.spec.containers[at];
    assert.ok(now);
    assert.deepEqual(foreignPart(now), foreignPart(container));
    assert.deepEqual(now.args?.slice(0, container.args?.length ?? 0) ?? [], container.args ?? []);
  });
  const inits = before.spec.initContainers ?? [];
  assert.deepEqual((after.spec.initContainers ?? []).slice(0, inits.length), inits);
}

/** Add-only, but for the env entries that are merged and the empty CUSTOMTAGS that goes. */
function assertPatchIsModest(patch: readonly Operation[]): void {
  for (const { op, path } of patch) {
    if (op === 'add') continue;
    assert.match(path, /^\/spec\/containers\/\d+\/env\/\d+/, `${op} ${path}`);
  }
}

function check(template: PodTemplate, settings: Settings): void {
  const before = frozen(template);
  const result = injected(before, settings);
  const after = applied(template, result.patch);
  assert.deepEqual(
    after,
    result.patch.length === 0 ? template : result.template,
    'patch and template differ',
  );
  assertPatchIsModest(result.patch);
  assertForeignUntouched(template, after);
  assertAcceptable(after.spec);
  const again = injected(frozen(after), settings);
  assert.deepEqual(again.patch, [], 'a second injection changes something');
}

describe('what must always hold', () => {
  test('for every recorded review: the patch fits, adds only, is complete, and nothing is to do twice', (t) => {
    const all = ['cluster: staging\nhub: {address: "https://hub.example"}\n', 'cluster: obsrv\nrole: hub\n'];
    for (const { name, text } of recordedReviews(t)) {
      const { request } = JSON.parse(text);
      const path = templatePath(request.kind.kind);
      assert.ok(path, name);
      const template = readPodTemplate(request.object, path);
      assert.ok(template, name);
      for (const settings of all) check(template, settingsFrom(settings));
    }
  });

  test('for generated pods', () => {
    fc.assert(
      fc.property(podTemplates, settingsTexts, (template, settings) =>
        check(template, settingsFrom(settings)),
      ),
      rounds(200),
    );
  });

  test('a field that is null is one that is not there, before an injection and after it', () => {
    fc.assert(
      fc.property(podTemplates, settingsTexts, (template, text) => {
        const settings = settingsFrom(text);
        for (const before of [template, applied(template, injected(template, settings).patch)]) {
          const { reason, findings } = injected(before, settings);
          const unset = readPodTemplate(frozen(unsetFieldsNull(before)), []);
          assert.ok(unset);
          assert.equal(isTooLarge(unset), false);
          const result = injected(unset, settings);
          assert.deepEqual([result.reason, result.findings], [reason, findings]);
          const after = applied(unset, result.patch);
          assert.deepEqual(
            injected(frozen(after), settings).patch,
            [],
            'a second injection changes something',
          );
        }
      }),
      rounds(100),
    );
  });

  test('a pod of which parts of ours are missing is completed without doubles', () => {
    fc.assert(
      fc.property(podTemplates, settingsTexts, fc.infiniteStream(fc.boolean()), (template, text, coins) => {
        const settings = settingsFrom(text);
        const full = applied(template, injected(template, settings).patch);
        const toss = (): boolean => coins.next().value === true;
        const some = <T extends { name: string }>(list: T[] | null | undefined): T[] =>
          (list ?? []).filter(({ name }) => !name.startsWith('falco-federation') || toss());
        const half: PodTemplate = {
          ...full,
          spec: {
            ...full.spec,
            containers: some(full.spec.containers).map((one) =>
              one.volumeMounts ? { ...one, volumeMounts: some(one.volumeMounts) } : one,
            ),
            ...(full.spec.initContainers ? { initContainers: some(full.spec.initContainers) } : {}),
            ...(full.spec.volumes ? { volumes: some(full.spec.volumes) } : {}),
          },
        };
        const completed = applied(half, injected(frozen(half), settings).patch);
        assert.deepEqual(sorted(completed), sorted(full));
        assertAcceptable(completed.spec);
      }),
      rounds(100),
    );
  });

  test('another webhook adding to every container between two calls is left alone', () => {
    fc.assert(
      fc.property(podTemplates, settingsTexts, (template, text) => {
        const settings = settingsFrom(text);
        const first = applied(template, injected(template, settings).patch);
        const mesh = (one: V1Container): V1Container => ({
          ...one,
          terminationMessagePath: '/dev/termination-log',
          env: [...(one.env ?? []), { name: 'MESH', value: 'on' }],
          volumeMounts: [...(one.volumeMounts ?? []), { name: 'mesh', mountPath: '/mesh' }],
        });
        const meshed: PodTemplate = {
          ...first,
          spec: {
            ...first.spec,
            containers: [...first.spec.containers.map(mesh), { name: 'proxy', image: 'mesh' }],
            volumes: [...(first.spec.volumes ?? []), { name: 'mesh', secret: { secretName: 'mesh' } }],
          },
        };
        // At most the tagging containers are told of Falco's new variable, and the status of its new mount; nothing of
        // the mesh goes.
        const { patch } = injected(frozen(meshed), settings);
        const ours =
          /^\/(?:spec\/(?:initContainers|containers)\/\d+\/(?:args\/|env(?:\/|$))|metadata\/annotations\/falco-federation\.io~1status$)/;
        for (const { path } of patch) assert.match(path, ours);
        const settled = applied(meshed, patch);
        for (const one of settled.spec.containers.slice(0, -1)) {
          assert.ok(
            one.env?.some(({ name }) => name === 'MESH'),
            one.name,
          );
          assert.ok(
            one.volumeMounts?.some(({ name }) => name === 'mesh'),
            one.name,
          );
        }
        assert.deepEqual(injected(frozen(settled), settings).patch, []);
      }),
      rounds(100),
    );
  });
});

/** The template as `kubectl` and Helm hand it on where a manifest has keys without values. */
function unsetFieldsNull({ metadata, spec }: PodTemplate): unknown {
  const unset = (one: V1Container) => ({
    ...{ command: null, args: null, envFrom: null, resources: null, ...one },
    env: one.env?.map((entry) => ({ value: null, ...entry })) ?? null,
    volumeMounts: one.volumeMounts ?? null,
  });
  const containers = (list: readonly V1Container[]) =>
    list.map((one) => (isOurName(one.name) ? one : unset(one)));
  return {
    metadata: { labels: null, annotations: null, ...metadata },
    spec: {
      ...{ volumes: null, imagePullSecrets: null, securityContext: null, ...spec },
      containers: containers(spec.containers),
      initContainers: spec.initContainers ? containers(spec.initContainers) : null,
    },
  };
}

/** Lists of ours are appended in another order when some were there already. */
function sorted(template: PodTemplate): unknown {
  const byName = (a: { name: string }, b: { name: string }): number => a.name.localeCompare(b.name);
  const { spec } = template;
  return {
    ...template,
    spec: {
      ...spec,
      containers: spec.containers
        .map((one) =>
          one.volumeMounts
            ? {
                ...one,
                volumeMounts: [...one.volumeMounts].sort((a, b) => a.mountPath.localeCompare(b.mountPath)),
              }
            : one,
        )
        .sort(byName),
      ...(spec.initContainers ? { initContainers: [...spec.initContainers].sort(byName) } : {}),
      ...(spec.volumes ? { volumes: [...spec.volumes].sort(byName) } : {}),
    },
  };
}
