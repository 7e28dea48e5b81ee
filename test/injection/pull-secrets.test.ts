import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { effectiveSettings } from '../../src/federation/effective-settings.ts';
import { inject } from '../../src/injection/inject.ts';
import type { PodTemplate, SeenAs } from '../../src/injection/pod-template.ts';
import { settingsFrom } from './pods.ts';

const identityBy = (settings: string) =>
  effectiveSettings(settingsFrom(settings), undefined, undefined).effective;
const asking = identityBy('cluster: staging\nrules: {imagePullSecrets: [mirror]}\n');
const silent = identityBy('cluster: staging\n');

function falco(...secrets: readonly string[]): PodTemplate {
  return {
    spec: {
      ...(secrets.length === 0 ? {} : { imagePullSecrets: secrets.map((name) => ({ name })) }),
      containers: [{ name: 'falco', image: 'falcosecurity/falco:0.44.1', args: ['/usr/bin/falco'] }],
    },
  };
}

function injected(template: PodTemplate, seenAs: SeenAs, effective = asking) {
  const { template: after, findings } = inject(template, effective, { seenAs });
  return {
    after,
    secrets: after.spec.imagePullSecrets?.map(({ name }) => name),
    codes: findings.map(({ code }) => code),
  };
}

describe('Secrets that our image is pulled with', () => {
  test('where a template names none: in a pod, not in a workload, and in a file with a warning', () => {
    assert.deepEqual(injected(falco(), 'pod').secrets, ['mirror']);
    assert.deepEqual(injected(falco(), 'pod').codes, []);
    assert.equal(injected(falco(), 'workload').secrets, undefined);
    assert.deepEqual(injected(falco(), 'file').secrets, ['mirror']);
    assert.deepEqual(injected(falco(), 'file').codes, ['pull_secrets_of_account_hidden']);
  });

  test('a template that names some loses nothing by one more', () => {
    for (const seenAs of ['pod', 'workload', 'file'] as const) {
      const { secrets, codes } = injected(falco('own'), seenAs);
      assert.deepEqual([secrets, codes], [['own', 'mirror'], []], seenAs);
    }
  });

  test("a pod of a workload that was injected before gets them beside its service account's", () => {
    const { spec, ...rest } = injected(falco(), 'workload').after;
    const pod = { ...rest, spec: { ...spec, imagePullSecrets: [{ name: 'of-the-account' }] } };
    assert.deepEqual(injected(pod, 'pod').secrets, ['of-the-account', 'mirror']);
  });

  test('go when the settings ask for them no more; one that the user names stays', () => {
    assert.deepEqual(injected(injected(falco('own'), 'file').after, 'file', silent).secrets, ['own']);
    assert.equal(injected(injected(falco(), 'file').after, 'file', silent).secrets, undefined);
    const users = injected(falco('mirror'), 'file');
    assert.deepEqual(users.secrets, ['mirror']);
    assert.deepEqual(injected(users.after, 'file', silent).secrets, ['mirror']);
  });

  test('only where a container of ours is', () => {
    const old: PodTemplate = {
      spec: { containers: [{ name: 'falco', image: 'falco:0.36.0', args: ['falco'] }] },
    };
    assert.equal(injected(old, 'pod').secrets, undefined);
  });
});

describe('while the image is not known', () => {
  const { image: _, ...rules } = asking.rules;
  const unknown = { ...asking, rules };

  test('nothing is put into the pod that runs it; alerts get their fields, and it is told', () => {
    const { after, secrets, codes } = injected(falco(), 'pod', unknown);
    assert.deepEqual([secrets, codes], [undefined, ['image_unknown']]);
    assert.equal(after.spec.containers.length, 1);
    assert.equal(after.spec.initContainers, undefined);
    assert.equal(after.spec.volumes, undefined);
    assert.match(after.spec.containers[0]?.args?.join(' ') ?? '', /append_output/);
    assert.doesNotMatch(after.spec.containers[0]?.args?.join(' ') ?? '', /config_files/);
  });

  test('a template of that time is completed when it is known', () => {
    const before = injected(falco(), 'file', unknown).after;
    const known = injected(before, 'file');
    assert.deepEqual(known.after.spec, injected(falco(), 'file').after.spec);
  });
});
