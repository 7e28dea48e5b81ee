/**
 * How much of what was posted a falcosidekick still has in memory, by the gauge of its goroutines: it answers 200 before
 * its outputs have an event, and what it holds is lost with it (FACTS 3.16).
 */

/** Goroutines above those at rest from which on nothing more is posted. */
const mostQueued = 200;

/** Milliseconds for which a gauge that stays the same, while nothing is posted, is not taken for the rest value. */
const firstPatience = 30_000;

/** What `/metrics` says. @returns undefined where it says nothing of it */
export function readMetrics(
  text: string,
): { readonly started: string; readonly goroutines: number } | undefined {
  const goroutines = /^go_goroutines (\d+)/m.exec(text)?.[1];
  if (goroutines === undefined) return undefined;
  const started = /^process_start_time_seconds (\S+)/m.exec(text)?.[1] ?? '';
  return { started, goroutines: Number(goroutines) };
}

/** The gauge of one falcosidekick process. */
export class QueueGauge {
  private rest = Number.POSITIVE_INFINITY;
  private lowestWhileFull = Number.POSITIVE_INFINITY;
  private fullSince: number | undefined;
  private patience = firstPatience;
  private last = 0;
  private posted = 0;
  /** When it was last asked for, milliseconds. */
  askedAt = Number.NEGATIVE_INFINITY;

  /**
   * A reading.
   *
   * @param own goroutines that our own connections take
   * @param now milliseconds
   */
  read(goroutines: number, own: number, now: number): void {
    const value = Math.max(0, goroutines - own);
    this.last = value;
    this.posted = 0;
    this.rest = Math.min(this.rest, value);
    if (this.room() > 0) {
      this.fullSince = undefined;
      this.patience = firstPatience;
      return;
    }
    if (this.fullSince === undefined || value < this.lowestWhileFull) {
      this.lowestWhileFull = value;
      this.fullSince = now;
    } else if (now - this.fullSince > this.patience) {
      // Nothing has gone for long: connections of others that stay, or an output that hangs, which is let have a few
      // more at ever longer intervals.
      this.rest = value;
      this.fullSince = undefined;
      this.patience *= 2;
    }
  }

  hasPosted(): void {
    this.posted++;
  }

  /** How many events may be posted before the next reading. */
  room(): number {
    return Math.max(0, this.rest + mostQueued - this.last - this.posted);
  }
}
