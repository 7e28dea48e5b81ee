/** Who may report to a hub, and what the events of each are marked with. */
import type { Marks } from '../events/complete-event.ts';
import type { Settings } from '../settings/schema.ts';

export interface Spoke {
  readonly name: string;
  readonly marks: Marks;
  /** Whether a tag is what another cluster is known by. */
  readonly isOthers: (tag: string) => boolean;
}

export interface Spokes {
  /** @returns undefined for a name that may not come */
  readonly find: (name: string) => Spoke | undefined;
  /** Names that the settings have; undefined where all may come that the authority has signed. */
  readonly names: readonly string[] | undefined;
}

/** @param seen names of spokes that have come where the settings have none */
export function spokesOf({ cluster, tags, receiver }: Settings, seen: () => Iterable<string>): Spokes {
  const spokes = new Map(Object.entries(receiver?.spokes ?? {}));
  const known = new Map<string, Spoke>();
  /** By tag, the clusters that are known by it. */
  const owners = new Map<string, Set<string>>();
  const owns = (owner: string, all: readonly string[]): void => {
    for (const tag of all) owners.set(tag, (owners.get(tag) ?? new Set()).add(owner));
  };
  owns(cluster, tags ?? [cluster]);
  for (const [name, spoke] of spokes) owns(name, [name, ...(spoke.tags ?? [])]);
  const make = (name: string): Spoke => {
    const { labels = { env: name }, tags: own = [name] } = spokes.get(name) ?? {};
    const ours = new Set(own);
    const isSeen = (tag: string): boolean => {
      for (const other of receiver?.spokes === undefined ? seen() : []) if (other === tag) return true;
      return false;
    };
    const isOthers = (tag: string): boolean =>
      !ours.has(tag) && tag !== name && (owners.has(tag) ? !owners.get(tag)?.has(name) : isSeen(tag));
    return { name, marks: { labels, tags: own }, isOthers };
  };
  return {
    names: receiver?.spokes === undefined ? undefined : [...spokes.keys()],
    find: (name) => {
      if (receiver?.spokes !== undefined && !spokes.has(name)) return undefined;
      const spoke = known.get(name) ?? make(name);
      known.set(name, spoke);
      return spoke;
    },
  };
}
