import type { V1Container, V1EnvVar } from '@kubernetes/client-node';
import type { EffectiveSettings } from '../../federation/effective-settings.ts';
import type { Finding } from '../../reasons/reasons.ts';
import type { Part } from '../part.ts';
import type { PodTemplate } from '../pod-template.ts';
import { reconcileList } from '../reconcile.ts';
import { unresolvable } from '../service-names.ts';
import { readStatus, type Status } from '../status.ts';
import type { ContainerStep } from './container-step.ts';
import { type Environment, readVariable, type SecretOf, withoutVariable } from './environment.ts';
import { faultsOfOwnFields, fieldLabels } from './field-labels.ts';
import type { FalcosidekickContainer } from './find-falcosidekick.ts';
import { hubFields, hubTags } from './hub.ts';
import { nodeRedOutput } from './node-red-output.ts';
import { recordsBetween, recordsOfOlder, settledIn, withoutOurVariables } from './our-variables.ts';
import { spokeFields, spokeTags } from './spoke.ts';
import { type Forwarding, hubForwarding, withVolumes } from './webhook-output.ts';

/**
 * Takes an empty CUSTOMTAGS out: falcosidekick would put an empty tag on every event, and no other value stands for "no
 * tags" (FACTS 3.2).
 */
function withoutEmptyTags(environment: Environment): Environment {
  const variable = readVariable(environment, 'CUSTOMTAGS');
  const isEmpty = variable.kind === 'text' && variable.text.replaceAll(' ', '') === '';
  // One from a Secret is not ours to take out.
  return isEmpty && variable.from === undefined ? withoutVariable(environment, 'CUSTOMTAGS') : environment;
}

interface Steps {
  readonly environment: Environment;
  readonly added: readonly string[];
  readonly findings: readonly Finding[];
  readonly forwarding: Forwarding | undefined;
}

function hubSteps(environment: Environment, effective: EffectiveSettings): Steps {
  const { labels, findings } = fieldLabels(environment, effective.labels);
  const fields = hubFields(environment, labels, effective.labels);
  return {
    ...fields,
    environment: withoutEmptyTags(fields.environment),
    findings: [...findings, ...fields.findings, ...hubTags(environment)],
    forwarding: undefined,
  };
}

function spokeSteps(environment: Environment, effective: EffectiveSettings): Steps {
  const { labels, findings } = fieldLabels(environment, effective.labels);
  const fields = spokeFields(environment, labels);
  const tags: ContainerStep = spokeTags(fields.environment, effective);
  const forwarding = hubForwarding(tags.environment, effective.hub);
  return {
    environment: withoutEmptyTags(forwarding.environment),
    added: [...fields.added, ...tags.added, ...forwarding.added],
    findings: [...findings, ...fields.findings, ...tags.findings, ...forwarding.findings],
    forwarding,
  };
}

/** Of a spoke with a forwarder nothing but one output is touched: the forwarder adds labels and tags. */
function stepsFor(environment: Environment, effective: EffectiveSettings): Steps {
  if (effective.forwarder !== undefined)
    return { ...nodeRedOutput(environment, effective.forwarder), forwarding: undefined };
  return effective.role === 'hub' ? hubSteps(environment, effective) : spokeSteps(environment, effective);
}

/** The environment as it was before the injection that the status tells of. */
function asBefore(env: readonly V1EnvVar[], status: Status | undefined): readonly V1EnvVar[] {
  if (status === undefined) return env;
  return withoutOurVariables(env, status.records ?? recordsOfOlder(env, status.added));
}

function withEnv(container: V1Container, env: readonly V1EnvVar[]): V1Container {
  if (env.length > 0) return { ...container, env: [...env] };
  const { env: _, ...rest } = container;
  return rest;
}

/**
 * Makes a falcosidekick pod part of the federation: its fields, and on a spoke the
 * hub's address and credentials.
 *
 * It starts from the environment as it was before an earlier injection, so that nothing of other settings stays in it.
 */
export function injectFalcosidekick(
  template: PodTemplate,
  found: FalcosidekickContainer,
  effective: EffectiveSettings,
  secretOf: SecretOf,
): Part {
  const { container, index } = found;
  const present = container.env ?? [];
  const before = asBefore(present, readStatus(template));
  const users: Environment = { container: withEnv(container, before), secretOf };
  const steps = stepsFor(users, effective);
  const wanted = steps.environment.container.env ?? [];
  const env = settledIn(present, wanted);
  const mounts = steps.forwarding?.mounts ?? [];
  const { spec } = template;
  const volumes = steps.forwarding === undefined ? spec.volumes : withVolumes(spec.volumes, steps.forwarding);
  const injected = {
    ...(env === present ? container : withEnv(container, env)),
    ...(mounts.length === 0
      ? {}
      : { volumeMounts: reconcileList(container.volumeMounts, mounts, 'mountPath') }),
  };
  return {
    template: {
      ...template,
      spec: {
        ...spec,
        containers: spec.containers.with(index, injected),
        ...(volumes === undefined || volumes === null ? {} : { volumes }),
      },
    },
    added: steps.added,
    records: recordsBetween(before, wanted),
    findings: [...faultsOfOwnFields(users), ...steps.findings, ...unresolvable(spec, effective)],
  };
}
