import { isDeepStrictEqual } from 'node:util';
import type { V1Container, V1EnvVar, V1VolumeMount } from '@kubernetes/client-node';

/**
 * Bringing a pod to the wanted state element by element, the way the API server's own lists are keyed, so that we live in
 * peace with other webhooks and with ourselves (FACTS 5): what is there and not ours is never changed or moved, and
 * nothing to do returns the very same object.
 */

/** What becomes of an element that is there already. */
export type Settle<T> = (is: T, want: T) => T;

/** It stays as it is. */
export const asItIs = <T>(is: T): T => is;

/** It becomes what is wanted, of which the one that is there may be the very same. */
export const asWanted = <T>(is: T, want: T): T => (isDeepStrictEqual(is, want) ? is : want);

function keyed<T extends object>(list: readonly T[], key: keyof T): Map<unknown, number> {
  const places = new Map<unknown, number>();
  for (const [at, one] of list.entries()) if (!places.has(one[key])) places.set(one[key], at);
  return places;
}

/**
 * `list` with each wanted element: settled in its place where an element of that key is there, else appended.
 *
 * @param key the field that names an element: `name`, `mountPath`
 * @returns the very same list if nothing was to do
 */
export function reconcileList<T extends object>(
  list: readonly T[] | null | undefined,
  wanted: readonly T[],
  key: keyof T,
  settle: Settle<T>,
): T[] {
  const before = list ?? [];
  const after = [...before];
  const places = wanted.length === 0 ? new Map<unknown, number>() : keyed(before, key);
  for (const want of wanted) {
    const at = places.get(want[key]) ?? -1;
    const found = after[at];
    if (found === undefined) after.push(want);
    else after[at] = settle(found, want);
  }
  const same = after.length === before.length && after.every((item, at) => item === before[at]);
  // Safe: `before` is `list` itself here, or a fresh empty list; nobody writes to it.
  return same ? (before as T[]) : after;
}

/**
 * As `reconcileList`, for elements that must stand in the order given: where an earlier injection left only later
 * ones, ours change places among themselves. Nobody else's element moves.
 */
export function reconcileInOrder<T extends object>(
  list: readonly T[] | null | undefined,
  wanted: readonly T[],
  key: keyof T,
  settle: Settle<T>,
): T[] {
  const complete = reconcileList(list, wanted, key, settle);
  const at = keyed(complete, key);
  const places = wanted.map((want) => at.get(want[key]) ?? -1);
  const inOrder = places.toSorted((a, b) => a - b);
  if (places.every((place, nth) => place === inOrder[nth])) return complete;
  return complete.map((item, place) => {
    const from = places[inOrder.indexOf(place)];
    return (from === undefined ? undefined : complete[from]) ?? item;
  });
}

const sameText = (one: V1EnvVar, other: V1EnvVar): boolean => (one.value ?? '') === (other.value ?? '');

/**
 * A container of ours on a second call: what it runs, knows and mounts follows Falco; image, resources, securityContext and
 * all else are others' by now, and would fight with ours (FACTS 4.17).
 */
export function completed(is: V1Container, want: V1Container): V1Container {
  const { args, command, env, volumeMounts } = want;
  const next: Partial<V1Container> = {
    ...(args && { args: asWanted(is.args ?? [], args) }),
    ...(command && { command: asWanted(is.command ?? [], command) }),
    ...(env && {
      env: reconcileList<V1EnvVar>(is.env, env, 'name', (one, other) => (sameText(one, other) ? one : other)),
    }),
    ...(volumeMounts && {
      volumeMounts: reconcileList<V1VolumeMount>(is.volumeMounts, volumeMounts, 'mountPath', asWanted),
    }),
  };
  const same = Object.entries(next).every(([field, value]) => Reflect.get(is, field) === value);
  return same ? is : { ...is, ...next };
}
