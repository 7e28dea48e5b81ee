/** A pod's follow-rules container, run while its rules change as falcoctl and kubelet change them. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runContainer, whileRunning } from './container.ts';
import { checkPublished } from './published-rules.ts';
import { containerOf } from './recorded-pods.ts';
import { hasDropIn, type Node, succeed, tagRulesName } from './tagging-run.ts';
import { until } from './until.ts';

export const followRulesName = 'falco-federation-follow-rules';

/**
 * Tags the own pod's rules, then changes them twice while they are followed. Throws unless every new rule is tagged
 * and published within seconds, and the container stops by itself when asked to.
 */
export async function followChanges(node: Node, tags: readonly string[]): Promise<void> {
  succeed(await runContainer(node, containerOf(node.pod, tagRulesName)));
  const { rules } = checkPublished(node.falco, tags);
  const { status, stdout, stderr } = await whileRunning(
    node,
    containerOf(node.pod, followRulesName),
    async ({ stop }) => {
      overwriteAsFalcoctl(
        join(node.folder, 'rulesfiles-install-dir/falco_rules.yaml'),
        'Brought by falcoctl',
      );
      await until('published rules', () => checkPublished(node.falco, tags).rules, rules + 1);
      swapAsKubelet(join(node.folder, 'rules-volume'), 'b-second.yaml', 'Brought by a ConfigMap');
      await until('published rules', () => checkPublished(node.falco, tags).rules, rules + 2);
      stop();
    },
  );
  assert.equal(status, 0, `after SIGTERM: exit ${status}\n${stdout}${stderr}`);
}

/**
 * Runs the follower of a pod that has no init container of ours (`rules.startup: alongside`), with Falco running
 * already. Throws unless it tags the rules within seconds, and sees that they are read from outside of its container.
 */
export async function tagAlongside(node: Node, tags: readonly string[]): Promise<void> {
  assert.equal(hasDropIn(node), false);
  const { status } = await whileRunning(
    node,
    containerOf(node.pod, followRulesName),
    async ({ stop, said }) => {
      await until('published rules', () => checkPublished(node.falco, tags).rules, countOf(node));
      await until('Falco is seen to read', () => said().includes('Falco read it'), true);
      stop();
    },
  );
  assert.equal(status, 0);
}

/** Full definitions of rules in the own pod's sources: those with a description. */
function countOf({ folder }: Node): number {
  const texts = [
    'rulesfiles-install-dir/falco_rules.yaml',
    'rules-volume/a-first.yaml',
    'rules-volume/b-second.yaml',
  ];
  return texts.flatMap((name) => [...readFileSync(join(folder, name), 'utf8').matchAll(/^ +desc:/gm)]).length;
}

function oneMore(name: string): string {
  return `\n- rule: ${name}\n  desc: One more\n  condition: evt.type = open\n  output: One more\n  priority: INFO\n  tags: [more]\n`;
}

/** In place: cut off and written again (FACTS 2.6). */
export function overwriteAsFalcoctl(path: string, name: string): void {
  writeFileSync(path, `${readFileSync(path, 'utf8')}${oneMore(name)}`);
}

/** A new folder, and `..data` renamed over to it. */
function swapAsKubelet(folder: string, file: string, name: string): void {
  const version = '..2026_01_01_00_01_00.000000002';
  mkdirSync(join(folder, version));
  for (const key of ['a-first.yaml', 'b-second.yaml', 'notes.txt']) {
    const text = readFileSync(join(folder, '..data', key), 'utf8');
    writeFileSync(join(folder, version, key), key === file ? `${text}${oneMore(name)}` : text);
  }
  symlinkSync(version, join(folder, '..data_tmp'));
  renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
}
