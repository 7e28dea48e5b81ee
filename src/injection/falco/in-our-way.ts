import type { V1Container, V1PodSpec } from '@kubernetes/client-node';
import { isAtOrBelow, placeOf } from './places.ts';
import { kindOf } from './volume-kinds.ts';

/**
 * What of the pod's own is in the way of volumes of ours, all emptyDirs, the first of which is mounted in Falco at a path;
 * `undefined` for nothing.
 */
export function inOurWay(
  spec: V1PodSpec,
  falco: V1Container,
  path: string,
  ...names: readonly string[]
): string | undefined {
  const volumes = new Map((spec.volumes ?? []).map((one) => [one.name, one]));
  const taken = names.find((name) => volumes.has(name) && !volumes.get(name)?.emptyDir);
  if (taken !== undefined) return `volume ${taken}`;
  const mounts = (falco.volumeMounts ?? []).filter((mount) => isAtOrBelow(path, placeOf(mount)));
  if (mounts.some((mount) => placeOf(mount) === path && mount.name !== names[0])) return path;
  // The runtime could not make our mount point in it, and Falco would never be created (FACTS 4.8).
  const above = mounts.find(
    (mount) =>
      placeOf(mount) !== path && (mount.readOnly === true || kindOf(volumes.get(mount.name)).readOnly),
  );
  return above && `${above.mountPath}, which is read-only`;
}
