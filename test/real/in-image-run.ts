/** A pod whose rules lie in Falco's own image: its init containers one after the other, each in its image. */
import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { V1Pod } from '@kubernetes/client-node';
import type { BuiltImage } from './built-image.ts';
import { type Ran, runContainer } from './container.ts';
import type { FalcoView } from './falco-view.ts';
import { scratchFolder } from './places.ts';
import { allContainers, containerOf, type RecordedPod } from './recorded-pods.ts';
import type { Node } from './tagging-run.ts';

export const copyRulesName = 'falco-federation-copy-rules';

/** The pod as a chart with falcoctl off makes it: without the volume that falcoctl fills, and without falcoctl. */
export function withoutFalcoctl(recorded: RecordedPod): RecordedPod {
  const review = join(scratchFolder('volumes-'), 'review.json');
  const read = JSON.parse(readFileSync(recorded.review, 'utf8'));
  // Safe: a recorded review of a pod; so is what is taken out of it.
  const pod = read.request.object as V1Pod;
  const gone = 'rulesfiles-install-dir';
  const isKept = ({ name }: { name: string }) => name !== gone && !name.startsWith('falcoctl-artifact-');
  const { spec } = pod;
  if (spec !== undefined) {
    spec.volumes = (spec.volumes ?? []).filter(isKept);
    spec.initContainers = (spec.initContainers ?? []).filter(isKept);
    spec.containers = spec.containers.filter(isKept);
  }
  for (const one of allContainers(pod)) one.volumeMounts = (one.volumeMounts ?? []).filter(isKept);
  writeFileSync(review, JSON.stringify(read));
  return { ...recorded, review, pod };
}

/** Has an image with rules in it and not one program: neither `sh` nor `cp`, nor Falco. */
export async function withFalcoImage<T>(
  ours: BuiltImage,
  rules: string,
  use: (image: BuiltImage) => Promise<T>,
): Promise<T> {
  const rootfs = scratchFolder('bundle-');
  try {
    const folder = join(rootfs, 'etc/falco');
    mkdirSync(join(folder, 'config.d'), { recursive: true });
    cpSync(join(rules, 'falco_rules.yaml'), join(folder, 'falco_rules.yaml'));
    writeFileSync(join(folder, 'falco.yaml'), 'rules_files: [/etc/falco/falco_rules.yaml]\n');
    for (const path of [rootfs, join(rootfs, 'etc'), folder]) chmodSync(path, 0o755);
    chmodSync(join(folder, 'falco_rules.yaml'), 0o644);
    return await use({ ...ours, rootfs, config: { ...ours.config, Entrypoint: ['/usr/bin/falco'] } });
  } finally {
    rmSync(rootfs, { recursive: true, force: true });
  }
}

/** Runs the init containers that we have added, in their order. Stops where one fails, as kubelet does. */
export async function runOurInit(node: Node, falcoImage: BuiltImage): Promise<readonly Ran[]> {
  const all: Ran[] = [];
  for (const { name } of node.pod.spec?.initContainers ?? []) {
    if (!name.startsWith('falco-federation-')) continue;
    const image = name === copyRulesName ? falcoImage : node.image;
    const ran = await runContainer({ ...node, image }, containerOf(node.pod, name));
    all.push(ran);
    if (ran.status !== 0) break;
  }
  return all;
}

/** The pod's files as its Falco sees them, those of its image too. */
export function viewWithImage({ falco }: Node, falcoImage: BuiltImage): FalcoView {
  return { ...falco, locate: (path) => falco.locate(path) ?? join(falcoImage.rootfs, path) };
}
