import type { V1Container, V1PodSpec, V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import type { EffectiveSettings } from '../../federation/effective-settings.ts';
import { noTokenVolumeName, volumeName, volumePath } from '../../federation/names.ts';
import type { Finding } from '../../reasons/reasons.ts';
import { watchTurnedOff } from '../../rules/configuration/watch-config-files.ts';
import type { FalcoInPod, ReadPod } from '../read-pod.ts';
import { unresolvable } from '../service-names.ts';
import { isAtOrBelow, placeOf } from './places.ts';
import { nothingToCopy, planCopying } from './rules-in-image.ts';
import { rulesMounts } from './rules-mounts.ts';
import { bringsRulesBeside, followRules, noToken, tagRules } from './tagging-containers.ts';
import { kindOf } from './volume-kinds.ts';

/**
 * tag-rules writes at most 16 MiB, twice over while it replaces them, and the copy of an image's rules is at most
 * 16 MiB too; an emptyDir that overflows evicts the pod (FACTS 4.10).
 */
const volume: V1Volume = { name: volumeName, emptyDir: { sizeLimit: '64Mi' } };

/** What of the pod's own is in the way of our volumes and mounts; `undefined` for nothing. */
function inOurWay(spec: V1PodSpec, falco: V1Container): string | undefined {
  const volumes = new Map((spec.volumes ?? []).map((one) => [one.name, one]));
  const taken = [volumeName, noTokenVolumeName].find(
    (name) => volumes.has(name) && !volumes.get(name)?.emptyDir,
  );
  if (taken !== undefined) return `volume ${taken}`;
  const mounts = falco.volumeMounts ?? [];
  const mounted = mounts.find((mount) => mount.mountPath === volumePath && mount.name !== volumeName);
  if (mounted !== undefined) return volumePath;
  // The runtime could not make our mount point in it, and Falco would never be created (FACTS 4.8).
  const above = mounts.find(
    (mount) =>
      placeOf(mount) !== volumePath &&
      isAtOrBelow(volumePath, placeOf(mount)) &&
      (mount.readOnly === true || kindOf(volumes.get(mount.name)).readOnly),
  );
  return above && `${above.mountPath}, which is read-only`;
}

/**
 * Settings for this pod. One that ends would not if something of ours went on for ever in it, so there the rules are
 * tagged before Falco starts, and that is all.
 */
function forPod(effective: EffectiveSettings, { restartPolicy }: V1PodSpec): EffectiveSettings {
  const ends = typeof restartPolicy === 'string' && restartPolicy !== 'Always';
  return ends ? { ...effective, rules: { ...effective.rules, startup: 'init', follow: false } } : effective;
}

/** What tagging the rules adds to a pod; all empty where they are left alone. */
export interface RulesPart {
  readonly volumes: readonly V1Volume[];
  /** Added to Falco itself. */
  readonly mounts: readonly V1VolumeMount[];
  /** In the order in which they must run. */
  readonly init: readonly V1Container[];
  readonly side: readonly V1Container[];
  readonly findings: readonly Finding[];
}

export function noRulesPart(findings: readonly Finding[]): RulesPart {
  return { volumes: [], mounts: [], init: [], side: [], findings };
}

/**
 * Works out how the rules are tagged: whether there are rules that a container of ours can see, or a copy of them, and
 * a place to put the tagged ones; and which containers tag them, as the settings and the pod ask for.
 *
 * @param falcoArgs Falco's own arguments with ours that bring rules, for `tag-rules` to read
 */
export function planRulesPart(
  { template }: ReadPod,
  { container: falco, given, version }: FalcoInPod,
  settings: EffectiveSettings,
  falcoArgs: readonly string[],
): RulesPart {
  const { image } = settings.rules;
  // An image that nobody can pull would keep Falco from starting (FACTS 4.9): without one the rules stay as they are.
  if (image === undefined) return noRulesPart([{ code: 'image_unknown' }]);
  const { spec } = template;
  const effective = forPod(settings, spec);
  const seen = rulesMounts(spec, falco, given);
  const taken = inOurWay(spec, falco);
  if (taken !== undefined)
    return noRulesPart([...seen.findings, { code: 'volume_name_taken', detail: taken }]);
  const inputs = { effective, spec, falco, image };
  const inImage = seen.rulesInImage && !bringsRulesBeside(spec);
  const planned = inImage ? planCopying(inputs, seen) : nothingToCopy;
  const [copy, findings] =
    'code' in planned ? [nothingToCopy, [...seen.findings, planned]] : [planned, seen.findings];
  if (!seen.anyRules && copy === nothingToCopy) return noRulesPart(findings);
  const tagging = { ...inputs, falcoArgs, version, mounts: [...copy.mounts, ...seen.mounts] };
  const alongside = effective.rules.startup === 'alongside';
  const follows = alongside || (effective.rules.follow && seen.canChange);
  const unwatched: Finding[] =
    follows && watchTurnedOff(given) ? [{ code: 'rules_watch_off', detail: `container ${falco.name}` }] : [];
  return {
    volumes: [volume, noToken.volume, ...copy.volumes],
    mounts: [{ name: volumeName, mountPath: volumePath, readOnly: true }],
    init: alongside ? [] : [...copy.init, tagRules(tagging)],
    // Alongside, the side container does the first tagging too.
    side: follows ? [followRules(tagging)] : [],
    findings: [...findings, ...unwatched, ...unresolvable(spec, effective)],
  };
}
