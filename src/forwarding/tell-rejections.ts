import type { Logger } from 'pino';

/** Milliseconds for which the log is silent about more events that the hub refuses with the same status. */
const silence = 60_000;

/** Tells of events that the hub refuses: a line a minute and status at the most, never one an event. */
export function tellRejections(
  logger: Logger,
  now: () => number = () => performance.now(),
): (status: number) => void {
  const last = new Map<number, { at: number; untold: number }>();
  return (status) => {
    const before = last.get(status);
    if (before !== undefined && now() - before.at < silence) {
      before.untold++;
      return;
    }
    last.set(status, { at: now(), untold: 0 });
    logger.error(
      { status, events: 1 + (before?.untold ?? 0) },
      'the hub refuses events for good; falco-federation forward --list-rejected prints them',
    );
  };
}
