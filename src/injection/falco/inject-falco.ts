import type { V1Container, V1PodSpec, V1VolumeMount } from '@kubernetes/client-node';
import type { Identity } from '../../federation/identity.ts';
import { falcoBehaviour } from '../../rules/configuration/falco-version.ts';
import { imageTag } from '../image.ts';
import type { Part } from '../part.ts';
import type { PodTemplate } from '../pod-template.ts';
import { reconcileInOrder, reconcileList } from '../reconcile.ts';
import { readStatus } from '../status.ts';
import type { FalcoContainer } from './find-falco.ts';
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
  const behaviour = falcoBehaviour(imageTag(container.image));
  if (!behaviour.readsDropIns) {
    return { template, added: [], findings: [{ code: 'falco_too_old', detail: String(container.image) }] };
  }
  const plan = planFalcoArguments(found.args, behaviour, identity);
  const oursBefore = readStatus(template)?.added.includes(fieldsAdded) === true;
  const { appendOutput, rulesFilesLast } = plan.options;
  const falcoArgs = [
    ...withoutOurOptions(found.args, plan.options, oursBefore),
    ...(rulesFilesLast === undefined ? [] : ['-o', rulesFilesLast]),
  ];
  const rules = plan.tagRules ? planRulesPart(template, container, identity, falcoArgs) : leftAlone([]);
  const isTagged = rules.volumes.length > 0;
  const options = isTagged ? plan.options : appendOutput === undefined ? {} : { appendOutput };
  const falco = withMounts(withArguments(found, options, oursBefore), rules.mounts);
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
    findings: [...plan.findings, ...rules.findings],
  };
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

function withArguments(
  { container, programImplied }: FalcoContainer,
  options: Parameters<typeof withOurOptions>[1],
  oursBefore: boolean,
): V1Container {
  // Where the image's default command runs Falco, arguments replace it, so they must name the program.
  const before = programImplied ? ['/usr/bin/falco'] : (container.args ?? []);
  const args = withOurOptions(before, options, oursBefore);
  return args === before ? container : { ...container, args: [...args] };
}

function withMounts(container: V1Container, mounts: readonly V1VolumeMount[]): V1Container {
  if (mounts.length === 0) return container;
  const volumeMounts = reconcileList(container.volumeMounts, mounts, 'mountPath');
  return volumeMounts === container.volumeMounts ? container : { ...container, volumeMounts };
}
