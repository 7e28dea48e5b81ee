/** A signal that aborts with another one, and when something does not happen in time. */
export interface Deadline {
  readonly signal: AbortSignal;
  /** It happened: from here on only the other signal counts. */
  readonly met: () => void;
  /** Has to be called at the end. */
  readonly release: () => void;
}

/**
 * @param outer the other signal
 * @param why the reason that the signal carries when the time is up
 */
export function deadline(outer: AbortSignal | undefined, milliseconds: number, why: string): Deadline {
  const controller = new AbortController();
  const follow = (): void => controller.abort(outer?.reason);
  if (outer?.aborted) follow();
  outer?.addEventListener('abort', follow, { once: true });
  const timer = setTimeout(() => controller.abort(new Error(why)), milliseconds);
  const met = (): void => clearTimeout(timer);
  const release = (): void => {
    met();
    outer?.removeEventListener('abort', follow);
  };
  return { signal: controller.signal, met, release };
}
