const first = 500;
const usualLongest = 30_000;

/**
 * Milliseconds until the next try: exponential with full jitter, as replicas and watches that failed together must not
 * come back together.
 *
 * @param failures how many in a row there were before this one
 * @param random from 0 to below 1
 * @param longest milliseconds
 */
export function pauseAfter(
  failures: number,
  random: () => number = Math.random,
  longest = usualLongest,
): number {
  return random() * Math.min(longest, first * 2 ** failures);
}

/** Nobody is obeyed who asks for more, milliseconds. */
const longestAsked = 5 * 60_000;

/** Milliseconds for which a server asked to be left alone (Retry-After), which an error has as `retryAfter`; else 0. */
export function askedPause(error: unknown): number {
  const asked: unknown = error instanceof Error ? Reflect.get(error, 'retryAfter') : undefined;
  return typeof asked === 'number' && asked > 0 ? Math.min(asked, longestAsked) : 0;
}
