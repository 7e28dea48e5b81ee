/** "This cluster reports": an event of its own, so that a silent cluster is an alert rule on the hub (FACTS 3.7). */
import { completeEvent, type Marks } from '../events/complete-event.ts';

export const heartbeatRule = 'Falco federation heartbeat';

export interface HeartbeatContent {
  readonly marks: Marks;
  /** Name of this replica. */
  readonly hostname: string;
  readonly version: string;
  readonly waiting: { readonly events: number; readonly bytes: number };
  readonly now: Date;
}

/** A heartbeat, JSON. */
export function heartbeatEvent({ marks, hostname, version, waiting, now }: HeartbeatContent): string {
  const fields = {
    rule: heartbeatRule,
    priority: 'Debug',
    time: now.toISOString(),
    // Texts, as most of falcosidekick's outputs expect; the first is there even where there are no labels.
    output_fields: {
      'federation.version': version,
      'federation.waiting.events': String(waiting.events),
      'federation.waiting.bytes': String(waiting.bytes),
    },
    tags: [],
  };
  const event = {
    ...fields,
    output: `Falco federation heartbeat: ${waiting.events} events wait in ${hostname}`,
    source: 'federation',
    hostname,
  };
  return completeEvent(JSON.stringify(event), fields, marks);
}

/**
 * Beats now and then every `period()`; a new period counts at once.
 *
 * @param period milliseconds; undefined: off
 * @returns `changed`, to be called when the period may have changed, and `stop`
 */
export function beat(
  period: () => number | undefined,
  send: () => void,
): { readonly changed: () => void; readonly stop: () => void } {
  let timer: NodeJS.Timeout | undefined;
  let current: number | undefined;
  const changed = (): void => {
    if (period() === current) return;
    current = period();
    clearInterval(timer);
    if (current === undefined) return;
    send();
    timer = setInterval(send, current);
  };
  changed();
  return { changed, stop: () => clearInterval(timer) };
}
