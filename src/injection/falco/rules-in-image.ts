import type { V1Container, V1PodSpec, V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import {
  copyRulesContainer,
  placeCopierContainer,
  toolsVolumeName,
  toolsVolumePath,
  volumeName,
  volumePath,
} from '../../federation/names.ts';
import type { Finding } from '../../reasons/reasons.ts';
import { imageName } from '../image.ts';
import { type ContainerInputs, ownContainer } from './own-container.ts';
import { configFolder } from './places.ts';
import type { RulesMounts } from './rules-mounts.ts';

/**
 * Rules that lie in Falco's own image, where no other container sees them (FACTS 2.5): an init container with that
 * very image copies its /etc/falco into our volume, and the tagging containers mount the copy as their /etc/falco.
 *
 * The image may have no `sh` or `cp`, and a command that is not there keeps a pod from starting. So another init
 * container puts our own static program into a volume first, as Tekton and Argo Workflows do. That program ends with 0
 * whatever it meets; then there is no copy, the tagging containers see an empty folder, and Falco's list stays.
 */
export interface CopyPart {
  readonly volumes: readonly V1Volume[];
  readonly init: readonly V1Container[];
  /** Go in front of Falco's own in the tagging containers. */
  readonly mounts: readonly V1VolumeMount[];
}

export const nothingToCopy: CopyPart = { volumes: [], init: [], mounts: [] };

/** Memory: a program cannot be run from a kubelet's folder mounted noexec, nor be put on a disk that is full. */
const toolsVolume: V1Volume = { name: toolsVolumeName, emptyDir: { medium: 'Memory', sizeLimit: '4Mi' } };

/** Folder of the copy in our volume: Falco reads no folder there but those that the drop-in lists (FACTS 1.12). */
const copyName = 'image';

/** Whether falco-operator's native sidecar is there, whose rules come at any time. */
function bringsRulesBeside(spec: V1PodSpec): boolean {
  return (spec.initContainers ?? []).some(
    (container) =>
      container.name === 'artifact-operator' || imageName(container.image) === 'artifact-operator',
  );
}

/**
 * Plans the copy of the rules in Falco's image.
 *
 * @returns what it adds to the pod; or the reason why the rules are left in the image
 */
export function planCopying(inputs: ContainerInputs, seen: RulesMounts): CopyPart | Finding {
  const { effective, spec, falco } = inputs;
  if (!seen.rulesInImage || bringsRulesBeside(spec)) return nothingToCopy;
  const left = (why = ''): Finding => ({ code: 'rules_in_image', detail: `container ${falco.name}${why}` });
  const { startup, inImage } = effective.rules;
  if (startup !== 'init' || inImage !== 'copy') return left();
  // What the image has in its place would be published instead of what Falco sees there.
  if (seen.unseenBelow !== undefined) return left(`, whose mount ${seen.unseenBelow} is left out`);
  // A template that something else completes later.
  if (!falco.image) return left(', which has no image yet');
  const tools = (spec.volumes ?? []).find(({ name }) => name === toolsVolumeName);
  if (tools !== undefined && !tools.emptyDir) {
    return { code: 'volume_name_taken', detail: `volume ${toolsVolumeName}` };
  }
  return {
    volumes: [toolsVolume],
    init: [placeCopier(inputs), copyRules(inputs, falco.image)],
    // If nothing was copied the kubelet makes the folder, and it is empty. Not read-only: the volume is ours, and other
    // mounts lie below, or will (FACTS 4.8).
    mounts: [{ name: volumeName, mountPath: configFolder, subPath: copyName }],
  };
}

const toolsMount: V1VolumeMount = { name: toolsVolumeName, mountPath: toolsVolumePath };

function placeCopier(inputs: ContainerInputs): V1Container {
  return ownContainer(inputs, {
    name: placeCopierContainer,
    image: inputs.image,
    args: ['place', toolsVolumePath],
    resources: inputs.effective.rules.resources,
    user: inputs.user,
    volumeMounts: [toolsMount],
  });
}

/** Runs in the image that the pod's Falco runs in, so the node has to fetch nothing for it. */
function copyRules(inputs: ContainerInputs, falcoImage: string): V1Container {
  return ownContainer(inputs, {
    name: copyRulesContainer,
    image: falcoImage,
    command: [`${toolsVolumePath}/falco-federation`],
    args: ['copy', configFolder, `${volumePath}/${copyName}`],
    // The image's own may be a folder that our user may not enter: the container would not start.
    workingDir: '/',
    resources: inputs.effective.rules.resources,
    user: inputs.user,
    volumeMounts: [
      { ...toolsMount, readOnly: true },
      { name: volumeName, mountPath: volumePath },
    ],
  });
}
