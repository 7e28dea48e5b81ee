import type { V1Container, V1PodSpec } from '@kubernetes/client-node';
import type { EffectiveSettings } from '../federation/effective-settings.ts';
import {
  copyRulesContainer,
  followRulesContainer,
  placeCopierContainer,
  tagRulesContainer,
  version,
  volumeName,
} from '../federation/names.ts';
import type { PodTemplate } from './pod-template.ts';
import { withoutOldPullSecrets } from './pull-secrets.ts';
import { readStatus, type Status } from './status.ts';

/**
 * What an earlier injection with other settings added goes again, where templates are kept (`injectAt: workload`, the
 * command line on its own output). What is ours the status annotation says; our containers tell it by their names too.
 *
 * | what                         | the settings ask for it | they do not                              |
 * | ---------------------------- | ----------------------- | ---------------------------------------- |
 * | container, init container    | made anew in its place  | goes                                     |
 * | volume                       | reconciled              | goes, and every mount of it              |
 * | Secret that an image is pulled with | stays            | goes                                     |
 * | arguments of Falco           | our-options.ts          | our-options.ts                           |
 * | variables of falcosidekick   | our-variables.ts        | our-variables.ts: what was there is back |
 * | label and status annotation  | written anew            | go                                       |
 *
 * Made anew, since a field that other settings gave to a container of ours says nothing of whose it is. With the same
 * settings it is completed only, and what others have put into it stays.
 */

const ownContainers: ReadonlySet<string> = new Set([
  placeCopierContainer,
  copyRulesContainer,
  tagRulesContainer,
  followRulesContainer,
]);

type ListName = 'containers' | 'initContainers';

const kinds: Readonly<Record<ListName, string>> = {
  containers: 'container',
  initContainers: 'initContainer',
};

/** All that we add has such a name: whatever an annotation says, nothing else goes. */
function isOurName(name: string): boolean {
  return name.startsWith(volumeName);
}

/** The spec with one of its lists changed; a list that gets empty goes. */
function withList(
  spec: V1PodSpec,
  list: ListName,
  change: (containers: readonly V1Container[]) => readonly V1Container[],
): V1PodSpec {
  const before = spec[list];
  if (!before) return spec;
  const after = change(before);
  if (after.length === before.length && after.every((one, at) => one === before[at])) return spec;
  if (after.length > 0 || list === 'containers') return { ...spec, [list]: [...after] };
  const { [list]: _, ...rest } = spec;
  // Safe: of the two lists only initContainers is left out, which is optional.
  return rest as V1PodSpec;
}

/**
 * A container of ours without mounts of volumes that the pod has no more: with one the API server refuses it. What Falco
 * itself still mounts is not ours to take.
 */
function withoutLostMounts(container: V1Container, spec: V1PodSpec, { added }: Status): V1Container {
  const isMounted = (volume: string): boolean =>
    spec.containers.some(
      ({ name, volumeMounts }) => !isOurName(name) && volumeMounts?.some((mount) => mount.name === volume),
    );
  const mounts = container.volumeMounts ?? [];
  const kept = mounts.filter(
    (mount) =>
      spec.volumes?.some(({ name }) => name === mount.name) === true ||
      added.includes(`volume/${mount.name}`) ||
      isMounted(mount.name),
  );
  return kept.length === mounts.length ? container : { ...container, volumeMounts: kept };
}

/** The template ready for injection: containers of ours from other settings hold nothing but their names. */
export function withoutOldContents(template: PodTemplate, effective: EffectiveSettings): PodTemplate {
  const status = readStatus(template);
  if (status === undefined) return template;
  const isSame = status.settings === effective.hash && status.version === version;
  const { spec } = template;
  const change = (list: ListName) => (containers: readonly V1Container[]) =>
    containers.map((one) => {
      if (!isOurName(one.name) || !status.added.includes(`${kinds[list]}/${one.name}`)) return one;
      return isSame ? withoutLostMounts(one, spec, status) : { name: one.name };
    });
  const changed = withList(
    withList(spec, 'containers', change('containers')),
    'initContainers',
    change('initContainers'),
  );
  return changed === spec ? template : { ...template, spec: changed };
}

/** Names of what an earlier injection added and this one did not. */
function leftOver(status: Status | undefined, kind: string, added: ReadonlySet<string>): ReadonlySet<string> {
  const gone = (status?.added ?? []).filter((one) => one.startsWith(`${kind}/`) && !added.has(one));
  return new Set(gone.map((one) => one.slice(kind.length + 1)).filter(isOurName));
}

function withoutMounts(container: V1Container, volumes: ReadonlySet<string>): V1Container {
  const mounts = container.volumeMounts ?? [];
  const kept = mounts.filter(({ name }) => !volumes.has(name));
  if (kept.length === mounts.length) return container;
  const { volumeMounts: _, ...rest } = container;
  return kept.length === 0 ? rest : { ...container, volumeMounts: kept };
}

function withoutVolumes(spec: V1PodSpec, names: ReadonlySet<string>): V1PodSpec {
  if (names.size === 0) return spec;
  const unmounted = (containers: readonly V1Container[]) =>
    containers.map((one) => withoutMounts(one, names));
  const rest = withList(withList(spec, 'containers', unmounted), 'initContainers', unmounted);
  const volumes = (spec.volumes ?? []).filter(({ name }) => !names.has(name));
  if (volumes.length > 0) return { ...rest, volumes };
  const { volumes: _, ...bare } = rest;
  return bare;
}

/**
 * The template without what `before` says that an earlier injection added and `added`, what is ours now, does not have.
 *
 * @param before the status annotation of the template as it came
 */
export function withoutLeftovers(
  template: PodTemplate,
  before: Status | undefined,
  added: readonly string[],
): PodTemplate {
  const wanted = new Set(added);
  const without = (list: ListName) => {
    const names = leftOver(before, kinds[list], wanted);
    return (containers: readonly V1Container[]) =>
      containers.filter(
        ({ name }) => !names.has(name) && !(ownContainers.has(name) && !wanted.has(`${kinds[list]}/${name}`)),
      );
  };
  const { spec } = template;
  const contained = withList(
    withList(spec, 'containers', without('containers')),
    'initContainers',
    without('initContainers'),
  );
  const unmounted = withoutVolumes(contained, leftOver(before, 'volume', wanted));
  const changed = withoutOldPullSecrets(unmounted, before, wanted);
  return changed === spec ? template : { ...template, spec: changed };
}
