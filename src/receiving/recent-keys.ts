/** Milliseconds for which a key is remembered at least, and keys that are remembered at most, twice. */
const lifetime = 300_000;
const most = 50_000;

/** Keys of events that were passed on in the last minutes, the older half of which goes as a whole. */
export class RecentKeys {
  private newer = new Set<string>();
  private older = new Set<string>();
  private since = Number.NEGATIVE_INFINITY;

  has(key: string): boolean {
    return this.newer.has(key) || this.older.has(key);
  }

  /** @param now as performance.now() */
  add(key: string, now: number): void {
    if (now - this.since > lifetime || this.newer.size >= most) {
      this.older = this.newer;
      this.newer = new Set();
      this.since = now;
    }
    this.newer.add(key);
  }
}
