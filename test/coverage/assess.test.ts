import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { V1Container, V1Pod } from '@kubernetes/client-node';
import { assess } from '../../src/coverage/assess.ts';
import { wellAfter } from '../../src/coverage/container-failure.ts';
import { seePod } from '../../src/coverage/seen-pod.ts';
import { effectiveSettings } from '../../src/federation/effective-settings.ts';
import { version } from '../../src/federation/names.ts';
import {
  before,
  containerStatus,
  effectiveFor,
  falco,
  type PodParts,
  pod,
  seen,
  sidekick,
  today,
} from './pods.ts';

const now = Date.parse('2026-11-26T00:00:00Z');
const minutesAgo = (minutes: number): string => new Date(now - minutes * 60_000).toISOString();

function assessed(parts: PodParts) {
  const pod = seen(parts);
  return pod === undefined ? undefined : assess(pod, effectiveFor('falco', pod), now);
}

const statusKey = 'falco-federation.io/status';
const statusText = (of: string, settings: string) =>
  JSON.stringify({ version: of, cluster: 'staging', settings, added: [] });

const tagRules = 'falco-federation-tag-rules';
const ended = (exitCode: number, about: object = {}) => ({
  terminated: { exitCode, reason: 'Error', ...about },
});
const failingAs = (...statuses: object[]): PodParts => ({
  injected: today,
  containers: [falco, sidekick],
  status: { phase: 'Running', initContainerStatuses: statuses },
});

interface Case {
  readonly about: string;
  readonly parts: PodParts;
  /** State, and what is said of it; `undefined`: it is none of ours. */
  readonly is: string | undefined;
}

const cases: readonly Case[] = [
  { about: 'injected by the settings of today', parts: { injected: today }, is: 'federated' },
  { about: 'injected by others', parts: { injected: before }, is: 'stale pod_stale' },
  {
    about: 'injected by others, of which its own annotation makes the same',
    parts: { injected: before, annotations: { 'falco-federation.io/cluster': 'own' } },
    is: 'federated',
  },
  {
    about: 'injected by another version',
    parts: { annotations: { [statusKey]: statusText('0.0.1', seen()?.outcomeFor ?? '') } },
    is: 'stale pod_stale',
  },
  {
    about: 'of this version and these settings',
    parts: { annotations: { [statusKey]: statusText(version, seen()?.outcomeFor ?? '') } },
    is: 'federated',
  },
  { about: 'not injected', parts: {}, is: 'not_federated pod_not_federated' },
  {
    about: 'a status that is none',
    parts: { annotations: { [statusKey]: 'broken' } },
    is: 'not_federated pod_not_federated',
  },
  {
    about: 'opted out',
    parts: { labels: { 'falco-federation.io/inject': 'disabled' } },
    is: 'skipped opted_out',
  },
  {
    about: 'opted out after it was injected',
    parts: { injected: before, labels: { 'falco-federation.io/inject': 'disabled' } },
    is: 'skipped opted_out',
  },
  {
    about: 'two that may be Falco',
    parts: { containers: [falco, { ...falco, name: 'second' }] },
    is: 'not_federated pod_not_federated',
  },
  {
    about: 'two that are Falco alike',
    parts: {
      containers: [
        { ...falco, name: 'one' },
        { ...falco, name: 'two' },
      ],
    },
    is: 'skipped falco_ambiguous',
  },
  {
    about: 'it only looks',
    parts: { containers: [{ ...falco, args: ['/usr/bin/falco', '-L'] }] },
    is: 'skipped falco_only_looks',
  },
  {
    about: 'too old',
    parts: { containers: [{ ...falco, image: 'falco:0.36.0' }] },
    is: 'skipped falco_too_old',
  },
  {
    about: 'too old by the image, and new by its annotation',
    parts: {
      containers: [{ ...falco, image: 'falco:0.36.0' }],
      annotations: { 'falco-federation.io/falco-version': '0.44.1' },
    },
    is: 'not_federated pod_not_federated',
  },
  {
    about: 'falcosidekick',
    parts: { containers: [sidekick] },
    is: 'not_federated pod_not_federated',
  },
  { about: 'another program', parts: { containers: [{ name: 'web', image: 'web:1' }] }, is: undefined },
  { about: 'it has ended', parts: { status: { phase: 'Succeeded' } }, is: undefined },
  { about: 'it was evicted by its node', parts: { status: { phase: 'Failed' } }, is: undefined },
  {
    about: 'a crash loop of ours, with the code of its last end',
    parts: failingAs(
      containerStatus(
        tagRules,
        { waiting: { reason: 'CrashLoopBackOff' } },
        ended(1, { message: JSON.stringify({ code: 'rules_config_invalid', findings: [] }) }),
      ),
    ),
    is: 'failing pod_failing falco-federation-tag-rules: CrashLoopBackOff, rules_config_invalid',
  },
  {
    about: 'a crash loop of falcosidekick',
    parts: failingAs(containerStatus('falcosidekick', { waiting: { reason: 'CrashLoopBackOff' } }, ended(2))),
    is: 'failing pod_failing falcosidekick: CrashLoopBackOff, exit status 2',
  },
  {
    about: 'killed for its memory',
    parts: failingAs(containerStatus('falco-federation-follow-rules', ended(137, { reason: 'OOMKilled' }))),
    is: 'failing pod_failing falco-federation-follow-rules: OOMKilled',
  },
  {
    about: 'an image that cannot be pulled, in both of its states the same words',
    parts: failingAs(containerStatus(tagRules, { waiting: { reason: 'ErrImagePull' } })),
    is: 'failing pod_failing falco-federation-tag-rules: ImagePullBackOff',
  },
  {
    about: 'failing, and of other settings',
    parts: { ...failingAs(containerStatus(tagRules, ended(1))), injected: before },
    is: 'failing pod_failing falco-federation-tag-rules: exit status 1',
  },
  {
    about: 'about to start',
    parts: failingAs(containerStatus(tagRules, { waiting: { reason: 'PodInitializing' } })),
    is: 'federated',
  },
  { about: 'ours is done', parts: failingAs(containerStatus(tagRules, ended(0), ended(1))), is: 'federated' },
  {
    about: 'runs again since a minute',
    parts: failingAs(containerStatus('falcosidekick', { running: { startedAt: minutesAgo(1) } }, ended(2))),
    is: 'failing pod_failing falcosidekick: exit status 2',
  },
  {
    about: 'runs again for longer than a crash loop lets it',
    parts: failingAs(
      containerStatus('falcosidekick', { running: { startedAt: minutesAgo(wellAfter / 60_000) } }, ended(2)),
    ),
    is: 'federated',
  },
  {
    about: "another program's crash loop",
    parts: failingAs(containerStatus('falco', { waiting: { reason: 'CrashLoopBackOff' } }, ended(1))),
    is: 'federated',
  },
];

