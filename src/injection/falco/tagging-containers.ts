import type {
  V1Container,
  V1PodSpec,
  V1SecurityContext,
  V1Volume,
  V1VolumeMount,
} from '@kubernetes/client-node';
import type { EffectiveSettings } from '../../federation/effective-settings.ts';
import {
  followRulesContainer,
  noTokenVolumeName,
  tagRulesContainer,
  tokenPath,
  volumeName,
  volumePath,
} from '../../federation/names.ts';
import { imageName, imageTag, imageVersion, isBefore } from '../image.ts';
import { containersOf } from '../pod-template.ts';

/** What every container of ours is made from. */
export interface ContainerInputs {
  readonly effective: EffectiveSettings;
  readonly spec: V1PodSpec;
  readonly falco: V1Container;
  /** Of the webhook: what our containers run. */
  readonly image: string;
}

/** What both tagging containers are made from. */
export interface TaggingInputs extends ContainerInputs {
  /** Falco's own arguments, for `tag-rules` to read. */
  readonly falcoArgs: readonly string[];
  readonly mounts: readonly V1VolumeMount[];
}

/** User and group of falcoctl's images from 0.9.0 (FACTS 2.6). */
const nonRoot = 65532;

function isFalcoctl(container: V1Container): boolean {
  return imageName(container.image) === 'falcoctl';
}

/**
 * Who may read what falcoctl writes: files of mode 0600 are for its own user only (FACTS 2.6), so we run as
 * the user that the pod's falcoctl containers run as.
 */
function userOf(spec: V1PodSpec): { readonly uid: number; readonly gid: number } {
  const falcoctl = containersOf(spec).find(isFalcoctl);
  if (falcoctl === undefined) return { uid: nonRoot, gid: nonRoot };
  const ofImage = isBefore(imageVersion(falcoctl.image), 0, 9) ? 0 : nonRoot;
  return {
    uid: falcoctl.securityContext?.runAsUser ?? spec.securityContext?.runAsUser ?? ofImage,
    gid: falcoctl.securityContext?.runAsGroup ?? spec.securityContext?.runAsGroup ?? ofImage,
  };
}

/** What PodSecurity "restricted" asks of a container (FACTS 5). */
function restrictedSecurityContext(spec: V1PodSpec): V1SecurityContext {
  const { uid, gid } = userOf(spec);
  return {
    runAsUser: uid,
    runAsGroup: gid,
    runAsNonRoot: uid !== 0,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  };
}

/** Falco's environment as far as the pod spells it out: its configuration may hold `${NAME}` (FACTS 1.9). */
function environmentFlags(falco: V1Container): string[] {
  return (falco.env ?? []).flatMap(({ name, value }) =>
    value === undefined || value === null || value.includes('$(') ? [] : ['--falco-env', `${name}=${value}`],
  );
}

/**
 * Nothing, where a service account's token would be: ours need none, and ServiceAccount admission adds it to every
 * container that has no mount there, also to those that we add; the pod is then sent a second time (FACTS 4.15).
 */
export const noToken: { readonly volume: V1Volume; readonly mount: V1VolumeMount } = {
  // A volume of its own: a folder for it in the other one would come to be in a folder that Falco may watch already.
  volume: { name: noTokenVolumeName, emptyDir: { sizeLimit: '1Mi' } },
  mount: { name: noTokenVolumeName, mountPath: tokenPath, readOnly: true },
};

/** What a container of ours runs, with what. */
type OwnPart = Required<Pick<V1Container, 'name' | 'image' | 'args' | 'volumeMounts'>> &
  Pick<V1Container, 'command' | 'workingDir'> & {
    readonly resources: EffectiveSettings['rules']['resources'];
  };

/** A container of ours: pulled as Falco is, and with no more rights than it needs. */
export function ownContainer({ spec, falco }: ContainerInputs, part: OwnPart): V1Container {
  const { name, image, volumeMounts, resources, ...runs } = part;
  return {
    name,
    image,
    ...(falco.imagePullPolicy === undefined ? {} : { imagePullPolicy: falco.imagePullPolicy }),
    ...runs,
    // Safe: the settings' schema allows nothing but what V1ResourceRequirements holds.
    resources: resources as NonNullable<V1Container['resources']>,
    securityContext: restrictedSecurityContext(spec),
    volumeMounts: [...volumeMounts, noToken.mount],
  };
}

interface TaggingPart {
  readonly name: string;
  readonly resources: OwnPart['resources'];
  readonly flags: readonly string[];
}

function taggingContainer(inputs: TaggingInputs, { name, resources, flags }: TaggingPart): V1Container {
  const { effective, falco, falcoArgs, mounts } = inputs;
  const tag = effective.falcoVersion ?? imageTag(falco.image);
  return ownContainer(inputs, {
    name,
    image: inputs.image,
    args: [
      'tag-rules',
      ...effective.tags.flatMap((one) => ['--tag', one]),
      '--output',
      volumePath,
      ...(tag === undefined ? [] : ['--falco-version', tag]),
      ...environmentFlags(falco),
      // Only who sees falco.yaml can tell whether Falco posts to somebody already.
      ...(effective.forwarder === undefined ? [] : ['--post-to', effective.forwarder]),
      ...flags,
      '--',
      ...falcoArgs,
    ],
    resources,
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

/** Whether falco-operator's native sidecar is there, whose rules come at any time. */
export function bringsRulesBeside(spec: V1PodSpec): boolean {
  return (spec.initContainers ?? []).some(
    (container) =>
      container.name === 'artifact-operator' || imageName(container.image) === 'artifact-operator',
  );
}
