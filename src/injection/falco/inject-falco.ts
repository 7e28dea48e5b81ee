import type { V1Container, V1PodSpec, V1VolumeMount } from '@kubernetes/client-node';
import type { EffectiveSettings } from '../../federation/effective-settings.ts';
import type { Finding, ReasonCode } from '../../reasons/reasons.ts';
import { type FalcoVersion, readFalcoVersion } from '../../rules/configuration/falco-version.ts';
import { imageTag } from '../image.ts';
import type { Part } from '../part.ts';
import type { PodTemplate, SeenAs } from '../pod-template.ts';
import { noPullSecrets, planPullSecrets, pullSecret, withPullSecrets } from '../pull-secrets.ts';
import { reconcileInOrder, reconcileList } from '../reconcile.ts';
import { hashOfText } from '../records.ts';
import { readStatus, type Status } from '../status.ts';
import { type FalcoContainer, findFalco } from './find-falco.ts';
import { commandOfImage } from './image-command.ts';
import {
  type FieldsBefore,
  isShapedLikeOurFields,
  type OurOptions,
  planFalcoArguments,
  withOurOptions,
  withoutOurOptions,
} from './our-options.ts';
import { leftAlone, planRulesPart, type RulesPart } from './rules-part.ts';

/** Name of Falco's alert fields in the status annotation. */
const fieldsAdded = 'falco/append_output';

/** Its name for arguments that were made up where the image's own command ran Falco. */
const argumentsAdded = 'falco/args';

/** Our alert fields of an earlier injection; `undefined` if there are none. */
function fieldsBefore(status: Status | undefined): FieldsBefore | undefined {
  if (status?.added.includes(fieldsAdded) !== true) return undefined;
  return { is: status.records?.[fieldsAdded]?.is };
}

/** The template with no arguments for Falco where an earlier injection made them up and nobody has added any. */
export function withoutMadeUpArguments(template: PodTemplate): PodTemplate {
  const status = readStatus(template);
  if (status?.added.includes(argumentsAdded) !== true) return template;
  const found = findFalco(template.spec);
  if (found === undefined || 'code' in found) return template;
  const { args = [], ...rest } = found.container;
  const madeUp = withoutOurOptions(args, fieldsBefore(status));
  if (!madeUp.every((word, at) => word === args[at])) return template;
  const { spec } = template;
  return { ...template, spec: { ...spec, containers: spec.containers.with(found.index, rest) } };
}

/**
 * Makes a Falco pod part of the federation: our volume, the containers that tag the
 * rules, and the arguments that make Falco read the tagged rules and add fields to its alerts.
 *
 * If nothing of ours ever runs, the volume stays empty and Falco reads its own rules (FACTS 1.4).
 */
export function injectFalco(
  template: PodTemplate,
  found: FalcoContainer,
  effective: EffectiveSettings,
  seenAs: SeenAs,
): Part {
  const { container } = found;
  const refused = (code: ReasonCode): Part => ({
    template,
    added: [],
    findings: [{ code, detail: container.image ?? 'no image' }],
  });
  const version = readFalcoVersion(effective.falcoVersion ?? imageTag(container.image));
  if (!version.readsDropIns) return refused('falco_too_old');
  const command = found.byImage ? commandOfImage(container.image, effective.falcoVersion) : undefined;
  if (found.byImage && command === undefined) return refused('falco_image_command_unknown');
  const args = command?.slice(1) ?? found.args;
  const plan = planFalcoArguments(args, version, effective);
  const before = fieldsBefore(readStatus(template));
  const users = withoutOurOptions(args, before);
  const { appendOutput, ...rulesOptions } = plan.options;
  // The very same option of a user's is there already, and stays the user's.
  const fields = appendOutput === undefined || users.includes(appendOutput) ? {} : { appendOutput };
  const { rulesFilesLast } = rulesOptions;
  const falcoArgs = [...users, ...(rulesFilesLast === undefined ? [] : ['-o', rulesFilesLast])];
  const rules = plan.tagRules ? tagRules(template, container, effective, falcoArgs) : leftAlone([]);
  const isTagged = rules.volumes.length > 0;
  const options: OurOptions = { ...(isTagged ? rulesOptions : {}), ...fields };
  const argued = withArguments(container, command ?? container.args ?? [], options, before);
  const falco = withMounts(argued, rules.mounts);
  const pulling = isTagged ? planPullSecrets(template, effective, seenAs) : noPullSecrets;
  const spec = withPullSecrets(withParts(template.spec, found.index, falco, rules), pulling);
  return {
    template: { ...template, spec },
    added: [
      ...partsAdded(rules, options),
      ...pulling.names.map((one) => `${pullSecret}/${one}`),
      ...(found.byImage && argued.args !== container.args ? [argumentsAdded] : []),
    ],
    ...recordsOf(options, users),
    findings: [
      ...versionUnknown(version, container),
      ...plan.findings,
      ...rules.findings,
      ...pulling.findings,
    ],
  };
}

/** An image that nobody can pull would keep Falco from starting (FACTS 4.9): without one the rules stay as they are. */
function tagRules(
  template: PodTemplate,
  falco: V1Container,
  effective: EffectiveSettings,
  falcoArgs: readonly string[],
): RulesPart {
  const { image } = effective.rules;
  if (image === undefined) return leftAlone([{ code: 'image_unknown' }]);
  return planRulesPart(template, falco, effective, image, falcoArgs);
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

/** Our alert fields are put down where a user's could be taken for them. */
function recordsOf({ appendOutput }: OurOptions, users: readonly string[]): Pick<Part, 'records'> {
  if (appendOutput === undefined || !users.some(isShapedLikeOurFields)) return {};
  return { records: { [fieldsAdded]: { is: hashOfText(appendOutput) } } };
}

/** A digest, `latest` and numbers of somebody's own count as a new Falco (FACTS 1.4: an older one exits). */
function versionUnknown({ minor }: FalcoVersion, { image }: V1Container): Finding[] {
  return minor !== undefined ? [] : [{ code: 'falco_version_unknown', detail: image ?? 'no image' }];
}

/** The spec with Falco as given and our volume and containers; lists that get nothing stay as they are. */
function withParts(spec: V1PodSpec, index: number, falco: V1Container, rules: RulesPart): V1PodSpec {
  const containers = spec.containers.map((one, at) => (at === index ? falco : one));
  return {
    ...spec,
    containers: reconcileList(containers, rules.side, 'name'),
    ...(rules.init.length > 0
      ? { initContainers: reconcileInOrder(spec.initContainers, rules.init, 'name') }
      : {}),
    ...(rules.volumes.length > 0 ? { volumes: reconcileList(spec.volumes, rules.volumes, 'name') } : {}),
  };
}

/** @param before the arguments as they are, or the image's own command, which arguments replace, written out */
function withArguments(
  container: V1Container,
  before: readonly string[],
  options: OurOptions,
  fields: FieldsBefore | undefined,
): V1Container {
  const args = withOurOptions(before, options, fields);
  return args === before ? container : { ...container, args: [...args] };
}

function withMounts(container: V1Container, mounts: readonly V1VolumeMount[]): V1Container {
  if (mounts.length === 0) return container;
  const volumeMounts = reconcileList(container.volumeMounts, mounts, 'mountPath');
  return volumeMounts === container.volumeMounts ? container : { ...container, volumeMounts };
}
