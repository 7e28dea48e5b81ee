/** package.json has the version; these places repeat it, and `npm version` writes them anew. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname, '../..');

interface Place {
  readonly file: string;
  /** What stands around the version, which is the second group of three. */
  readonly pattern: RegExp;
}

const number = '(\\d+\\.\\d+\\.\\d+(?:-[\\w.]+)?)';
const image = new RegExp(`(falco-federation-webhook:)${number}()`, 'g');

export const places: readonly Place[] = [
  { file: 'src/federation/names.ts', pattern: new RegExp(`(export const version = ')${number}(')`, 'g') },
  { file: 'src/settings/schema.ts', pattern: image },
  { file: 'Dockerfile', pattern: image },
  { file: 'Dockerfile', pattern: new RegExp(`(ARG VERSION=)${number}()`, 'g') },
  { file: 'README.md', pattern: image },
  { file: 'docs/quickstart.md', pattern: image },
  { file: 'docs/quickstart.md', pattern: new RegExp(`(falco-federation-webhook-)${number}(\\.tgz)`, 'g') },
  { file: 'docs/quickstart.md', pattern: new RegExp(`(newTag: )${number}()`, 'g') },
  { file: 'docs/upgrade.md', pattern: new RegExp(`(--set image\\.tag=)${number}()`, 'g') },
  { file: 'docs/helm/falco-federation/plugin.yaml', pattern: new RegExp(`(\\nversion: )${number}()`, 'g') },
  { file: 'docs/release.md', pattern: image },
  { file: 'manifests/base/deployment.yaml', pattern: image },
  { file: 'manifests/forwarder/stateful-set.yaml', pattern: image },
  { file: 'manifests/receiver/deployment.yaml', pattern: image },
  { file: 'manifests/README.md', pattern: new RegExp(`(newTag: )${number}()`, 'g') },
  { file: 'manifests/chart/Chart.yaml', pattern: new RegExp(`(\\n(?:appV|v)ersion: )${number}()`, 'g') },
];

const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

export function packageVersion(): string {
  return JSON.parse(read('package.json')).version;
}

/** The versions that stand in a place. */
export function versionsIn({ file, pattern }: Place): readonly string[] {
  return [...read(file).matchAll(pattern)].map(([, , version = '']) => version);
}

export function writeVersion(version: string): void {
  for (const { file, pattern } of places) {
    const text = read(file).replaceAll(
      pattern,
      (_, before: string, __, after: string) => before + version + after,
    );
    writeFileSync(path.join(root, file), text);
  }
}
