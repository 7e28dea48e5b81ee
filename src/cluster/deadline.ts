/** A signal that aborts with others, and when something does not happen in time. */
export interface Deadline {
  readonly signal: AbortSignal;
  /** It happened: from here on only the other signals count. */
  readonly met: () => void;
  /** Has to be called at the end. */
  readonly release: () => void;
}

/**
 * @param outers the other signals
 * @param why the reason that the signal carries when the time is up
 */
export function deadline(
  outers: readonly (AbortSignal | undefined)[],
  milliseconds: number,
  why: string,
): Deadline {
  const controller = new AbortController();
  const signals = outers.filter((one) => one !== undefined);
  const follow = (): void => controller.abort(signals.find(({ aborted }) => aborted)?.reason);
  for (const one of signals) one.addEventListener('abort', follow, { once: true });
  if (signals.some(({ aborted }) => aborted)) follow();
  const timer = setTimeout(() => controller.abort(new Error(why)), milliseconds);
  const met = (): void => clearTimeout(timer);
  const release = (): void => {
    met();
    for (const one of signals) one.removeEventListener('abort', follow);
  };
  return { signal: controller.signal, met, release };
}
