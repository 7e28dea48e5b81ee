import type {
  V1Container,
  V1PodSpec,
  V1SecurityContext,
  V1Volume,
  V1VolumeMount,
} from '@kubernetes/client-node';
import type { EffectiveSettings } from '../../federation/effective-settings.ts';
import { noTokenVolumeName, tokenPath } from '../../federation/names.ts';
import { imageName, imageVersion, isBefore } from '../image.ts';
import { containersOf } from '../pod-template.ts';

/** What every container of ours is made from. */
export interface ContainerInputs {
  readonly effective: EffectiveSettings;
  readonly spec: V1PodSpec;
  readonly falco: V1Container;
  /** Of the webhook: what our containers run. */
  readonly image: string;
  /** Who may read what falcoctl writes. */
  readonly user: User;
}

/** Whether a pod ends by itself, which one with a container of ours that goes on for ever would not. */
export function endsByItself({ restartPolicy }: V1PodSpec): boolean {
  return typeof restartPolicy === 'string' && restartPolicy !== 'Always';
}

export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** User and group of falcoctl's images from 0.9.0 (FACTS 2.6). */
const nonRoot = 65532;
export const nonRootUser: User = { uid: nonRoot, gid: nonRoot };

function isFalcoctl(container: V1Container): boolean {
  return imageName(container.image) === 'falcoctl';
}

/**
 * Who may read what falcoctl writes: files of mode 0600 are for its own user only (FACTS 2.6), so we run as
 * the user that the pod's falcoctl containers run as.
 */
export function falcoctlUser(spec: V1PodSpec): User {
  const falcoctl = containersOf(spec).find(isFalcoctl);
  if (falcoctl === undefined) return nonRootUser;
  const ofImage = isBefore(imageVersion(falcoctl.image), 0, 9) ? 0 : nonRoot;
  return {
    uid: falcoctl.securityContext?.runAsUser ?? spec.securityContext?.runAsUser ?? ofImage,
    gid: falcoctl.securityContext?.runAsGroup ?? spec.securityContext?.runAsGroup ?? ofImage,
  };
}

/** What PodSecurity "restricted" asks of a container (FACTS 5). */
function restrictedSecurityContext({ uid, gid }: User): V1SecurityContext {
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
export type OwnPart = Required<Pick<V1Container, 'name' | 'image' | 'args' | 'volumeMounts'>> &
  Pick<V1Container, 'command' | 'workingDir' | 'env' | 'restartPolicy'> & {
    readonly resources: EffectiveSettings['rules']['resources'];
    readonly user: User;
  };

/** `Never` is for images that somebody has put on each node: nobody has ours. */
function pullPolicy({ falco }: ContainerInputs, image: string): Pick<V1Container, 'imagePullPolicy'> {
  const { imagePullPolicy: policy } = falco;
  if (policy === undefined) return {};
  return { imagePullPolicy: policy === 'Never' && image !== falco.image ? 'IfNotPresent' : policy };
}

/**
 * What a LimitRange and the pod's own resources let pass (FACTS 4.18): where the pod has some as a whole, its user's
 * containers may need all of them, so ours ask for none and take part in them.
 */
function resourcesOf(
  { effective, spec }: ContainerInputs,
  settings: OwnPart['resources'],
): Pick<V1Container, 'resources'> {
  if (spec.resources) return {};
  const { requests, limits } = settings;
  const resources = effective.rules.requestsEqualLimits
    ? { ...settings, requests: { ...requests, ...limits } }
    : settings;
  // Safe: the settings' schema allows nothing but what V1ResourceRequirements holds.
  return { resources: resources as NonNullable<V1Container['resources']> };
}

/** A container of ours: pulled as Falco is, and with no more rights than it needs. */
export function ownContainer(inputs: ContainerInputs, part: OwnPart): V1Container {
  const { name, image, volumeMounts, resources, user, ...runs } = part;
  return {
    name,
    image,
    ...pullPolicy(inputs, image),
    ...runs,
    ...resourcesOf(inputs, resources),
    securityContext: restrictedSecurityContext(user),
    volumeMounts: [...volumeMounts, noToken.mount],
  };
}
