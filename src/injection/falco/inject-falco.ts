import type { V1Container, V1PodSpec, V1VolumeMount } from '@kubernetes/client-node';
import type { Identity } from '../../federation/identity.ts';
import type { Finding, ReasonCode } from '../../reasons/reasons.ts';
import { falcoBehaviour } from '../../rules/configuration/falco-version.ts';
import { imageTag } from '../image.ts';
import type { Part } from '../part.ts';
import type { PodTemplate } from '../pod-template.ts';
import { reconcileInOrder, reconcileList } from '../reconcile.ts';
import { readStatus } from '../status.ts';
import type { FalcoContainer } from './find-falco.ts';
import { commandOfImage } from './image-command.ts';
import { planFalcoArguments, withOurOptions, withoutOurOptions } from './our-options.ts';
import { withoutOldCopying } from './rules-in-image.ts';
import { leftAlone, planRulesPart, type RulesPart } from './rules-part.ts';

/** Name of Falco's alert fields in the status annotation. */
const fieldsAdded = 'falco/append_output';

/**
 * Makes a Falco pod part of the federation (DESIGN "Falco pods"): our volume, the containers that tag the
 * rules, and the arguments that make Falco read the tagged rules and add fields to its alerts.
 *
 * If nothing of ours ever runs, the volume stays empty and Falco reads its own rules (FACTS 1.4).
 */
export function injectFalco(template: PodTemplate, found: FalcoContainer, identity: Identity): Part {
  const { container } = found;
  const refused = (code: ReasonCode): Part => ({
    template,
    added: [],
    findings: [{ code, detail: container.image ?? 'no image' }],
  });
  const version = identity.falcoVersion ?? imageTag(container.image);
  const behaviour = falcoBehaviour(version);
  if (!behaviour.readsDropIns) return refused('falco_too_old');
  const command = found.byImage ? commandOfImage(container.image, identity.falcoVersion) : undefined;
  if (found.byImage && command === undefined) return refused('falco_image_command_unknown');
  const args = command?.slice(1) ?? found.args;
  const plan = planFalcoArguments(args, behaviour, identity);
  const oursBefore = readStatus(template)?.added.includes(fieldsAdded) === true;
  const { appendOutput, rulesFilesLast } = plan.options;
  const falcoArgs = [
    ...withoutOurOptions(args, plan.options, oursBefore),
    ...(rulesFilesLast === undefined ? [] : ['-o', rulesFilesLast]),
  ];
  const rules = plan.tagRules ? planRulesPart(template, container, identity, falcoArgs) : leftAlone([]);
  const isTagged = rules.volumes.length > 0;
  const options = isTagged ? plan.options : appendOutput === undefined ? {} : { appendOutput };
  const falco = withMounts(
    withArguments(container, command ?? container.args ?? [], options, oursBefore),
    rules.mounts,
  );
  return {
    template: { ...template, spec: withParts(template.spec, found.index, falco, rules) },
    added: [
      ...rules.volumes.map(({ name }) => `volume/${name}`),
      ...(isTagged ? ['falco/config_files'] : []),
      ...rules.init.map(({ name }) => `initContainer/${name}`),
      ...rules.side.map(({ name }) => `container/${name}`),
      ...(options.rulesFilesLast === undefined ? [] : ['falco/rules_files']),
      ...(appendOutput === undefined ? [] : [fieldsAdded]),
    ],
    findings: [...versionUnknown(version, container), ...plan.findings, ...rules.findings],
  };
}

/** A digest, `latest` and numbers of somebody's own count as a new Falco (FACTS 1.4: an older one exits). */
function versionUnknown(version: string | undefined, { image }: V1Container): Finding[] {
  const isFalcos = /^v?0\.\d+([.-]|$)/.test(version ?? '');
  return isFalcos ? [] : [{ code: 'falco_version_unknown', detail: image ?? 'no image' }];
}

/** The spec with Falco as given and our volume and containers; lists that get nothing stay as they are. */
function withParts(spec: V1PodSpec, index: number, falco: V1Container, rules: RulesPart): V1PodSpec {
  const containers = spec.containers.map((one, at) => (at === index ? falco : one));
  const initContainers = withoutOldCopying(spec.initContainers, rules.init);
  return {
    ...spec,
    containers: reconcileList(containers, rules.side, 'name'),
    ...(rules.init.length > 0 || initContainers !== spec.initContainers
      ? { initContainers: reconcileInOrder(initContainers, rules.init, 'name') }
      : {}),
    ...(rules.volumes.length > 0 ? { volumes: reconcileList(spec.volumes, rules.volumes, 'name') } : {}),
  };
}

/** @param before the arguments as they are, or the image's own command, which arguments replace, written out */
function withArguments(
  container: V1Container,
  before: readonly string[],
  options: Parameters<typeof withOurOptions>[1],
  oursBefore: boolean,
): V1Container {
  const args = withOurOptions(before, options, oursBefore);
  return args === before ? container : { ...container, args: [...args] };
}

function withMounts(container: V1Container, mounts: readonly V1VolumeMount[]): V1Container {
  if (mounts.length === 0) return container;
  const volumeMounts = reconcileList(container.volumeMounts, mounts, 'mountPath');
  return volumeMounts === container.volumeMounts ? container : { ...container, volumeMounts };
}
