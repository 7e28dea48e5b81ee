import type { V1Container, V1PodSpec, V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import type { Identity } from '../federation/identity.ts';
import { followRulesContainer, tagRulesContainer, volumeName, volumePath } from '../federation/names.ts';
import type { Finding } from '../reasons/reasons.ts';
import { falcoBehaviour } from '../rules/falco-version.ts';
import { planFalcoArguments, withOurOptions, withoutOurOptions } from './falco-arguments.ts';
import type { FalcoContainer } from './falco-container.ts';
import { imageTag } from './image.ts';
import type { Part } from './part.ts';
import type { PodTemplate } from './pod-template.ts';
import { reconcileList } from './reconcile.ts';
import { rulesMounts } from './rules-mounts.ts';
import { readStatus } from './status.ts';
import { bringsRulesBeside, followRules, rulesArriveLater, tagRules } from './tagging-containers.ts';

/** Name of Falco's alert fields in the status annotation. */
const fieldsAdded = 'falco/append_output';

/** tag-rules writes at most 16 MiB, twice over while it replaces them; an emptyDir that overflows evicts the pod (FACTS 4.10). */
const volume: V1Volume = { name: volumeName, emptyDir: { sizeLimit: '64Mi' } };

/** Whether the pod has something of its own under our volume's name or at our path. */
function isPlaceTaken({ spec }: PodTemplate, falco: V1Container): boolean {
  const named = (spec.volumes ?? []).find(({ name }) => name === volumeName);
  const mounted = (falco.volumeMounts ?? []).find(({ mountPath }) => mountPath === volumePath);
  return (named !== undefined && !named.emptyDir) || (mounted !== undefined && mounted.name !== volumeName);
}

/** What tagging the rules adds to a pod; all empty where they are left alone. */
interface RulesPart {
  readonly volumes: readonly V1Volume[];
  /** Added to Falco itself. */
  readonly mounts: readonly V1VolumeMount[];
  readonly init: readonly V1Container[];
  readonly side: readonly V1Container[];
  readonly findings: readonly Finding[];
}

function leftAlone(findings: readonly Finding[]): RulesPart {
  return { volumes: [], mounts: [], init: [], side: [], findings };
}

/**
 * Works out how the rules are tagged: whether there are rules that a container of ours can see and a place to put
 * their copies, and which containers tag them, as the settings and the pod ask for.
 */
function planRulesPart(
  template: PodTemplate,
  falco: V1Container,
  identity: Identity,
  falcoArgs: readonly string[],
): RulesPart {
  const { spec } = template;
  const seen = rulesMounts(spec, falco, falcoArgs);
  const findings: Finding[] = [...seen.findings];
  if (isPlaceTaken(template, falco)) {
    return leftAlone([...findings, { code: 'volume_name_taken', detail: volumePath }]);
  }
  if (seen.rulesInImage && !bringsRulesBeside(spec)) {
    findings.push({ code: 'rules_in_image', detail: `container ${falco.name}` });
  }
  if (!seen.anyRules) return leftAlone(findings);
  const inputs = { identity, spec, falco, falcoArgs, mounts: seen.mounts };
  const alongside = identity.rules.startup === 'alongside';
  const later = identity.rules.follow && (rulesArriveLater(spec) || seen.anyConfigMapFolder);
  return {
    volumes: [volume],
    mounts: [{ name: volumeName, mountPath: volumePath, readOnly: true }],
    init: alongside ? [] : [tagRules(inputs)],
    // Alongside, the side container does the first tagging too.
    side: alongside || later ? [followRules(inputs)] : [],
    findings,
  };
}

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
      ...(isTagged ? [`volume/${volumeName}`, 'falco/config_files'] : []),
      ...rules.init.map(() => `initContainer/${tagRulesContainer}`),
      ...rules.side.map(() => `container/${followRulesContainer}`),
      ...(options.rulesFilesLast === undefined ? [] : ['falco/rules_files']),
      ...(appendOutput === undefined ? [] : [fieldsAdded]),
    ],
    findings: [...plan.findings, ...rules.findings],
  };
}

/** The spec with Falco as given and our volume and containers; lists that get nothing stay as they are. */
function withParts(spec: V1PodSpec, index: number, falco: V1Container, rules: RulesPart): V1PodSpec {
  const containers = spec.containers.map((one, at) => (at === index ? falco : one));
  return {
    ...spec,
    containers: reconcileList(containers, rules.side, 'name'),
    ...(rules.init.length > 0
      ? { initContainers: reconcileList(spec.initContainers, rules.init, 'name') }
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
