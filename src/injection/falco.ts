import type { V1Container, V1Volume } from '@kubernetes/client-node';
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
import { type RulesMounts, rulesMounts } from './rules-mounts.ts';
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

interface RulesDecision {
  readonly tag: boolean;
  readonly mounts: RulesMounts;
  readonly findings: readonly Finding[];
}

/** Whether there are rules that a container of ours can see and a place to put their copies. */
function decideRules(template: PodTemplate, falco: V1Container, args: readonly string[]): RulesDecision {
  const mounts = rulesMounts(template.spec, falco, args);
  const findings: Finding[] = [...mounts.findings];
  if (isPlaceTaken(template, falco)) {
    return { tag: false, mounts, findings: [...findings, { code: 'volume_name_taken', detail: volumePath }] };
  }
  if (mounts.rulesInImage && !bringsRulesBeside(template.spec)) {
    findings.push({ code: 'rules_in_image', detail: `container ${falco.name}` });
  }
  return { tag: mounts.anyRules, mounts, findings };
}

/** The containers that tag, as the settings and the pod ask for them. */
function taggingContainers(
  template: PodTemplate,
  found: FalcoContainer,
  identity: Identity,
  falcoArgs: readonly string[],
  mounts: RulesMounts,
): { readonly init: readonly V1Container[]; readonly side: readonly V1Container[] } {
  const { spec } = template;
  const inputs = { identity, spec, falco: found.container, falcoArgs, mounts: mounts.mounts };
  const alongside = identity.rules.startup === 'alongside';
  const later = identity.rules.follow && (rulesArriveLater(spec) || mounts.anyConfigMapFolder);
  return {
    init: alongside ? [] : [tagRules(inputs)],
    // Alongside, the side container does the first tagging too.
    side: alongside || later ? [followRules(inputs)] : [],
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
  const last = plan.options.rulesFilesLast;
  const falcoArgs = [
    ...withoutOurOptions(found.args, plan.options, oursBefore),
    ...(last === undefined ? [] : ['-o', last]),
  ];
  const rules = plan.tagRules ? decideRules(template, container, falcoArgs) : undefined;
  const findings = [...plan.findings, ...(rules?.findings ?? [])];

  const options = rules?.tag ? plan.options : { ...appendOutputOnly(plan.options) };
  const { init, side } = rules?.tag
    ? taggingContainers(template, found, identity, falcoArgs, rules.mounts)
    : { init: [], side: [] };

  const falco = withArguments(container, found, options, oursBefore);
  const mounted = rules?.tag ? withMount(falco) : falco;
  const { spec } = template;
  const containers = reconcileList(
    spec.containers.map((one, at) => (at === found.index ? mounted : one)),
    side,
    'name',
  );
  const initContainers = reconcileList(spec.initContainers, init, 'name');
  const volumes = reconcileList(spec.volumes, rules?.tag ? [volume] : [], 'name');
  return {
    template: {
      ...template,
      spec: {
        ...spec,
        containers,
        ...(init.length > 0 ? { initContainers } : {}),
        ...(rules?.tag ? { volumes } : {}),
      },
    },
    added: [
      ...(rules?.tag ? [`volume/${volumeName}`, 'falco/config_files'] : []),
      ...init.map(() => `initContainer/${tagRulesContainer}`),
      ...side.map(() => `container/${followRulesContainer}`),
      ...(options.rulesFilesLast === undefined ? [] : ['falco/rules_files']),
      ...(options.appendOutput === undefined ? [] : [fieldsAdded]),
    ],
    findings,
  };
}

function appendOutputOnly({ appendOutput }: { readonly appendOutput?: string }): { appendOutput?: string } {
  return appendOutput === undefined ? {} : { appendOutput };
}

function withArguments(
  container: V1Container,
  found: FalcoContainer,
  options: Parameters<typeof withOurOptions>[1],
  oursBefore: boolean,
): V1Container {
  // Where the image's default command runs Falco, arguments replace it, so they must name the program.
  const before = found.programImplied ? ['/usr/bin/falco'] : (container.args ?? []);
  const args = withOurOptions(before, options, oursBefore);
  if (args === before) return container;
  return { ...container, args: [...args] };
}

function withMount(container: V1Container): V1Container {
  const mount = { name: volumeName, mountPath: volumePath, readOnly: true };
  const volumeMounts = reconcileList(container.volumeMounts, [mount], 'mountPath');
  return volumeMounts === container.volumeMounts ? container : { ...container, volumeMounts };
}
