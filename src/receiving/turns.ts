/** Whose event is next: spokes take turns, however many one has, and of a spoke the highest priority comes first. */
export interface Waiting {
  readonly spoke: string;
  /** Index in `priorities`: 0 is the highest. */
  readonly priority: number;
}

export class Turns<Item extends Waiting> {
  /** By spoke, the next one first; of each the items by priority. */
  private readonly spokes = new Map<string, Map<number, Set<Item>>>();

  add(item: Item): void {
    const ofSpoke = this.spokes.get(item.spoke) ?? new Map<number, Set<Item>>();
    this.spokes.set(item.spoke, ofSpoke);
    const items = ofSpoke.get(item.priority) ?? new Set<Item>();
    ofSpoke.set(item.priority, items);
    items.add(item);
  }

  /** @returns whether it was still waiting */
  remove(item: Item): boolean {
    const ofSpoke = this.spokes.get(item.spoke);
    const items = ofSpoke?.get(item.priority);
    if (ofSpoke === undefined || items === undefined || !items.delete(item)) return false;
    if (items.size === 0) ofSpoke.delete(item.priority);
    if (ofSpoke.size === 0) this.spokes.delete(item.spoke);
    return true;
  }

  next(): Item | undefined {
    for (const [spoke, ofSpoke] of this.spokes) {
      const [item] = ofSpoke.get(Math.min(...ofSpoke.keys())) ?? [];
      if (item === undefined) continue;
      this.remove(item);
      // It is the last one from now on.
      if (this.spokes.delete(spoke)) this.spokes.set(spoke, ofSpoke);
      return item;
    }
    return undefined;
  }

  isEmpty(): boolean {
    return this.spokes.size === 0;
  }
}
