import path from 'node:path';
import type { V1Container, V1PodSpec, V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import { tokenPath, volumeName, volumePath } from '../../federation/names.ts';
import type { Finding } from '../../reasons/reasons.ts';
import type { FalcoArguments } from '../../rules/configuration/falco-arguments.ts';
import { hintOf, isNeverRules, isRulesPlace } from './mount-hints.ts';
import { configFolder, isAtOrBelow, Places, placeOf } from './places.ts';
import { canChange, kindOf, writtenBeside } from './volume-kinds.ts';

/** Which of Falco's mounts the tagging containers get, so that they see Falco's rules where Falco sees them. */
export interface RulesMounts {
  readonly mounts: readonly V1VolumeMount[];
  /** Whether any of them can hold rules: without one there is nothing to tag. */
  readonly anyRules: boolean;
  /** Whether Falco's configuration file is among them. */
  readonly seesConfiguration: boolean;
  /** Whether /etc/falco itself is Falco's image, so that rules there can only be seen in a copy. */
  readonly rulesInImage: boolean;
  /** Falco's mount below /etc/falco that ours lack, if any: a copy of the image would show other files there. */
  readonly unseenBelow: string | undefined;
  /** Whether something else than Falco can bring rules, or configuration that lists some, while Falco runs. */
  readonly canChange: boolean;
  readonly findings: readonly Finding[];
}

/** Paths that the arguments name: `-c`, and the values of `-o rules_files…`. */
function pathsInArguments({ configFile, options }: FalcoArguments): readonly string[] {
  const rules = options.filter(({ key }) => /^(rules_files?|config_files)$/.test(key));
  const paths = rules.flatMap(({ value = '' }) => /\/[^"\s]*/.exec(value)?.[0] ?? []);
  return [...(configFile === undefined ? [] : [configFile]), ...paths].map((one) =>
    path.posix.resolve('/', one),
  );
}

/** Paths that arguments name. */
interface Named {
  readonly paths: ReadonlySet<string>;
  readonly places: Places;
}

/** Whether a named path is in the mount, or the mount is a file in a named folder. */
function isNamed(mount: V1VolumeMount, { paths, places }: Named): boolean {
  const place = placeOf(mount);
  return places.atOrBelow(place) > 0 || (isRulesPlace(mount) && paths.has(path.posix.dirname(place)));
}

/** Both names of the place: /var/run is a link to /run in most images. */
const tokenPlaces = [tokenPath, tokenPath.slice('/var'.length)];

/** `left_out`: rules may lie there, and ours do not get it. */
type Fate = 'mounted' | 'left_out' | 'not_rules';

/**
 * What becomes of a mount of Falco's. Secrets and the node's files go into our containers only where rules lie for
 * certain; keys never do (`hintOf` tells what path and names say).
 *
 * | mount                            | texts   | files   | host     | secrets  |
 * | -------------------------------- | ------- | ------- | -------- | -------- |
 * | named by an argument of Falco    | mounted | mounted | mounted  | mounted  |
 * | /etc/falco itself, or above it   | mounted | mounted | mounted  | mounted  |
 * | certs, `.pem`, /host, /proc, …   | –       | –       | –        | –        |
 * | below /etc/falco, says rules     | mounted | mounted | mounted  | mounted  |
 * | below /etc/falco, says nothing   | mounted | mounted | mounted  | left out |
 * | elsewhere, says rules or nothing | mounted | mounted | left out | left out |
 * | elsewhere, says system           | mounted | mounted | –        | –        |
 * | says keys                        | mounted | –       | –        | –        |
 */
function fateOf(mount: V1VolumeMount, volume: V1Volume | undefined, named: Named): Fate {
  const place = placeOf(mount);
  if (isAtOrBelow(place, volumePath) || mount.name === volumeName) return 'not_rules';
  const isOfArguments = isNamed(mount, named);
  // Ours lies there: below somebody else's it could keep the container from starting (FACTS 4.8).
  if (tokenPlaces.some((token) => isAtOrBelow(token, place) || isAtOrBelow(place, token))) {
    return isOfArguments ? 'left_out' : 'not_rules';
  }
  if (isOfArguments || isAtOrBelow(configFolder, place)) return 'mounted';
  if (isNeverRules(mount)) return 'not_rules';
  return fateByContent(mount, volume);
}

function fateByContent(mount: V1VolumeMount, volume: V1Volume | undefined): Fate {
  const { holds } = kindOf(volume);
  if (holds === 'texts') return 'mounted';
  const hint = hintOf(mount, volume);
  if (hint === 'keys') return 'not_rules';
  if (holds === 'files') return 'mounted';
  if (isAtOrBelow(placeOf(mount), configFolder)) {
    return hint === 'rules' || holds === 'host' ? 'mounted' : 'left_out';
  }
  return hint === 'system' ? 'not_rules' : 'left_out';
}

/** falco.yaml itself and the folder of its drop-ins hold configuration only. */
function canHoldRules(mount: V1VolumeMount): boolean {
  const place = placeOf(mount);
  return place !== `${configFolder}/falco.yaml` && place !== `${configFolder}/config.d`;
}

/** Mounts of our own in the tagging containers. */
const ourPlaces = [volumePath, tokenPath];

/**
 * Our copy of one of Falco's mounts.
 *
 * Read-only, except where another mount lies below it: there the runtime must be able to make the mount point
 * (FACTS 4.8). `mountPropagation` and `recursiveReadOnly` are left out: the first asks for a privileged container, the
 * second for a read-only mount.
 */
function copyOf(mount: V1VolumeMount, all: Places): V1VolumeMount {
  const parent = all.atOrBelow(placeOf(mount)) > 1;
  return {
    name: mount.name,
    mountPath: mount.mountPath,
    ...(mount.subPath === undefined ? {} : { subPath: mount.subPath }),
    ...(parent ? {} : { readOnly: true }),
  };
}

/** Works out the mounts of the tagging containers from those of Falco. */
export function rulesMounts(spec: V1PodSpec, falco: V1Container, given: FalcoArguments): RulesMounts {
  const volumes = new Map((spec.volumes ?? []).map((volume) => [volume.name, volume]));
  const paths = pathsInArguments(given);
  const named: Named = { paths: new Set(paths), places: new Places(paths) };
  const configuration = given.configFile ?? `${configFolder}/falco.yaml`;
  const all = falco.volumeMounts ?? [];
  const fates = new Map(all.map((mount) => [mount, fateOf(mount, volumes.get(mount.name), named)]));
  // subPathExpr takes variables from the container's own environment, which ours does not share: a variable
  // that is missing would keep the container, and with it Falco, from being created.
  const visible = all.filter((mount) => fates.get(mount) === 'mounted' && !mount.subPathExpr);
  const seen = new Set(visible);
  const leftOut = all.filter((mount) => fates.get(mount) !== 'not_rules' && !seen.has(mount));
  const places = new Places([...visible.map(placeOf), ...ourPlaces]);
  const written = writtenBeside(spec, falco);
  return {
    mounts: visible.map((mount) => copyOf(mount, places)),
    anyRules: visible.some(canHoldRules),
    seesConfiguration: visible.some((mount) => isAtOrBelow(configuration, placeOf(mount))),
    rulesInImage: !all.some((mount) => isAtOrBelow(configFolder, placeOf(mount))),
    unseenBelow: leftOut.find((mount) => isAtOrBelow(placeOf(mount), configFolder))?.mountPath,
    canChange: visible.some((mount) => canChange(mount, kindOf(volumes.get(mount.name)), written)),
    findings: leftOut.map((mount) => ({ code: 'mount_left_out', detail: mount.mountPath })),
  };
}
