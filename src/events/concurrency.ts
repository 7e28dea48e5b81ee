/**
 * How much may be on its way at once: more by one a round while answers come as fast as ever, and less by a third when
 * they take twice as long or fail. A constant would collapse a slow hub (FACTS 3.17).
 */
export class Concurrency {
  private readonly most: number;
  private allowed = 1;
  private onTheWay = 0;
  /** Milliseconds of the fastest answers of late. */
  private fastest = Number.POSITIVE_INFINITY;
  /** Doubles a round until it is too much for the first time. */
  private isStarting = true;
  private lastLess = Number.NEGATIVE_INFINITY;

  constructor(most: number) {
    this.most = most;
  }

  get limit(): number {
    return Math.floor(this.allowed);
  }

  get active(): number {
    return this.onTheWay;
  }

  hasRoom(): boolean {
    return this.onTheWay < this.limit;
  }

  begin(): void {
    this.onTheWay++;
  }

  /** Nothing was begun after all. */
  cancel(): void {
    this.onTheWay--;
  }

  /**
   * @param milliseconds what it took; undefined where it failed
   * @param work how much of it there was: what takes longer because it is more is no slower
   */
  end(milliseconds: number | undefined, now: number, work = 1): void {
    this.onTheWay--;
    if (milliseconds === undefined) this.less(now);
    else {
      const each = milliseconds / work;
      this.fastest = Math.min(this.fastest * 1.01, each);
      // Some milliseconds are nothing but noise.
      if (each > 2 * this.fastest + 20 / work) this.less(now);
      else this.allowed = Math.min(this.most, this.allowed + (this.isStarting ? 1 : 1 / this.allowed));
    }
  }

  /** Once a round: all that is on its way tells of the same moment. */
  private less(now: number): void {
    if (now - this.lastLess < Math.max(100, 2 * this.fastest)) return;
    this.lastLess = now;
    this.isStarting = false;
    this.allowed = Math.max(1, this.allowed * 0.67);
  }
}
