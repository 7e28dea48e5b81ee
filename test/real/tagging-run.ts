/** One recorded pod's tag-rules container, run as its cluster would run it. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { V1Container, V1Pod } from '@kubernetes/client-node';
import type { BuiltImage } from './built-image.ts';
import { type Ran, runContainer, type Where } from './container.ts';
import { type FalcoView, falcoView, installRules } from './falco-view.ts';
import { removeScratch, scratchFolder } from './places.ts';
import { checkPublished, type Published } from './published-rules.ts';
import { containerOf, type RecordedPod } from './recorded-pods.ts';
import { changedPaths, snapshot } from './snapshot.ts';
import { makeVolumes } from './volumes.ts';

export const tagRulesName = 'falco-federation-tag-rules';
const volumeName = 'falco-federation';

/** A pod on its node, just before our container starts. */
export interface Node extends Where {
  readonly folder: string;
  readonly falco: FalcoView;
  /** The folder of our own volume. */
  readonly output: string;
}

/** Makes the pod's volumes with what is in them by then, hands them to `use`, and removes them. */
export async function onNode<T>(
  image: BuiltImage,
  recorded: RecordedPod,
  pod: V1Pod,
  use: (node: Node) => T | Promise<T>,
): Promise<T> {
  const folder = scratchFolder('volumes-');
  try {
    const volumes = makeVolumes(pod, recorded.configMaps, folder);
    const falco = falcoView(pod, volumes);
    installRules(falco, recorded.rules);
    return await use({ image, pod, volumes, folder, falco, output: join(folder, volumeName) });
  } finally {
    removeScratch(folder);
  }
}

/**
 * Runs the pod's own tag-rules container twice. Throws unless what is promised of it holds:
 * rules tagged and published, nothing else on the node touched, nothing at all the second time.
 */
export async function tagTwice(node: Node, tags: readonly string[]): Promise<Published> {
  const container = containerOf(node.pod, tagRulesName);
  const before = snapshot(node.folder);
  const summary = succeed(await runContainer(node, container));
  const published = checkPublished(node.falco, tags);
  assert.equal(summary.rules, published.rules, 'the summary counts the rules right');
  assert.equal(summary.tagged + summary.alreadyTagged, published.rules, 'and those that have the tags');
  const after = snapshot(node.folder);
  assert.deepEqual(
    strangeChanges(node, container, changedPaths(before, after)),
    [],
    'nothing of others is changed',
  );
  succeed(await runContainer(node, container));
  assert.deepEqual(changedPaths(after, snapshot(node.folder)), [], 'a second run changes nothing');
  return published;
}

/** What tag-rules leaves in its termination message, as far as it is checked here. */
interface Summary {
  readonly code: string;
  readonly rules: number;
  readonly tagged: number;
  readonly alreadyTagged: number;
}

/** Exit 0, and a summary for `kubectl describe pod`. */
export function succeed(ran: Ran): Summary {
  assert.equal(ran.status, 0, `exit ${ran.status}\n${ran.stdout}${ran.stderr}`);
  return summaryOf(ran);
}

/** The summary; throws unless it is JSON of a size that kubelet keeps whole. */
export function summaryOf({ terminationMessage, stdout, stderr }: Ran): Summary {
  assert.notEqual(terminationMessage, '', `no termination message\n${stdout}${stderr}`);
  assert.ok(Buffer.byteLength(terminationMessage) <= 4096, 'kubelet cuts termination messages at 4096 bytes');
  const message: unknown = JSON.parse(terminationMessage);
  assert.ok(message !== null && typeof message === 'object' && 'code' in message, terminationMessage);
  // Safe: what is compared with it fails where a member is missing.
  return message as Summary;
}

/** Changes outside our own volume, but for the mount points that any runtime leaves in a volume (FACTS 4.8). */
function strangeChanges(node: Node, container: V1Container, changed: readonly string[]): readonly string[] {
  const mountPoints = new Set(
    (container.volumeMounts ?? []).map(({ mountPath }) => mountPointOf(node, container, mountPath)),
  );
  return changed.filter((path) => {
    const isOurs = path === volumeName || path.startsWith(`${volumeName}/`);
    return !isOurs && !mountPoints.has(path);
  });
}

/** Where a mount's target lies in the volume that is mounted around it, if any is. */
function mountPointOf({ volumes, folder }: Node, container: V1Container, path: string): string | undefined {
  const around = (container.volumeMounts ?? []).find(
    ({ mountPath, subPath }) => subPath === undefined && path.startsWith(`${mountPath}/`),
  );
  const volume = around && volumes.get(around.name);
  return around && volume && join(volume, path.slice(around.mountPath.length)).slice(folder.length + 1);
}

/** Whether Falco would find a drop-in: nothing half-published is allowed to make one. */
export function hasDropIn({ output }: Node): boolean {
  return existsSync(join(output, 'federation.yaml'));
}

/** Whether it would find a list of copies in it: where none can be made, the drop-in only says where alerts go. */
export function listsRules(node: Node): boolean {
  return (
    hasDropIn(node) && /^rules_files?:/m.test(readFileSync(join(node.output, 'federation.yaml'), 'utf8'))
  );
}
