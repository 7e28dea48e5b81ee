/** docs/compatibility.md says what the code does, and which versions the tests run. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { effectiveSettings } from '../../src/federation/effective-settings.ts';
import { panickingFields } from '../../src/injection/falcosidekick/prometheus-labels.ts';
import { imageVersion } from '../../src/injection/image.ts';
import { inject } from '../../src/injection/inject.ts';
import { settingsFrom } from '../injection/pods.ts';
import { textOf } from './pages.ts';

const page = textOf('docs/compatibility.md');

/** Cells of the row that begins with a word. */
function row(first: string): readonly string[] {
  const line = page.split('\n').find((one) => one.startsWith(`| ${first} |`)) ?? assert.fail(first);
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
}

/** Major and minor version of a Go module that a go.mod requires. */
function required(file: string, module: string): string {
  const [, version] = new RegExp(`${module} v(\\d+\\.\\d+)\\.`).exec(textOf(file)) ?? [];
  return version ?? assert.fail(`${file}: ${module}`);
}

const { effective: ofSpoke } = effectiveSettings(
  settingsFrom('cluster: staging\nhub: {address: "https://hub.corp.net"}\n'),
  undefined,
  undefined,
);

function injected(image: string) {
  return inject({ spec: { containers: [{ name: 'falco', image, args: ['/usr/bin/falco'] }] } }, ofSpoke, {
    seenAs: 'pod',
  });
}

describe('docs/compatibility.md', () => {
  test('Kubernetes, Helm and kustomize are those of the tests', () => {
    const kubernetes = required('test/e2e/control-plane/go.mod', 'k8s.io/kubernetes');
    assert.ok(row('Kubernetes')[1]?.startsWith(`${kubernetes}, a real`));
    assert.ok(row('kustomize')[1]?.endsWith(`kubectl ${kubernetes}`));
    const helm = [3, 4].map((major) =>
      required(`test/e2e/clients/helm-${major}/go.mod`, `helm.sh/helm/v${major}`),
    );
    assert.equal(row('Helm')[1], helm.join(' and '));
    const kustomize = required('test/e2e/clients/kustomize/go.mod', 'sigs.k8s.io/kustomize/kustomize/v5');
    assert.ok(row('kustomize')[1]?.startsWith(`${kustomize},`));
  });

  test('the oldest Kubernetes is that of the chart, and Node that of the program', () => {
    const [, oldest = ''] = /kubeVersion: ">=(\d+\.\d+)/.exec(textOf('manifests/chart/Chart.yaml')) ?? [];
    assert.ok(row('Kubernetes')[3]?.startsWith(`before ${oldest}:`));
    const [node] = row('Node, for the program outside the image').slice(1);
    const [oldestNode, ofServers] = node?.split(' and ') ?? [];
    assert.ok(
      textOf('src/commands/program.ts').includes(`forServers.has(name) ? ${ofServers} : ${oldestNode})`),
    );
  });

  const [, ofFalco = ''] = page.split('\n## Falco\n');
  const versions = [...(ofFalco.split('\n## ')[0] ?? '').matchAll(/^\| ([\d.]+|latest) \|/gm)];

  test('every minor version of Falco at which something changes has its row', () => {
    assert.ok(versions.length >= 7);
  });

  for (const [, version = ''] of versions) {
    test(`Falco ${version}`, () => {
      const [, tagged = '', field = '', told = ''] = row(version);
      const { template, reason, findings } = injected(`falcosecurity/falco:${version}`);
      const { initContainers = [], containers } = template.spec;
      const args = containers[0]?.args ?? [];
      assert.equal(
        initContainers.some(({ name }) => name === 'falco-federation-tag-rules'),
        tagged.startsWith('yes'),
      );
      assert.equal(args.includes('config_files[]=/etc/falco-federation'), /older form|likewise/.test(tagged));
      assert.equal(
        args.some((arg) => arg.startsWith('append_output[]=')),
        field.startsWith('yes'),
      );
      const codes = [reason, ...findings].map(({ code }) => code).filter((code) => /^falco_/.test(code));
      assert.deepEqual(codes, told === 'none' ? [] : [told.replaceAll('`', '')]);
    });
  }

  test('falcosidekick: fields with a dot, from the first to the last version that cannot do with them', () => {
    const [range = ''] = row('2.30.0 to 2.33.1');
    const lost = (version: string) =>
      panickingFields(
        { custom: ['k8s.team'], templated: ['k8s.team'], extra: [] },
        imageVersion(`falcosidekick:${version}`),
      ).length > 0;
    for (const version of range.split(' to ')) assert.ok(lost(version), version);
    for (const version of ['2.29.0', row('2.34.1')[0] ?? '']) assert.ok(!lost(version), version);
  });
});
