import type { V1Container, V1PodSpec } from '@kubernetes/client-node';
import type { Additions } from './additions.ts';
import type { PodTemplate } from './pod-template.ts';
import { withPullSecrets } from './pull-secrets.ts';
import { type ReadPod, withoutMounts } from './read-pod.ts';
import { asItIs, asWanted, completed, reconcileInOrder, reconcileList, type Settle } from './reconcile.ts';
import { addedNames, isOurName, type Status } from './status.ts';

type ListName = 'containers' | 'initContainers';

const kinds: Readonly<Record<ListName, string>> = {
  containers: 'container',
  initContainers: 'initContainer',
};

/**
 * A container of ours without mounts of volumes that the pod has no more: with one the API server refuses it. What Falco
 * itself still mounts is not ours to take.
 */
function withoutLostMounts(container: V1Container, { users, template, status }: ReadPod): V1Container {
  const { spec } = template;
  const there = new Set([
    ...(spec.volumes ?? []).map(({ name }) => name),
    ...addedNames(status, 'volume'),
    ...users.flatMap((one) => (isOurName(one.name) ? [] : (one.volumeMounts ?? []).map(({ name }) => name))),
  ]);
  const mounts = container.volumeMounts ?? [];
  const kept = mounts.filter(({ name }) => there.has(name));
  return kept.length === mounts.length ? container : { ...container, volumeMounts: kept };
}

/**
 * A container of ours that is there already: of today's settings and version it is completed, as all else in it is others'
 * by now; of other settings it is made anew, since a field that somebody gave it says nothing of whose it is.
 */
function settle(pod: ReadPod): Settle<V1Container> {
  if (!pod.isSecondCall) return asWanted;
  return (is, want) => completed(withoutLostMounts(is, pod), want);
}

/** Names of ours, by the status or by themselves, that are not wanted. */
function gone(status: Status | undefined, kind: string, wanted: readonly { readonly name: string }[]) {
  const kept = new Set(wanted.map(({ name }) => name));
  return new Set([...addedNames(status, kind)].filter((name) => !kept.has(name)));
}

function withList<K extends 'volumes' | 'initContainers' | 'containers'>(
  spec: V1PodSpec,
  key: K,
  list: V1PodSpec[K],
): V1PodSpec {
  if (list === spec[key] || (!spec[key]?.length && !list?.length)) return spec;
  if (list?.length || key === 'containers') return { ...spec, [key]: list };
  const { [key]: _, ...rest } = spec;
  // Safe: only the optional ones of the three get here.
  return rest as V1PodSpec;
}

function without<T extends { name: string }>(list: readonly T[], names: ReadonlySet<string>): readonly T[] {
  return names.size === 0 ? list : list.filter(({ name }) => !names.has(name));
}

/**
 * The template with what is to be ours, and without what an earlier injection added beside it: containers, volumes and
 * their mounts, Secrets, arguments and variables. What is ours the status annotation says.
 */
export function bring(pod: ReadPod, additions: Additions): PodTemplate {
  const { template, status, users } = pod;
  const { spec } = template;
  const { changed, init, side, volumes } = additions;
  const goneVolumes = gone(status, 'volume', volumes);
  const containers = reconcileInOrder(
    without(
      users.map((one, at) => changed.get(at) ?? one),
      gone(status, kinds.containers, side),
    ),
    side,
    'name',
    settle(pod),
  );
  const others = (spec.initContainers ?? []).map((one) =>
    isOurName(one.name) ? one : withoutMounts(one, goneVolumes),
  );
  const initContainers = reconcileInOrder(
    without(others, gone(status, kinds.initContainers, init)),
    init,
    'name',
    settle(pod),
  );
  const volumeList = reconcileList(
    without(spec.volumes ?? [], goneVolumes),
    volumes,
    'name',
    pod.isSecondCall ? asItIs : asWanted,
  );
  const lists = withList(
    withList(withList(spec, 'containers', containers), 'initContainers', initContainers),
    'volumes',
    volumeList,
  );
  const result = withPullSecrets(lists, status, additions.pullSecrets);
  return result === spec ? template : { ...template, spec: result };
}
