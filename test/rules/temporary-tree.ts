/** A tree on the real disk for one test file, with Falco's usual paths in it. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readFalcoVersion } from '../../src/rules/configuration/falco-version.ts';
import { falcoFileSystem } from '../../src/rules/configuration/file-system.ts';
import { followStep, type Signature, type Step, type Woken } from '../../src/rules/publishing/follow-step.ts';
import { publishingDisk } from '../../src/rules/publishing/publish.ts';
import type { TagAndPublish } from '../../src/rules/publishing/tag-and-publish.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { type FalcoAnswer, runFalco } from './falco-model.ts';

export const output = '/etc/falco-federation';

const ourOption = `config_files[]=${JSON.stringify({ path: output, strategy: 'override' })}`;
export const ourArguments: readonly string[] = ['-o', ourOption];

export function rule(name: string, tags = 'own'): string {
  return `- rule: ${name}\n  desc: d\n  condition: evt.type = open\n  output: o\n  priority: INFO\n  tags: [${tags}]\n`;
}

/** Files by path below /etc/falco; falco.yaml lists a, b and the folder d unless given. */
export type Tree = Readonly<Record<string, string>>;

const listing = 'rules_files:\n  - /etc/falco/a.yaml\n  - /etc/falco/b.yaml\n  - /etc/falco/d\n';

export const rulesFolder = (): string => temporaryFolder('tag-rules-');

export function plant(tree: Tree, root = rulesFolder()): string {
  rmSync(join(root, 'etc/falco'), { recursive: true, force: true });
  mkdirSync(root + output, { recursive: true });
  for (const [path, text] of Object.entries({ 'falco.yaml': listing, ...tree })) {
    const file = join(root, 'etc/falco', path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return root;
}

export function runIn(root: string, changes: Partial<TagAndPublish> = {}): TagAndPublish {
  return {
    ...{ fileSystem: falcoFileSystem(root), disk: publishingDisk(root), version: readFalcoVersion('0.44.1') },
    ...{ falcoArguments: ourArguments, configFile: undefined, lookup: () => '', output, tags: ['staging'] },
    ...changes,
  };
}

/** A step of following, and the rename that is left to the launcher. */
export function stepAndRename(run: TagAndPublish, signature: Signature, woken: Woken): Step {
  const step = followStep(run, signature, woken);
  if (step.left !== undefined) run.disk.rename(step.left.draft, step.left.path);
  return step;
}

/** What Falco has loaded with what is published now. */
export function falcoIn(root: string, args: readonly string[] = ourArguments): FalcoAnswer {
  return runFalco({ root, args, env: {} });
}
