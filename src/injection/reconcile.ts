import { isRecord } from './record.ts';

/**
 * Bringing a pod to the wanted state element by element, the way the API server's own lists are keyed.
 *
 * Three rules hold here, so that we live in peace with other webhooks and with ourselves (FACTS 5):
 * what is there and not ours is never changed or moved; what is ours gets the fields that we want and keeps
 * those that somebody else (defaults, a mesh's webhook) has put in, but for mounts, which show something else with
 * each field more; nothing to do returns the very same object.
 */

const multiples: Readonly<Record<string, number>> = {
  m: 1e-3,
  '': 1,
  k: 1e3,
  Ki: 2 ** 10,
  M: 1e6,
  Mi: 2 ** 20,
  G: 1e9,
  Gi: 2 ** 30,
};

/** The number that a Kubernetes quantity stands for: the API server writes `1000m` back as `1`. */
function quantityOf(text: string): number | undefined {
  const match = /^([0-9.]+)(m|k|Ki|M|Mi|G|Gi|)$/.exec(text);
  return match === null ? undefined : Number(match[1]) * (multiples[match[2] ?? ''] ?? Number.NaN);
}

function sameText(a: string, b: string): boolean {
  if (a === b) return true;
  const [first, second] = [quantityOf(a), quantityOf(b)];
  return first !== undefined && second !== undefined && Math.abs(first - second) < 1e-9;
}

/** Lists that the API server merges by a key rather than replaces, and that key. */
const listKeys: Readonly<Record<string, string>> = { env: 'name', volumeMounts: 'mountPath' };

/**
 * `existing` with every field of `wanted`, recursively; other fields stay as they are.
 *
 * `env` and `volumeMounts` are merged by their key, other lists (args, capabilities) are taken whole.
 */
export function withFields<T extends object>(existing: T, wanted: object): T {
  const fields: Record<string, unknown> = {};
  for (const [key, want] of Object.entries(wanted)) {
    const is: unknown = Reflect.get(existing, key);
    const next = fieldOf(key, is, want);
    if (next !== is) fields[key] = next;
  }
  return Object.keys(fields).length === 0 ? existing : { ...existing, ...fields };
}

function fieldOf(key: string, is: unknown, want: unknown): unknown {
  if (Array.isArray(want)) return listOf(Array.isArray(is) ? is : undefined, want, listKeys[key]);
  if (isRecord(want)) return isRecord(is) ? withFields(is, want) : want;
  if (typeof want === 'string' && typeof is === 'string') return sameText(is, want) ? is : want;
  return want;
}

function listOf(is: unknown[] | undefined, want: unknown[], key: string | undefined): unknown {
  if (key !== undefined) {
    // Safe: lists with a key are lists of objects, in Kubernetes and in what we want.
    return reconcileList(is as object[] | undefined, want as object[], key);
  }
  return is !== undefined && JSON.stringify(is) === JSON.stringify(want) ? is : want;
}

/**
 * `want`, or `is` where that says the same. For mounts, to which nothing adds defaults: a `subPath` left over from other
 * settings would hide the rules, and a `readOnly` could keep the pod from starting (FACTS 4.8).
 */
function exactly<T extends object>(is: T, want: T): T {
  return withFields(is, want) === is && withFields(want, is) === want ? is : want;
}

/**
 * `list` with each wanted element: completed in place where an element of that key is there, else appended.
 *
 * @param key the field that names an element: `name`, `mountPath`
 * @returns the very same list if nothing was to do
 */
export function reconcileList<T extends object>(
  list: readonly T[] | null | undefined,
  wanted: readonly T[],
  key: string,
): T[] {
  const before = list ?? [];
  const after = [...before];
  for (const want of wanted) {
    const at = after.findIndex((item) => Reflect.get(item, key) === Reflect.get(want, key));
    const found = after[at];
    if (found === undefined) after.push(want);
    else after[at] = key === 'mountPath' ? exactly(found, want) : withFields(found, want);
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
  key: string,
): T[] {
  const complete = reconcileList(list, wanted, key);
  const places = wanted.map((want) =>
    complete.findIndex((item) => Reflect.get(item, key) === Reflect.get(want, key)),
  );
  const inOrder = places.toSorted((a, b) => a - b);
  if (places.every((place, nth) => place === inOrder[nth])) return complete;
  return complete.map((item, at) => {
    const from = places[inOrder.indexOf(at)];
    return (from === undefined ? undefined : complete[from]) ?? item;
  });
}
