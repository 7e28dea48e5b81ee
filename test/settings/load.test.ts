import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { describeProblem, loadSettings, parseSettings } from '../../src/settings/load.ts';
import { temporaryFolder } from '../temporary-folder.ts';

function problems(text: string): string[] {
  const result = parseSettings(text);
  assert.ok(!result.ok, 'was accepted');
  return result.problems.map((problem) => describeProblem('federation.yaml', problem));
}

function oneProblem(text: string): string {
  const all = problems(text);
  assert.equal(all.length, 1, all.join('\n'));
  return all[0] ?? '';
}

describe('settings', () => {
  test('the name of the cluster is all that is needed', () => {
    const result = parseSettings('cluster: staging\n');
    assert.ok(result.ok);
    const { rules, ...rest } = result.settings;
    assert.deepEqual(rest, { cluster: 'staging', role: 'spoke', injectAt: 'pod' });
    const { image, imagePullSecrets, resources, followResources, ...modes } = rules;
    const expected = {
      enabled: true,
      startup: 'init',
      inImage: 'copy',
      follow: true,
      onFailure: 'ignore',
    };
    assert.deepEqual(modes, expected);
    assert.equal(image, undefined, 'the image that the webhook runs from');
    assert.deepEqual(imagePullSecrets, []);
    for (const { requests, limits } of [resources, followResources])
      assert.ok(requests?.cpu && requests.memory && limits?.cpu && limits.memory);
  });

  test('a file with every kind of setting is accepted', () => {
    const result = parseSettings(`cluster: staging
role: spoke
labels: { env: staging, region: eu-west }
tags: [staging, eu_west]
injectAt: workload
rules: { enabled: true, startup: alongside, inImage: leave, follow: false, onFailure: fail, image: m.example/f:1, resources: { limits: { cpu: 1 } }, followResources: { requests: { memory: 16Mi } } }
hub: { address: "https://h.example/in", minimumPriority: warning }
`);
    assert.ok(result.ok, JSON.stringify(result));
  });

  const refusals: readonly (readonly [name: string, text: string, told: RegExp])[] = [
    ['an empty file', '', /^federation\.yaml: cluster: is required$/],
    ['a list', '- a\n', /federation\.yaml:1:1: must be a mapping, not \["a"\]/],
    ['a number as name', 'cluster: 12\n', /:1:10: cluster: must be a string .*booleans\), not 12/],
    [
      'a name that is no label value',
      'cluster: -a-\n',
      /cluster: must consist of letters.*value of a pod label; got "-a-"/,
    ],
    ['a name too long', `cluster: ${'a'.repeat(64)}\n`, /cluster: must be at most 63 characters long/],
    [
      'a name that cannot be a tag',
      'cluster: eu.west\n',
      /tags: must be set, because the cluster's name cannot be a tag/,
    ],
    ['a misspelt key', 'cluster: a\nlabls: {}\n', /:2:8: labls: is not a setting; did you mean "labels"\?/],
    [
      'a misspelt key below',
      'cluster: a\nhub:\n  adress: x\n  address: http://h\n',
      /:3:11: hub\.adress: .*did you mean "address"/,
    ],
    [
      'a key like none',
      'cluster: a\nxyzzy: 1\n',
      /xyzzy: is not a setting; valid keys are cluster, role, labels/,
    ],
    ['a role that is none', 'cluster: a\nrole: leaf\n', /role: must be one of spoke, hub, not "leaf"/],
    [
      'a label key with a dash',
      'cluster: a\nrole: hub\nlabels: {a-b: c}\n',
      /labels\.a-b: .*falcosidekick makes it a Prometheus label/,
    ],
    ['a label key with a dot', 'cluster: a\nrole: hub\nlabels: {a.b: c}\n', /labels\.a\.b: /],
    ['a label key of Prometheus', 'cluster: a\nrole: hub\nlabels: {__a: c}\n', /must not start with "__"/],
    ...['hostname', 'rule', 'priority', 'priority_raw', 'source', 'k8s_ns_name', 'k8s_pod_name'].map(
      (key) =>
        [
          `falcosidekick's own label ${key}`,
          `cluster: a\nrole: hub\nlabels: {${key}: c}\n`,
          /panics at start-up/,
        ] as const,
    ),
    [
      'a label value with a comma',
      'cluster: a\nrole: hub\nlabels: {env: "a,b"}\n',
      /labels\.env: .*splits.*; got "a,b"/,
    ],
    [
      'a label value with a colon',
      'cluster: a\nrole: hub\nlabels: {env: "a:b"}\n',
      /labels\.env: .*splits.*; got "a:b"/,
    ],
    ['a label value with a space', 'cluster: a\nrole: hub\nlabels: {env: "a b"}\n', /labels\.env: .*spaces/],
    [
      'a label value that is a format',
      'cluster: a\nlabels: {env: "%x"}\n',
      /labels\.env: .*formats, templates/,
    ],
    ['a label value that is a reference', 'cluster: a\nlabels: {env: "$(X)"}\n', /labels\.env: .*references/],
    ['an empty label value', 'cluster: a\nlabels: {env: ""}\n', /labels\.env: .*must not be empty/],
    ['a label value that is a number', 'cluster: a\nlabels: {env: 1}\n', /labels\.env: .*booleans; got 1/],
    [
      'a tag with a colon',
      'cluster: a\ntags: [a, "x:y"]\n',
      /:2:11: tags\[1\]: .*only escapes "-"; got "x:y"/,
    ],
    ['a tag with a space', 'cluster: a\ntags: ["a b"]\n', /tags\[0\]: /],
    ['tags that are text', 'cluster: a\ntags: a\n', /tags: must be a sequence, not "a"/],
    ['a hub on the hub', 'cluster: a\nrole: hub\nhub: {address: "http://h"}\n', /hub: is for spokes only/],
    ['a hub without address', 'cluster: a\nhub: {}\n', /hub\.address: is required/],
    [
      'an address of another scheme',
      'cluster: a\nhub: {address: "ftp://h"}\n',
      /hub\.address: must be an http/,
    ],
    [
      'a priority that is none',
      'cluster: a\nhub: {address: "http://h", minimumPriority: high}\n',
      /must be one of emergency/,
    ],
    [
      'a quantity that is none',
      'cluster: a\nrules: {resources: {limits: {cpu: -1}}}\n',
      /rules\.resources\.limits\.cpu: .*got -1/,
    ],
    [
      'a Secret that is none',
      'cluster: a\nrules: {imagePullSecrets: ["A B"]}\n',
      /rules\.imagePullSecrets\[0\]: /,
    ],
    [
      'a forwarder on a hub',
      'cluster: a\nrole: hub\nforwarder: {spoolSize: 1Gi}\n',
      /:3:12: forwarder: is for spokes with "hub" only/,
    ],
    [
      'a spool that is too small',
      'cluster: a\nhub: {address: "http://h"}\nforwarder: {spoolSize: 1Mi}\n',
      /forwarder\.spoolSize: must be between 16Mi/,
    ],
    ['broken YAML', 'cluster: [\n', /federation\.yaml:\d+:\d+: is not valid YAML/],
    [
      'a second document',
      'cluster: a\n---\ncluster: b\n',
      /:2:1: is not valid YAML: Source contains multiple documents$/,
    ],
    [
      'a size that is none',
      'cluster: a\nhub: {address: "https://h"}\nalerts: {volumeSize: 16mb}\n',
      /:3:22: alerts\.volumeSize: must be a size such as 16Mi; got "16mb"$/,
    ],
    ['a key twice', 'cluster: a\ncluster: b\n', /:2:1: is not valid YAML: Map keys must be unique/],
  ];
  for (const [name, text, told] of refusals) {
    test(`refused: ${name}`, () => assert.match(oneProblem(text), told));
  }

  test("a spoke's labels may hold what Falco and the forwarder carry; a hub's become falcosidekick's fields", () => {
    const labels = 'labels: { k8s.cluster.name: "arn:aws:eks:eu-1:12:cluster/a, b" }\n';
    assert.ok(parseSettings(`cluster: a\n${labels}hub: {address: "http://h"}\n`).ok);
    assert.equal(problems(`cluster: a\n${labels}role: hub\n`).length, 2);
  });

  test('all that is wrong is told at once', () => {
    assert.equal(problems('labels: {"a b": x}\ntags: ["a b"]\nrole: x\n').length, 4);
  });

  test("an address' password is not told", () => {
    const told = oneProblem('cluster: a\nhub: {address: "http://me:hunter2@h"}\n');
    assert.doesNotMatch(told, /hunter2/);
    assert.match(told, /must not contain a user or password/);
  });

  test('aliases that multiply are refused, not followed', () => {
    const lines = [
      'a0: &a0 [x, x]',
      ...Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`),
    ];
    assert.match(problems(lines.join('\n')).join(), /cannot be read: .*alias/i);
  });

  test('a file that is not there is a problem like any other', async () => {
    const result = await loadSettings('/nowhere/federation.yaml');
    assert.ok(!result.ok);
    assert.match(result.problems[0]?.message ?? '', /cannot be read: .*ENOENT/);
  });

  test('a file is read', async () => {
    const file = path.join(temporaryFolder('settings-'), 'federation.yaml');
    writeFileSync(file, 'cluster: a\n');
    assert.ok((await loadSettings(file)).ok);
  });
});
