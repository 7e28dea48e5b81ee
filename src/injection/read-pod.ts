import type { V1Container } from '@kubernetes/client-node';
import type { EffectiveSettings } from '../federation/effective-settings.ts';
import { version } from '../federation/names.ts';
import type { Finding } from '../reasons/reasons.ts';
import { type FalcoArguments, readFalcoArguments } from '../rules/configuration/falco-arguments.ts';
import { type FalcoVersion, readFalcoVersion } from '../rules/configuration/falco-version.ts';
import { type FalcoContainer, findFalco } from './falco/find-falco.ts';
import { commandOfImage } from './falco/image-command.ts';
import { withoutOurArguments, withoutOurOptions } from './falco/our-options.ts';
import { type FalcosidekickContainer, findFalcosidekick } from './falcosidekick/find-falcosidekick.ts';
import { withoutOurVariables } from './falcosidekick/our-variables.ts';
import { imageTag } from './image.ts';
import type { PodTemplate } from './pod-template.ts';
import { addedNames, isOurName, readStatus, type Status } from './status.ts';

/** Falco as its user wrote it, without what an earlier injection added. */
export interface FalcoInPod {
  /** Index in `spec.containers`. */
  readonly index: number;
  readonly container: V1Container;
  /** What `args` must hold before anything is added: the image's own command too, which arguments replace. */
  readonly words: readonly string[];
  /** Whether these words are the image's own command, written out. */
  readonly byImage: boolean;
  /** Falco's own arguments, and what they say. */
  readonly args: readonly string[];
  readonly given: FalcoArguments;
  readonly version: FalcoVersion;
}

/** All that injection wants to know of a pod, read once. */
export interface ReadPod {
  readonly template: PodTemplate;
  /** What an earlier injection left. */
  readonly status: Status | undefined;
  /** It was injected before with these very settings by this version: what is there by now is others' too (FACTS 4.17). */
  readonly isSecondCall: boolean;
  /** `spec.containers` as their users wrote them; ours are as they are. */
  readonly users: readonly V1Container[];
  readonly falco: FalcoInPod | undefined;
  readonly falcosidekick: FalcosidekickContainer | undefined;
  /** Why one of the two was not taken. */
  readonly findings: readonly Finding[];
}

function isFinding(value: object): value is Finding {
  return 'code' in value;
}

export function readPod(template: PodTemplate, effective: EffectiveSettings): ReadPod {
  const status = readStatus(template);
  const users = asUsersWrote(template.spec.containers, status);
  const found = findFalco({ containers: [...users] });
  const falco = found === undefined || isFinding(found) ? found : readFalco(found, effective, status);
  const falcosidekick = findFalcosidekick({ containers: [...users] });
  return {
    template,
    status,
    isSecondCall: status?.settings === effective.hash && status.version === version,
    users,
    falco: falco === undefined || isFinding(falco) ? undefined : falco,
    falcosidekick: falcosidekick === undefined || isFinding(falcosidekick) ? undefined : falcosidekick,
    findings: [falco, falcosidekick].filter((one) => one !== undefined).filter(isFinding),
  };
}

/** A command of the image's must be known: arguments would replace it. */
function readFalco(
  found: FalcoContainer,
  { falcoVersion }: EffectiveSettings,
  status: Status | undefined,
): FalcoInPod | Finding {
  const { index, container, byImage, given } = found;
  const { image } = container;
  const words = byImage ? commandOfImage(image, falcoVersion) : (container.args ?? []);
  if (words === undefined) return { code: 'falco_image_command_unknown', detail: image ?? 'no image' };
  const version = readFalcoVersion(falcoVersion ?? imageTag(image));
  // Without a status, too, some of ours are known by what they say.
  const args = withoutOurOptions(byImage ? words.slice(1) : found.args, status);
  const isAsFound = !byImage && args.length === found.args.length;
  const read = isAsFound ? given : readFalcoArguments(args);
  return { index, container, words, byImage, args, given: read, version };
}

function asUsersWrote(
  containers: readonly V1Container[],
  status: Status | undefined,
): readonly V1Container[] {
  if (status === undefined) return containers;
  const volumes = addedNames(status, 'volume');
  return containers.map((one) => {
    if (isOurName(one.name)) return one;
    const mounted = withoutMounts(withoutOurArguments(one, status), volumes);
    return one.env ? withEnvironment(mounted, withoutOurVariables(one.env, status)) : mounted;
  });
}

/** A container without any mount of these volumes. */
export function withoutMounts(container: V1Container, volumes: ReadonlySet<string>): V1Container {
  const mounts = container.volumeMounts ?? [];
  const kept = mounts.filter(({ name }) => !volumes.has(name));
  if (kept.length === mounts.length) return container;
  const { volumeMounts: _, ...rest } = container;
  return kept.length === 0 ? rest : { ...container, volumeMounts: kept };
}

export function withEnvironment(
  container: V1Container,
  env: readonly NonNullable<V1Container['env']>[number][],
): V1Container {
  if (env === container.env || (!container.env && env.length === 0)) return container;
  if (env.length > 0) return { ...container, env: [...env] };
  const { env: _, ...rest } = container;
  return rest;
}
