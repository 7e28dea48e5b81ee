/** A pod's volumes as folders of this machine, with what a cluster would have in them. */
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { V1ConfigMap, V1Pod, V1Volume } from '@kubernetes/client-node';
import { must } from './machine.ts';
import { allContainers } from './recorded-pods.ts';

/**
 * Makes a folder for each volume of the pod; removeScratch takes them away. Throws if a container needs a ConfigMap that is not given; the chart with
 * falcoctl off has a volume of one for falcoctl that it does not make.
 */
export function makeVolumes(
  pod: V1Pod,
  configMaps: readonly V1ConfigMap[],
  folder: string,
): ReadonlyMap<string, string> {
  const volumes = new Map<string, string>();
  const users = allContainers(pod);
  for (const volume of pod.spec?.volumes ?? []) {
    const own = join(folder, volume.name);
    volumes.set(volume.name, own);
    const isUsed = users.some(({ volumeMounts }) => volumeMounts?.some(({ name }) => name === volume.name));
    if (volume.configMap && isUsed) makeConfigMap(volume, configMaps, own);
    else if (isFileOnHost(volume)) writeFileSync(own, '');
    else {
      // As kubelet makes an emptyDir: anybody may write in it.
      mkdirSync(own, { recursive: true });
      if (volume.emptyDir?.medium === 'Memory') mountMemory(own, volume.emptyDir.sizeLimit ?? '50%');
      chmodSync(own, 0o777);
    }
  }
  return volumes;
}

/** As kubelet mounts it (FACTS 4.16). */
function mountMemory(folder: string, size: string): void {
  // tmpfs knows k, m and g, all of them binary, as the units of the settings' sizes are.
  must('mount', ['-t', 'tmpfs', '-o', `size=${size.replace(/i$/, '')}`, 'tmpfs', folder]);
}

function isFileOnHost({ hostPath }: V1Volume): boolean {
  return /^(Socket|File|CharDevice|BlockDevice)$|^FileOrCreate$/.test(hostPath?.type ?? '');
}

/** kubelet's layout: the keys are links through `..data`, which it swaps when the ConfigMap changes. */
function makeConfigMap(volume: V1Volume, configMaps: readonly V1ConfigMap[], folder: string): void {
  const { name, items, optional } = volume.configMap ?? {};
  const configMap = configMaps.find(({ metadata }) => metadata?.name === name);
  if (configMap === undefined && optional !== true)
    throw new Error(`no ConfigMap ${name} for volume ${volume.name}`);
  const data = configMap?.data ?? {};
  const wanted = items ?? Object.keys(data).map((key) => ({ key, path: key }));
  const version = '..2026_01_01_00_00_00.000000001';
  mkdirSync(join(folder, version), { recursive: true });
  symlinkSync(version, join(folder, '..data'));
  for (const { key, path } of wanted) {
    const text = data[key];
    if (text === undefined) throw new Error(`ConfigMap ${name} has no key ${key}`);
    writeFileSync(join(folder, version, path), text, { mode: 0o644 });
    symlinkSync(join('..data', path), join(folder, path));
  }
}

/** Owner and mode of the files that falcoctl's follow and the operator's sidecar write (FACTS 2.6, 2.9). */
export const falcoctlWrites = { uid: 65532, mode: 0o600 } as const;

export function writeAs(
  path: string,
  text: string,
  { uid, mode }: { readonly uid: number; readonly mode: number },
): void {
  writeFileSync(path, text);
  chmodSync(path, mode);
  chownSync(path, uid, uid);
}
