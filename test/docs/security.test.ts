/** docs/security.md says what the manifests allow, object by object. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { V1PolicyRule } from '@kubernetes/client-node';
import { documentsOf, files } from '../manifests/files.ts';
import { textOf } from './pages.ts';

/** What people have; and what takes roles away, or has less than the base. */
const others = /^(check-role|components\/(no-coverage|cert-manager))\//;

interface Role {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly rules?: readonly V1PolicyRule[];
}

function inManifests(): readonly string[] {
  return files
    .filter((file) => !others.test(file))
    .flatMap((file) => documentsOf(file))
    .filter((one): one is Role => /^(Cluster)?Role$/.test((one as { kind?: string } | null)?.kind ?? ''))
    .flatMap(({ kind, metadata, rules = [] }) =>
      rules.map(({ resources = [], resourceNames = [], verbs }) =>
        [`${kind} ${metadata.name}`, [...resources, ...resourceNames].join(' '), verbs.join(', ')].join(
          ' | ',
        ),
      ),
    )
    .sort();
}

function inThePage(): readonly string[] {
  const [, section = ''] = textOf('docs/security.md').split('## What it may do\n');
  let object = '';
  return [
    ...(section.split('\n## ')[0]?.matchAll(/^\| ((?:Cluster)?Role .*?)? ?\| (`.*?) \| (.*?) \|/gm) ?? []),
  ]
    .map(([, named, on = '', verbs = '']) => {
      object = named ?? object;
      return [object, on, verbs].join(' | ').replaceAll('`', '');
    })
    .sort();
}

test('each permission is in the table of docs/security.md, and no other', () => {
  assert.ok(inManifests().length > 5);
  assert.deepEqual(inThePage(), inManifests());
});