describe('how a pod stands to the settings', () => {
  for (const { about, parts, is } of cases) {
    test(`${about}: ${is ?? 'none of ours'}`, () => {
      const found = assessed(parts);
      const { code, detail } = found?.reason ?? {};
      const told = found && [found.state, code, detail].filter((one) => one !== undefined).join(' ');
      assert.equal(told, is);
    });
  }
});

test('a container that another webhook took out again', () => {
  // Safe: it is a pod.
  const { spec, ...whole } = pod({ injected: today }) as V1Pod;
  const who = effectiveSettings(today, undefined, {}).effective;
  const detail = (initContainers: V1Container[] | undefined): string | undefined => {
    const found = seePod({ ...whole, spec: { ...spec, initContainers } }, 'falco', () => who);
    return found && assess(found, who, now).reason?.detail;
  };
  assert.equal(detail(spec?.initContainers), undefined);
  assert.match(detail([]) ?? '', /falco-federation-tag-rules: removed by another webhook or a policy$/);
});

test('what was found at admission and what tag-rules reported is kept, as far as it needs attention', () => {
  const message = JSON.stringify({
    code: 'rules_tagged_in_part',
    findings: [
      { code: 'rules_file_refused', detail: '/etc/falco/a.yaml' },
      { code: 'rules_entry_missing' },
      { code: 'x' },
    ],
  });
  const found = seen({
    injected: today,
    containers: [{ ...falco, image: 'falco:latest' }],
    status: { initContainerStatuses: [containerStatus(tagRules, ended(0, { message }))] },
  });
  // rules_entry_missing is nothing that anyone need do something about, and x no code of ours.
  assert.deepEqual(found?.findings, ['falco_version_unknown', 'rules_file_refused', 'rules_tagged_in_part']);
  for (const broken of ['{', '{}', 'null', '{"code":3,"findings":[null,3]}', undefined]) {
    const status = { initContainerStatuses: [containerStatus(tagRules, ended(0, { message: broken }))] };
    assert.deepEqual(seen({ injected: today, status })?.findings, []);
  }
});

test('pods of one workload share what they have in common', () => {
  const owner = { kind: 'DaemonSet', name: 'falco' };
  const annotations = { 'falco-federation.io/tags': 'a' };
  const [one, other] = [
    seen({ owner, annotations, injected: today }),
    seen({ owner, annotations, injected: today }),
  ];
  assert.ok(one !== undefined && other !== undefined && one !== other);
  for (const key of ['workload', 'annotations', 'seal', 'findings'] as const)
    assert.equal(one[key], other[key], key);
});
