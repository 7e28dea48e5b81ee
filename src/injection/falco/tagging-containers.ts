import type { V1Container, V1EnvVar, V1VolumeMount } from '@kubernetes/client-node';
import {
  alertsFile,
  falcoVariablePrefix,
  followRulesContainer,
  tagRulesContainer,
  volumeName,
  volumePath,
} from '../../federation/names.ts';
import { imageTag } from '../image.ts';
import { type ContainerInputs, type OwnPart, ownContainer } from './own-container.ts';

/** What both tagging containers are made from. */
export interface TaggingInputs extends ContainerInputs {
  /** Falco's own arguments, for `tag-rules` to read. */
  readonly falcoArgs: readonly string[];
  readonly mounts: readonly V1VolumeMount[];
  /** For every rule; none where rules are left as they are. */
  readonly tags: readonly string[];
  /** Whether Falco's alerts go into our file. */
  readonly writesAlerts: boolean;
}

/**
 * Falco's environment as far as the pod spells it out: its configuration may hold `${NAME}` (FACTS 1.9). As variables, since
 * whoever lists processes sees arguments.
 */
function falcosVariables(falco: V1Container): V1EnvVar[] {
  return (falco.env ?? []).flatMap(({ name, value }) =>
    value === undefined || value === null || value.includes('$(')
      ? []
      : [{ name: `${falcoVariablePrefix}${name}`, value }],
  );
}

interface TaggingPart {
  readonly name: string;
  readonly resources: OwnPart['resources'];
  readonly flags: readonly string[];
}

function taggingContainer(inputs: TaggingInputs, { name, resources, flags }: TaggingPart): V1Container {
  const { effective, falco, falcoArgs, mounts, tags, writesAlerts } = inputs;
  const env = falcosVariables(falco);
  const tag = effective.falcoVersion ?? imageTag(falco.image);
  return ownContainer(inputs, {
    name,
    image: inputs.image,
    args: [
      'tag-rules',
      ...tags.flatMap((one) => ['--tag', one]),
      '--output',
      volumePath,
      ...(tag === undefined ? [] : ['--falco-version', tag]),
      // Only who sees falco.yaml can tell whether Falco writes its alerts to a file already.
      ...(writesAlerts ? ['--alerts-to', alertsFile] : []),
      ...(writesAlerts && effective.alerts?.jsonOutput === 'leave' ? ['--json-output', 'leave'] : []),
      ...flags,
      '--',
      ...falcoArgs,
    ],
    ...(env.length === 0 ? {} : { env }),
    resources,
    user: inputs.user,
    volumeMounts: [...mounts, { name: volumeName, mountPath: volumePath }],
  });
}

/** The init container that tags the rules before Falco starts. */
export function tagRules(inputs: TaggingInputs): V1Container {
  const { resources, onFailure } = inputs.effective.rules;
  // Written out even where it is the default: an image of another version must not hold Falco back either.
  const flags = ['--on-failure', onFailure];
  return taggingContainer(inputs, { name: tagRulesContainer, resources, flags });
}

/** The side container that tags rules while Falco runs. */
export function followRules(inputs: TaggingInputs): V1Container {
  const { followResources: resources } = inputs.effective.rules;
  return taggingContainer(inputs, { name: followRulesContainer, resources, flags: ['--follow'] });
}
