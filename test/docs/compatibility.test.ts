/** docs/compatibility.md says what the code does, and which versions the tests run. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { effectiveSettings } from '../../src/federation/effective-settings.ts';
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

const effectiveFor = (settings: string) =>
  effectiveSettings(settingsFrom(settings), undefined, undefined).effective;
const ofSpoke = effectiveFor('cluster: staging\nhub: {address: "https://hub.corp.net"}\n');
const ofHub = effectiveFor('cluster: obsrv\nrole: hub\n');

interface Own {
  readonly args?: readonly string[];
  readonly fields?: string;
}

function injected(image: string, name: string, { args = [], fields = '' }: Own) {
  const env = [{ name: 'CUSTOMFIELDS', value: fields }];
  const container = { name, image, env, ...(args.length === 0 ? {} : { args: [...args] }) };
  return inject({ spec: { containers: [container] } }, name === 'falco' ? ofSpoke : ofHub, { seenAs: 'pod' });
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
    assert.match(textOf('src/commands/program.ts'), new RegExp(`oldestNode = ${node};`));
  });

  const [, ofFalco = ''] = page.split('\n## Falco\n');
  const versions = [...(ofFalco.split('\n## ')[0] ?? '').matchAll(/^\| ([\d.]+|latest) \|/gm)];

  test('every minor version of Falco at which something changes has its row', () => {
    assert.ok(versions.length >= 7);
  });

  for (const [, version = ''] of versions) {
    test(`Falco ${version}`, () => {
      const [, tagged = '', field = '', told = ''] = row(version);
      const { template, reason, findings } = injected(`falcosecurity/falco:${version}`, 'falco', {
        args: ['/usr/bin/falco'],
      });
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

  /** What is found of a hub's falcosidekick with fields of its user's. */
  const codesOf = (version: string, fields = ''): readonly string[] =>
    injected(`falcosecurity/falcosidekick:${version}`, 'falcosidekick', { fields }).findings.map(
      ({ code }) => code,
    );
  const toldIn = (cell: string | undefined): string => /`(\w+)`/.exec(cell ?? '')?.[1] ?? '';

  test('falcosidekick: fields with a dot, from the first to the last version that cannot do with them', () => {
    const [range = '', what] = row('2.30.0 to 2.33.1');
    for (const version of range.split(' to '))
      assert.ok(codesOf(version, 'k8s.team:red').includes(toldIn(what)), version);
    for (const version of ['2.29.0', row('2.34.1')[0] ?? ''])
      assert.ok(!codesOf(version, 'k8s.team:red').includes(toldIn(what)), version);
  });
});
