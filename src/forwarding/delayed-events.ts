/** Events that wait for another try, the next one first. */

/** What has come of an event so far. */
export interface Attempts {
  readonly tries: number;
  /** When the hub first refused it, as performance.now(). */
  readonly refusedAt?: number;
}

export interface DelayedEvent {
  readonly id: number;
  readonly attempts: Attempts;
  /** As performance.now(). */
  readonly due: number;
}

export class DelayedEvents {
  /** Sorted by `due`. */
  private events: DelayedEvent[] = [];
  private readonly ids = new Set<number>();

  get size(): number {
    return this.events.length;
  }

  has(id: number): boolean {
    return this.ids.has(id);
  }

  add(event: DelayedEvent): void {
    let [low, high] = [0, this.events.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.events[middle]?.due ?? 0) <= event.due) low = middle + 1;
      else high = middle;
    }
    this.events.splice(low, 0, event);
    this.ids.add(event.id);
  }

  /** Takes out the next one, if it is time for it. */
  takeDue(now: number): DelayedEvent | undefined {
    const [next] = this.events;
    if (next === undefined || next.due > now) return undefined;
    this.events.shift();
    this.ids.delete(next.id);
    return next;
  }

  nextDue(): number | undefined {
    return this.events[0]?.due;
  }

  /** It is time for all of them. */
  hurry(): void {
    this.events = this.events.map((event) => ({ ...event, due: 0 }));
  }
}
