/** Waits that grow from failure to failure. */
export interface Backoff {
  /** Milliseconds to wait after one more failure. */
  readonly next: () => number;
  /** All is well again. */
  readonly reset: () => void;
}

const first = 500;
const longest = 30_000;

/**
 * Exponential with full jitter: replicas and watches that failed together do not come back together.
 *
 * @param random from 0 to below 1
 */
export function backoff(random: () => number = Math.random): Backoff {
  let failures = 0;
  return {
    next: () => random() * Math.min(longest, first * 2 ** failures++),
    reset: () => {
      failures = 0;
    },
  };
}
