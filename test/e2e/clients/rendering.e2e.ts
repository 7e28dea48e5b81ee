/**
 * The ways without a webhook, by the real programs: `inject` as a KRM function of kustomize, as Helm 3's post-renderer, and
 * as Helm 4's plugin.
 */
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { before, describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { type Finished, run } from '../../real/machine.ts';
import { root } from '../../real/places.ts';
import { temporaryFolder } from '../../temporary-folder.ts';
import { ownChart } from '../created-pods.ts';
import { leftOut } from '../needs.ts';
import { program } from '../replica.ts';
import { clientPath } from './programs.ts';

const settings = 'cluster: staging\nhub: {address: "https://hub.corp.net"}\n';
const plugin = join(root, 'docs/helm/falco-federation');

describe('rendering', { skip: leftOut('clients') }, () => {
  let folder = '';
  const at = (...names: readonly string[]): string => join(folder, ...names);

  before(() => {
    folder = temporaryFolder('rendering-');
    mkdirSync(at('bin'));
    // As it is on a user's PATH.
    writeFileSync(at('bin', 'falco-federation'), `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`);
    chmodSync(at('bin', 'falco-federation'), 0o755);
    writeFileSync(at('federation.yaml'), settings);
    mkdirSync(at('chart', 'templates'), { recursive: true });
    writeFileSync(at('chart', 'Chart.yaml'), 'apiVersion: v2\nname: own\nversion: 1.0.0\n');
    copyFileSync(ownChart, at('chart', 'templates', 'all.yaml'));
  });

  function ran(client: Parameters<typeof clientPath>[0], ...args: readonly string[]): Finished {
    const env = {
      PATH: `${at('bin')}${delimiter}${process.env.PATH ?? ''}`,
      HOME: folder,
      ...Object.fromEntries(
        ['CACHE', 'CONFIG', 'DATA'].map((name) => [`HELM_${name}_HOME`, at(client, name)]),
      ),
    };
    return run(clientPath(client), args, { cwd: folder, env });
  }

  function rendered(client: Parameters<typeof clientPath>[0], ...args: readonly string[]): string {
    const { status, stdout, stderr } = ran(client, ...args);
    assert.equal(status, 0, stderr);
    return stdout;
  }

  /** That Falco is in the federation, and all else, as falcosidekick, is what it is without us. */
  function isFederated(text: string, plain: string): void {
    assert.equal(text.match(/falco-federation\.io\/status/g)?.length, 1);
    assert.match(text, /initContainer\/falco-federation-tag-rules/);
    // As objects: Helm 4 itself writes YAML its own way for a post-renderer.
    const untouched = (all: string): readonly unknown[] =>
      parseAllDocuments(all)
        .filter((document) => document.get('kind') !== 'DaemonSet')
        .map((document): unknown => document.toJS());
    assert.deepEqual(untouched(text), untouched(plain));
  }

  test("Helm 3's post-renderer", () => {
    const args = ['template', 'own', 'chart', '--namespace', 'falco'];
    const renderer = ['--post-renderer', 'falco-federation', '--post-renderer-args', 'inject'];
    isFederated(rendered('helm-3', ...args, ...renderer), rendered('helm-3', ...args));
  });

  test("Helm 4's plugin, with flags of the program", () => {
    rendered('helm-4', 'plugin', 'install', plugin);
    const args = ['template', 'own', 'chart', '--namespace', 'falco'];
    const renderer = ['--post-renderer', 'falco-federation'];
    const plain = rendered('helm-4', ...args);
    isFederated(rendered('helm-4', ...args, ...renderer), plain);
    writeFileSync(at('other.yaml'), 'cluster: elsewhere\n');
    const other = rendered('helm-4', ...args, ...renderer, '--post-renderer-args', '--settings=other.yaml');
    assert.match(other, /"cluster":"elsewhere"/);
  });

  describe('a KRM function of kustomize', () => {
    function kustomization(spec: string): string {
      const here = mkdtempSync(at('kustomization-'));
      copyFileSync(ownChart, join(here, 'falco.yaml'));
      writeFileSync(
        join(here, 'kustomization.yaml'),
        'namespace: falco\nresources: [falco.yaml]\ntransformers: [federation.yaml]\n',
      );
      const annotation = `config.kubernetes.io/function: |\n      exec:\n        path: ${at('bin', 'falco-federation')}\n        args: [inject]`;
      writeFileSync(
        join(here, 'federation.yaml'),
        `apiVersion: falco-federation.io/v1\nkind: Federation\nmetadata:\n  name: federation\n  annotations:\n    ${annotation}\nspec: ${spec}\n`,
      );
      return here;
    }

    const build = (folder: string) =>
      ran('kustomize', 'build', '--enable-alpha-plugins', '--enable-exec', folder);

    test('injects, and leaves all else as kustomize has it', () => {
      const here = kustomization('{cluster: staging, hub: {address: "https://hub.corp.net"}}');
      const { status, stdout, stderr } = build(here);
      assert.equal(status, 0, stderr);
      writeFileSync(join(here, 'kustomization.yaml'), 'namespace: falco\nresources: [falco.yaml]\n');
      isFederated(stdout, build(here).stdout);
      assert.match(stdout, /"cluster":"staging"/);
    });

    test('settings that are refused fail the build with their key', () => {
      const { status, stderr } = build(kustomization('{cluster: staging, hub: {adress: x}}'));
      assert.notEqual(status, 0);
      assert.match(stderr, /functionConfig:\d+:\d+: hub\.adress: is not a setting; did you mean "address"\?/);
    });
  });
});
