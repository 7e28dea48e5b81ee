import assert from 'node:assert/strict';
import { test } from 'node:test';
import { effectiveSettings } from '../../src/federation/effective-settings.ts';
import { statusAnnotation } from '../../src/federation/names.ts';
import { inject } from '../../src/injection/inject.ts';
import type { PodTemplate } from '../../src/injection/pod-template.ts';
import { readStatus } from '../../src/injection/status.ts';
import { settingsFrom } from './pods.ts';

const settings = settingsFrom('cluster: staging\nrole: hub\n');

function injected(template: PodTemplate): PodTemplate {
  const { effective, findings } = effectiveSettings(settings, undefined, template.metadata?.annotations);
  return inject(template, effective, { foundBefore: findings }).template;
}

function pod(...args: string[]): PodTemplate {
  const falco = { name: 'falco', image: 'falcosecurity/falco:0.44.1', args: ['/usr/bin/falco', ...args] };
  return { metadata: { annotations: {} }, spec: { containers: [falco] } };
}

function findingsOf(template: PodTemplate): readonly string[] | undefined {
  return readStatus(template)?.findings;
}

test('codes are sorted and there once, those about annotations too', () => {
  const template = pod('-r', '/a.yaml', '-o', 'append_output={}', '-o', 'append_output={}');
  const annotations = { 'falco-federation.io/tags': '!', 'falco-federation.io/cluster': '-' };
  // Two of one kind, and something of ours to add.
  const sidekick = { name: 'falcosidekick', image: 'falcosecurity/falcosidekick:2.32.0' };
  const both = { metadata: { annotations }, spec: { containers: [...template.spec.containers, sidekick] } };
  assert.deepEqual(findingsOf(injected(both)), [
    'annotation_invalid',
    'fields_option_conflict',
    'rules_given_by_argument',
  ]);
});

test('without findings the annotation has no such key, and one of an older version is read as having none', () => {
  const sidekick = { name: 'falcosidekick', image: 'falcosecurity/falcosidekick:2.32.0' };
  const text = injected({ spec: { containers: [sidekick] } }).metadata?.annotations?.[statusAnnotation] ?? '';
  assert.deepEqual(Object.keys(JSON.parse(text)), ['version', 'cluster', 'settings', 'added']);
  for (const status of ['{"added":[]}', '{"added":[],"findings":"x"}', '{"added":[],"findings":[1]}']) {
    const older: PodTemplate = { ...pod(), metadata: { annotations: { [statusAnnotation]: status } } };
    assert.deepEqual(findingsOf(older), []);
  }
});

test('what injection did away with itself stays told as long as all is as it was, and no longer', () => {
  const sidekick = {
    name: 'falcosidekick',
    image: 'falcosecurity/falcosidekick:2.32.0',
    env: [{ name: 'CUSTOMFIELDS', value: 'env:mine' }],
  };
  const first = injected({ spec: { containers: [sidekick] } });
  assert.deepEqual(findingsOf(first), ['custom_field_removed']);
  assert.equal(injected(first), first);
  const was = injected(pod('-r', '/a.yaml'));
  assert.deepEqual(findingsOf(was), ['rules_given_by_argument']);
  const now = injected({ ...pod(), metadata: was.metadata ?? {} });
  assert.equal(findingsOf(now)?.includes('rules_given_by_argument'), false);
});

test('the annotation holds no value of a user’s', () => {
  const sidekick = {
    name: 'falcosidekick',
    image: 'falcosecurity/falcosidekick:2.32.0',
    env: [
      { name: 'CUSTOMFIELDS', value: 'env:s3cret' },
      { name: 'TEMPLATEDFIELDS', value: 'team:s3cret' },
      { name: 'NODERED_PASSWORD', value: 's3cret' },
    ],
  };
  const falco = pod('-o', 'append_output[]={"extra_fields": [{"env": "s3cret"}]}').spec.containers;
  const { metadata } = injected({ spec: { containers: [...falco, sidekick] } });
  assert.doesNotMatch(metadata?.annotations?.[statusAnnotation] ?? '', /s3cret/);
});
