import path from 'node:path';
import type { V1Container, V1PodSpec, V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import { volumeName, volumePath } from '../../federation/names.ts';
import type { Finding } from '../../reasons/reasons.ts';
import { readFalcoArguments } from '../../rules/configuration/falco-arguments.ts';

/** Which of Falco's mounts the tagging containers get, so that they see Falco's rules where Falco sees them. */
export interface RulesMounts {
  readonly mounts: readonly V1VolumeMount[];
  /** Whether any of them can hold rules: without one there is nothing to tag. */
  readonly anyRules: boolean;
  /** Whether /etc/falco itself is Falco's image, so that rules there can only be seen in a copy. */
  readonly rulesInImage: boolean;
  /** Falco's mount below /etc/falco that ours lack, if any: a copy of the image would show other files there. */
  readonly unseenBelow: string | undefined;
  /** Whether a ConfigMap is mounted as a folder: its content can change while Falco runs. */
  readonly anyConfigMapFolder: boolean;
  readonly findings: readonly Finding[];
}

export const configFolder = '/etc/falco';

/** Folders of the chart's Falco pod that never hold rules or configuration. */
const neverRules = [
  '/etc/falco/certs',
  '/usr',
  '/root',
  '/host',
  '/dev',
  '/proc',
  '/sys',
  '/tmp',
  '/run',
  '/var/run',
];

/** Where the runtime mounts it: `/etc//falco/` is /etc/falco. */
function placeOf({ mountPath }: V1VolumeMount): string {
  // Asked of each mount against each other: most paths are plain, and then this is all there is to do.
  return /\/[./]|\/$|^[^/]/.test(mountPath) ? path.posix.resolve('/', mountPath) : mountPath;
}

function isAtOrBelow(place: string, folder: string): boolean {
  if (!place.startsWith(folder)) return false;
  return place.length === folder.length || folder === '/' || place.charAt(folder.length) === '/';
}

/** Paths that the arguments name: `-c`, and the values of `-o rules_files…`. */
function pathsInArguments(args: readonly string[]): readonly string[] {
  const { configFile, options } = readFalcoArguments(args);
  const rules = options.filter((option) => /^(rules_files?|config_files)\b/.test(option));
  const paths = rules.flatMap((option) => /\/[^"\s]*/.exec(option)?.[0] ?? []);
  return [...(configFile === undefined ? [] : [configFile]), ...paths];
}

/** Secrets, host folders and the like are given to our container only where Falco's settings point to them. */
function isPlainVolume(volume: V1Volume | undefined): boolean {
  return (
    volume !== undefined &&
    Boolean(volume.configMap ?? volume.emptyDir ?? volume.persistentVolumeClaim ?? volume.image ?? volume.csi)
  );
}

function isWanted(mount: V1VolumeMount, volume: V1Volume | undefined, named: readonly string[]): boolean {
  const place = placeOf(mount);
  if (isAtOrBelow(place, volumePath) || mount.name === volumeName) return false;
  if (named.some((one) => isAtOrBelow(one, place))) return true;
  if (neverRules.some((folder) => isAtOrBelow(place, folder))) return false;
  return isAtOrBelow(place, configFolder) || isAtOrBelow(configFolder, place) || isPlainVolume(volume);
}

/** falco.yaml itself and the folder of its drop-ins hold configuration only. */
function canHoldRules(mount: V1VolumeMount): boolean {
  const place = placeOf(mount);
  return place !== `${configFolder}/falco.yaml` && place !== `${configFolder}/config.d`;
}

/**
 * Our copy of one of Falco's mounts.
 *
 * Read-only, except where another mount lies below it: there the runtime must be able to make the mount point
 * (FACTS 4.8). `mountPropagation` and `recursiveReadOnly` are left out: the first asks for a privileged container, the
 * second for a read-only mount.
 */
function copyOf(mount: V1VolumeMount, all: readonly V1VolumeMount[]): V1VolumeMount {
  const place = placeOf(mount);
  const parent = all.some((other) => other !== mount && isAtOrBelow(placeOf(other), place));
  return {
    name: mount.name,
    mountPath: mount.mountPath,
    ...(mount.subPath === undefined ? {} : { subPath: mount.subPath }),
    ...(parent ? {} : { readOnly: true }),
  };
}

/** Works out the mounts of the tagging containers from those of Falco. */
export function rulesMounts(spec: V1PodSpec, falco: V1Container, args: readonly string[]): RulesMounts {
  const volumes = new Map((spec.volumes ?? []).map((volume) => [volume.name, volume]));
  const named = pathsInArguments(args);
  const wanted = (falco.volumeMounts ?? []).filter((mount) =>
    isWanted(mount, volumes.get(mount.name), named),
  );
  // subPathExpr takes variables from the container's own environment, which ours does not share: a variable
  // that is missing would keep the container, and with it Falco, from being created.
  const visible = wanted.filter((mount) => !mount.subPathExpr);
  const leftOut = wanted.filter((mount) => mount.subPathExpr);
  const ruled = visible.filter(canHoldRules);
  return {
    mounts: visible.map((mount) => copyOf(mount, visible)),
    anyRules: ruled.length > 0,
    rulesInImage: !(falco.volumeMounts ?? []).some((mount) => isAtOrBelow(configFolder, placeOf(mount))),
    unseenBelow: leftOut.find((mount) => isAtOrBelow(placeOf(mount), configFolder))?.mountPath,
    anyConfigMapFolder: ruled.some((mount) => !mount.subPath && volumes.get(mount.name)?.configMap),
    findings: leftOut.map((mount) => ({ code: 'mount_left_out', detail: mount.mountPath })),
  };
}
