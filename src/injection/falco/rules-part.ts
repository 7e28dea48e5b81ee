import type { V1Container, V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import type { Identity } from '../../federation/identity.ts';
import { volumeName, volumePath } from '../../federation/names.ts';
import type { Finding } from '../../reasons/reasons.ts';
import { watchTurnedOff } from '../../rules/configuration/watch-config-files.ts';
import type { PodTemplate } from '../pod-template.ts';
import { nothingToCopy, planCopying } from './rules-in-image.ts';
import { rulesMounts } from './rules-mounts.ts';
import { bringsRulesBeside, followRules, rulesArriveLater, tagRules } from './tagging-containers.ts';

/**
 * tag-rules writes at most 16 MiB, twice over while it replaces them, and the copy of an image's rules is at most
 * 16 MiB too; an emptyDir that overflows evicts the pod (FACTS 4.10).
 */
const volume: V1Volume = { name: volumeName, emptyDir: { sizeLimit: '64Mi' } };

/** Whether the pod has something of its own under our volume's name or at our path. */
function isPlaceTaken({ spec }: PodTemplate, falco: V1Container): boolean {
  const named = (spec.volumes ?? []).find(({ name }) => name === volumeName);
  const mounted = (falco.volumeMounts ?? []).find(({ mountPath }) => mountPath === volumePath);
  return (named !== undefined && !named.emptyDir) || (mounted !== undefined && mounted.name !== volumeName);
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

export function leftAlone(findings: readonly Finding[]): RulesPart {
  return { volumes: [], mounts: [], init: [], side: [], findings };
}

/**
 * Works out how the rules are tagged: whether there are rules that a container of ours can see, or a copy of them, and
 * a place to put the tagged ones; and which containers tag them, as the settings and the pod ask for.
 *
 * @param falcoArgs Falco's own arguments, for `tag-rules` to read
 */
export function planRulesPart(
  template: PodTemplate,
  falco: V1Container,
  identity: Identity,
  falcoArgs: readonly string[],
): RulesPart {
  const { spec } = template;
  const seen = rulesMounts(spec, falco, falcoArgs);
  if (isPlaceTaken(template, falco)) {
    return leftAlone([...seen.findings, { code: 'volume_name_taken', detail: volumePath }]);
  }
  const inputs = { identity, spec, falco };
  const inImage = seen.rulesInImage && !bringsRulesBeside(spec);
  const planned = inImage ? planCopying(inputs, seen) : nothingToCopy;
  const [copy, findings] =
    'code' in planned ? [nothingToCopy, [...seen.findings, planned]] : [planned, seen.findings];
  if (!seen.anyRules && copy === nothingToCopy) return leftAlone(findings);
  const tagging = { ...inputs, falcoArgs, mounts: [...copy.mounts, ...seen.mounts] };
  const alongside = identity.rules.startup === 'alongside';
  const later = identity.rules.follow && (rulesArriveLater(spec) || seen.anyConfigMapFolder);
  const follows = alongside || later;
  const unwatched: Finding[] =
    follows && watchTurnedOff(falcoArgs)
      ? [{ code: 'rules_watch_off', detail: `container ${falco.name}` }]
      : [];
  return {
    volumes: [volume, ...copy.volumes],
    mounts: [{ name: volumeName, mountPath: volumePath, readOnly: true }],
    init: alongside ? [] : [...copy.init, tagRules(tagging)],
    // Alongside, the side container does the first tagging too.
    side: follows ? [followRules(tagging)] : [],
    findings: [...findings, ...unwatched],
  };
}
