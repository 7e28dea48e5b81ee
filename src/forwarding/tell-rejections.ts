import type { Logger } from 'pino';

/** Milliseconds for which the log is silent about more events that the hub refuses for the same reason. */
const silence = 60_000;

/** Tells of events that the hub refuses: a line a minute and reason at the most, never one an event. */
export function tellRejections(
  logger: Logger,
  now: () => number = () => performance.now(),
): (reason: string) => void {
  const last = new Map<string, { at: number; untold: number }>();
  return (reason) => {
    const before = last.get(reason);
    if (before !== undefined && now() - before.at < silence) {
      before.untold++;
      return;
    }
    if (last.size > 1_000) last.clear();
    last.set(reason, { at: now(), untold: 0 });
    logger.error(
      { reason, events: 1 + (before?.untold ?? 0) },
      'the hub refuses events for good; falco-federation forward --list-rejected prints them',
    );
  };
}
