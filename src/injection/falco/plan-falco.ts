import type { V1Container, V1VolumeMount } from '@kubernetes/client-node';
import type { EffectiveSettings } from '../../federation/effective-settings.ts';
import type { Finding } from '../../reasons/reasons.ts';
import { type Additions, onlyFindings } from '../additions.ts';
import type { SeenAs } from '../pod-template.ts';
import { planPullSecrets, pullSecret } from '../pull-secrets.ts';
import type { FalcoInPod, ReadPod } from '../read-pod.ts';
import { asWanted, reconcileList } from '../reconcile.ts';
import { addedNames } from '../status.ts';
import { argumentsAdded, fieldsAdded, type OurOptions, recordsOf, withOurOptions } from './our-options.ts';
import { planArguments } from './plan-arguments.ts';
import { noRulesPart, planRulesPart, type RulesPart } from './rules-part.ts';

/**
 * What makes a Falco pod part of the federation: our volume, the containers that tag the rules, and the arguments that make
 * Falco read the tagged rules and add fields to its alerts.
 *
 * If nothing of ours ever runs, the volume stays empty and Falco reads its own rules (FACTS 1.4).
 */
export function planFalco(
  pod: ReadPod,
  falco: FalcoInPod,
  effective: EffectiveSettings,
  seenAs: SeenAs,
): Additions {
  const { container, version, args: users } = falco;
  if (!version.readsDropIns)
    return onlyFindings([{ code: 'falco_too_old', detail: container.image ?? 'no image' }]);
  const plan = planArguments(falco, effective);
  const { appendOutput, ...rulesOptions } = plan.options;
  // The very same option of a user's is there already, and stays the user's.
  const fields = appendOutput === undefined || users.includes(appendOutput) ? {} : { appendOutput };
  const { rulesFilesLast } = rulesOptions;
  const falcoArgs = [...users, ...(rulesFilesLast === undefined ? [] : ['-o', rulesFilesLast])];
  const rules = plan.tagRules ? planRulesPart(pod, falco, effective, falcoArgs) : noRulesPart([]);
  const isTagged = rules.volumes.length > 0;
  const options: OurOptions = { ...(isTagged ? rulesOptions : {}), ...fields };
  const pulling = isTagged ? planPullSecrets(pod, effective, seenAs) : { names: [], findings: [] };
  const isMadeUp = falco.byImage && Object.keys(options).length > 0;
  return {
    volumes: rules.volumes,
    init: rules.init,
    side: rules.side,
    pullSecrets: pulling.names,
    changed: new Map([[falco.index, withOurs(pod, falco, options, rules.mounts)]]),
    added: [
      ...partsAdded(rules, options),
      ...pulling.names.map((one) => `${pullSecret}/${one}`),
      ...(isMadeUp ? [argumentsAdded] : []),
    ],
    records: recordsOf(options, users),
    findings: [...versionUnknown(falco), ...plan.findings, ...rules.findings, ...pulling.findings],
  };
}

/** What is ours in the pod, but for arguments that were made up. */
function partsAdded(rules: RulesPart, options: OurOptions): string[] {
  return [
    ...rules.volumes.map(({ name }) => `volume/${name}`),
    ...(options.configFiles === undefined ? [] : ['falco/config_files']),
    ...rules.init.map(({ name }) => `initContainer/${name}`),
    ...rules.side.map(({ name }) => `container/${name}`),
    ...(options.rulesFilesLast === undefined ? [] : ['falco/rules_files']),
    ...(options.appendOutput === undefined ? [] : [fieldsAdded]),
  ];
}

/** A digest, `latest` and numbers of somebody's own count as a new Falco (FACTS 1.4: an older one exits). */
function versionUnknown({ version, container: { image } }: FalcoInPod): Finding[] {
  return version.minor !== undefined ? [] : [{ code: 'falco_version_unknown', detail: image ?? 'no image' }];
}

/** Falco as it is to be: ours stays where it is, so that nothing moves that somebody has put behind it since. */
function withOurs(
  { template, status }: ReadPod,
  { index, container, words, byImage }: FalcoInPod,
  options: OurOptions,
  mounts: readonly V1VolumeMount[],
): V1Container {
  const present = template.spec.containers[index] ?? container;
  const args = withOurOptions(byImage ? words : (present.args ?? []), options, status);
  const volumes = addedNames(status, 'volume');
  const paths = new Set(mounts.map(({ mountPath }) => mountPath));
  const kept = (present.volumeMounts ?? []).filter(
    ({ name, mountPath }) => !volumes.has(name) || paths.has(mountPath),
  );
  const volumeMounts = reconcileList(kept, mounts, 'mountPath', asWanted);
  const hasArgs = byImage ? args !== words : args.length > 0 || present.args;
  const { args: _, volumeMounts: __, ...rest } = container;
  return {
    ...rest,
    ...(hasArgs ? { args: args === present.args ? present.args : [...args] } : {}),
    ...(volumeMounts.length > 0 || present.volumeMounts?.length === 0 ? { volumeMounts } : {}),
  };
}
