import type { V1Container, V1VolumeMount } from '@kubernetes/client-node';
import type { EffectiveSettings } from '../../federation/effective-settings.ts';
import type { Finding } from '../../reasons/reasons.ts';
import type { Additions } from '../additions.ts';
import type { SeenAs } from '../pod-template.ts';
import { planPullSecrets, pullSecret } from '../pull-secrets.ts';
import type { FalcoInPod, ReadPod } from '../read-pod.ts';
import { asWanted, reconcileInOrder } from '../reconcile.ts';
import { addedNames } from '../status.ts';
import { type AlertsPart, noAlertsPart, planAlertsPart } from './alerts-part.ts';
import {
  argumentsAdded,
  fieldsInStatus,
  fileAdded,
  fileOptions,
  jsonAdded,
  jsonOption,
  type OurOptions,
  withOurOptions,
} from './our-options.ts';
import { falcoctlUser } from './own-container.ts';
import { type FalcoArgumentsPlan, planArguments } from './plan-arguments.ts';
import { noRulesPart, planRulesPart, type RulesPart } from './rules-part.ts';

/** What our containers would bring, where there may be any. */
interface Parts {
  readonly rules: RulesPart;
  readonly alerts: AlertsPart;
  readonly options: OurOptions;
}

function planParts(
  pod: ReadPod,
  falco: FalcoInPod,
  effective: EffectiveSettings,
  plan: FalcoArgumentsPlan,
): Parts {
  const { image } = effective.rules;
  const tags = plan.tagRules ? effective.tags : [];
  // An image that nobody can pull would keep Falco from starting (FACTS 4.9): without one all stays as it is.
  if (image === undefined) {
    const findings: Finding[] = tags.length > 0 || effective.alerts ? [{ code: 'image_unknown' }] : [];
    return { rules: noRulesPart(findings), alerts: noAlertsPart([]), options: {} };
  }
  const { spec } = pod.template;
  const inputs = { effective, spec, falco: falco.container, image, user: falcoctlUser(spec) };
  const alerts = effective.alerts ? planAlertsPart(inputs, falco.given, effective.alerts) : noAlertsPart([]);
  const ships = alerts.volumes.length > 0;
  const { configFiles, rulesFilesLast } = plan;
  const falcoArgs = [...falco.args, ...(rulesFilesLast === undefined ? [] : ['-o', rulesFilesLast])];
  const dropIn = { tags, writesAlerts: ships, falcoArgs };
  const rules =
    configFiles === undefined || (tags.length === 0 && !ships)
      ? noRulesPart([])
      : planRulesPart(inputs, falco.given, dropIn);
  const ofRules = rules.volumes.length === 0 ? {} : { configFiles, rulesFilesLast };
  if (!ships || rules.writesAlerts) return { rules, alerts, options: ofRules };
  const ofAlerts = withoutDropIn(falco, effective);
  if ('code' in ofAlerts) return { rules, alerts: noAlertsPart([ofAlerts]), options: ofRules };
  return { rules, alerts, options: { ...ofRules, ...ofAlerts } };
}

/** Where Falco reads no drop-in of ours, or nobody sees its configuration: options do the same, or nothing does. */
function withoutDropIn(
  { given, container }: FalcoInPod,
  { alerts }: EffectiveSettings,
): OurOptions | Finding {
  if (given.options.some(({ key }) => key === 'json_output')) return fileOptions;
  return alerts?.jsonOutput === 'leave'
    ? { code: 'alerts_not_json', detail: `container ${container.name}` }
    : { ...fileOptions, ...jsonOption };
}

/**
 * What makes a Falco pod part of the federation: the containers that tag the rules and write the drop-in, the one that ships
 * alerts, and the arguments that make Falco read the drop-in and add fields to its alerts.
 *
 * If nothing of ours ever runs, there is no drop-in and Falco reads its own rules (FACTS 1.4); and no folder for its
 * alerts, so none are written (FACTS 1.21).
 */
export function planFalco(
  pod: ReadPod,
  falco: FalcoInPod,
  effective: EffectiveSettings,
  seenAs: SeenAs,
): Additions {
  const plan = planArguments(falco, effective);
  const { rules, alerts, options: ofParts } = planParts(pod, falco, effective, plan);
  const { appendOutput } = plan;
  // The very same option of a user's is there already, and stays the user's.
  const fields = appendOutput === undefined || falco.args.includes(appendOutput) ? {} : { appendOutput };
  const options: OurOptions = { ...ofParts, ...fields };
  const volumes = [...new Map([...rules.volumes, ...alerts.volumes].map((one) => [one.name, one])).values()];
  const pulling = volumes.length > 0 ? planPullSecrets(pod, effective, seenAs) : { names: [], findings: [] };
  const additions = {
    volumes,
    init: [...rules.init, ...alerts.init],
    side: [...rules.side, ...alerts.side],
    pullSecrets: pulling.names,
  };
  const isMadeUp = falco.byImage && Object.values(options).some((one) => one !== undefined);
  return {
    ...additions,
    changed: new Map([[falco.index, withOurs(pod, falco, options, [...rules.mounts, ...alerts.mounts])]]),
    added: [...namesOf(additions), ...optionsAdded(options, falco), ...(isMadeUp ? [argumentsAdded] : [])],
    findings: [
      ...versionUnknown(falco),
      ...[plan, rules, alerts, pulling].flatMap(({ findings }) => findings),
    ],
  };
}

function namesOf({
  volumes,
  init,
  side,
  pullSecrets,
}: Pick<Additions, 'volumes' | 'init' | 'side' | 'pullSecrets'>) {
  return [
    ...volumes.map(({ name }) => `volume/${name}`),
    ...init.map(({ name }) => `initContainer/${name}`),
    ...side.map(({ name }) => `container/${name}`),
    ...pullSecrets.map((one) => `${pullSecret}/${one}`),
  ];
}

function optionsAdded(options: OurOptions, { args }: FalcoInPod): string[] {
  return [
    ...(options.configFiles === undefined ? [] : ['falco/config_files']),
    ...(options.rulesFilesLast === undefined ? [] : ['falco/rules_files']),
    ...(options.appendOutput === undefined ? [] : fieldsInStatus(options.appendOutput, args)),
    ...(options.fileOutput === undefined ? [] : [fileAdded]),
    ...(options.jsonOutput === undefined ? [] : [jsonAdded]),
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
  const volumeMounts = reconcileInOrder(kept, mounts, 'mountPath', asWanted);
  const hasArgs = byImage ? args !== words : args.length > 0 || present.args;
  const { args: _, volumeMounts: __, ...rest } = container;
  return {
    ...rest,
    ...(hasArgs ? { args: args === present.args ? present.args : [...args] } : {}),
    ...(volumeMounts.length > 0 || present.volumeMounts?.length === 0 ? { volumeMounts } : {}),
  };
}
