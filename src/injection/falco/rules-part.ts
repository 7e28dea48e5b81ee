import type { V1Container, V1PodSpec, V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import type { EffectiveSettings } from '../../federation/effective-settings.ts';
import { noTokenVolumeName, volumeName, volumePath } from '../../federation/names.ts';
import type { Finding } from '../../reasons/reasons.ts';
import type { FalcoArguments } from '../../rules/configuration/falco-arguments.ts';
import { watchTurnedOff } from '../../rules/configuration/watch-config-files.ts';
import { inOurWay } from './in-our-way.ts';
import { type ContainerInputs, endsByItself, noToken } from './own-container.ts';
import { nothingToCopy, planCopying } from './rules-in-image.ts';
import { rulesMounts } from './rules-mounts.ts';
import { followRules, tagRules } from './tagging-containers.ts';

/**
 * tag-rules writes at most 16 MiB, twice over while it replaces them, and the copy of an image's rules is at most
 * 16 MiB too; an emptyDir that overflows evicts the pod (FACTS 4.10).
 */
const volume: V1Volume = { name: volumeName, emptyDir: { sizeLimit: '64Mi' } };

/**
 * Settings for this pod. One that ends would not if something of ours went on for ever in it, so there the rules are
 * tagged before Falco starts, and that is all.
 */
function forPod(effective: EffectiveSettings, spec: V1PodSpec): EffectiveSettings {
  return endsByItself(spec)
    ? { ...effective, rules: { ...effective.rules, startup: 'init', follow: false } }
    : effective;
}

/** What tagging the rules adds to a pod; all empty where they are left alone. */
export interface RulesPart {
  readonly volumes: readonly V1Volume[];
  /** Added to Falco itself. */
  readonly mounts: readonly V1VolumeMount[];
  /** In the order in which they must run. */
  readonly init: readonly V1Container[];
  readonly side: readonly V1Container[];
  /** Whether the drop-in brings alerts into our file, too. */
  readonly writesAlerts: boolean;
  readonly findings: readonly Finding[];
}

export function noRulesPart(findings: readonly Finding[]): RulesPart {
  return { volumes: [], mounts: [], init: [], side: [], writesAlerts: false, findings };
}

/** What of the drop-in is wanted. */
export interface DropIn {
  /** For every rule; none where rules are left as they are. */
  readonly tags: readonly string[];
  readonly writesAlerts: boolean;
  /** Falco's own arguments with ours that bring rules, for `tag-rules` to read. */
  readonly falcoArgs: readonly string[];
}

/**
 * Works out how the drop-in is written: whether there are rules and configuration that a container of ours can see, or a
 * copy of them, and a place to put the tagged ones; and which containers do it, as the settings and the pod ask for.
 *
 * @param given what Falco's arguments say
 */
export function planRulesPart(
  { effective: settings, ...pod }: ContainerInputs,
  given: FalcoArguments,
  { tags, writesAlerts, falcoArgs }: DropIn,
): RulesPart {
  const { spec, falco } = pod;
  const effective = forPod(settings, spec);
  const seen = rulesMounts(spec, falco, given);
  const tells = (...findings: readonly Finding[]) =>
    tags.length === 0 ? [] : [...seen.findings, ...findings];
  const taken = inOurWay(spec, falco, volumePath, volumeName, noTokenVolumeName);
  if (taken !== undefined) return noRulesPart(tells({ code: 'volume_name_taken', detail: taken }));
  const inputs = { ...pod, effective };
  const planned = planCopying(inputs, seen);
  const [copy, findings] = 'code' in planned ? [nothingToCopy, tells(planned)] : [planned, tells()];
  const isCopied = copy !== nothingToCopy;
  const seenTags = isCopied || seen.anyRules ? tags : [];
  // Who does not see Falco's configuration cannot tell what a drop-in would do to its outputs.
  const writes = writesAlerts && (isCopied || seen.seesConfiguration);
  if (seenTags.length === 0 && !writes) return noRulesPart(findings);
  const tagging = {
    ...{ ...inputs, falcoArgs, tags: seenTags, writesAlerts: writes },
    mounts: [...copy.mounts, ...seen.mounts],
  };
  const alongside = effective.rules.startup === 'alongside';
  const follows = alongside || (seenTags.length > 0 && effective.rules.follow && seen.canChange);
  const unwatched: Finding[] =
    follows && watchTurnedOff(given) ? [{ code: 'rules_watch_off', detail: `container ${falco.name}` }] : [];
  return {
    volumes: [volume, noToken.volume, ...copy.volumes],
    mounts: [{ name: volumeName, mountPath: volumePath, readOnly: true }],
    init: alongside ? [] : [...copy.init, tagRules(tagging)],
    // Alongside, the side container does the first tagging too.
    side: follows ? [followRules(tagging)] : [],
    writesAlerts: writes,
    findings: [...findings, ...unwatched],
  };
}
