const [first, longest] = [500, 30_000];

/**
 * Milliseconds until the next try: exponential with full jitter, as replicas and watches that failed together must not
 * come back together.
 *
 * @param failures how many in a row there were before this one
 * @param random from 0 to below 1
 */
export function pauseAfter(failures: number, random: () => number = Math.random): number {
  return random() * Math.min(longest, first * 2 ** failures);
}
