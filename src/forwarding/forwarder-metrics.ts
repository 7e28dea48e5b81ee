/** What Prometheus sees of a forwarder; names after Prometheus' conventions. */
import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import type { RefusalReason } from '../events/refusal.ts';
import { gauge, type ProgramSources, prefix, programGauges } from '../server/gauges.ts';
import { priorities } from '../settings/schema.ts';
import type { Status } from './keeper.ts';
import type { Dropped } from './spool.ts';

/** What the gauges show; asked at each scrape. */
export interface ForwarderSources extends ProgramSources {
  readonly store: () => Status;
  readonly spoolLimit: () => number;
  readonly pausing: () => { readonly events: number; readonly wait: number };
  readonly hubReachable: () => boolean;
  readonly clientCertificateNotAfter: () => Date | undefined;
}

export type ForwarderMetrics = ReturnType<typeof makeForwarderMetrics>;

const forwarder = `${prefix}forwarder_`;

/** Seconds. */
const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15];

export function makeForwarderMetrics(sources: ForwarderSources) {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    new Counter({ registers: [registry], name: `${forwarder}${name}_total`, help, labelNames });
  const received = counter('events_received', "Events taken from Falco's pods.");
  const notWanted = counter('events_below_priority', 'Events taken but not kept: below hub.minimumPriority.');
  const refused = counter('requests_refused', 'Requests that were no event that can be taken, by reason.', [
    'reason',
  ]);
  const dropped = counter('events_dropped', 'Events that went because the spool was full, by priority.', [
    'priority',
  ]);
  const delivered = counter('events_delivered', 'Events that the hub has taken.');
  const retried = counter('deliveries_retried', 'Events that the hub did not take and that go again.');
  const rejected = counter('events_rejected', 'Events that the hub refused for good.');
  const latency = new Histogram({
    registers: [registry],
    name: `${forwarder}hub_duration_seconds`,
    help: "From a batch's post to the hub's answer.",
    buckets,
  });
  programGauges(registry, sources);
  const own = (name: string, help: string, value: () => number | undefined): void =>
    gauge(registry, `forwarder_${name}`, help, value);
  own('waiting_events', 'Events that the hub does not have yet.', () => sources.store().events);
  own('waiting_bytes', 'Bytes of these events.', () => sources.store().bytes);
  own('oldest_waiting_seconds', 'Age of the oldest of these events; 0 where none waits.', () => {
    const { oldest } = sources.store();
    return oldest === undefined ? 0 : Math.max(0, (Date.now() - oldest) / 1000);
  });
  own(
    'delayed_events',
    'Events that have failed and go again after a pause.',
    () => sources.pausing().events,
  );
  own('pause_seconds', 'Time until the first of these events goes again; 0 where none does.', () =>
    Math.round(sources.pausing().wait / 1000),
  );
  own('spool_bytes', "Bytes that the spool's files take.", () => sources.store().size);
  own('spool_limit_bytes', 'Bytes that they may take (forwarder.spoolSize).', sources.spoolLimit);
  own('spool_writable', 'Whether events can be written to disk (1).', () =>
    Number(sources.store().problem === undefined),
  );
  own('hub_reachable', 'Whether the hub takes events (1).', () => Number(sources.hubReachable()));
  own(
    'client_certificate_not_after_timestamp_seconds',
    'When the client certificate expires; left out without one.',
    () => {
      const notAfter = sources.clientCertificateNotAfter();
      return notAfter === undefined ? undefined : Math.floor(notAfter.getTime() / 1000);
    },
  );
  return {
    registry,
    received: () => received.inc(),
    notWanted: () => notWanted.inc(),
    refused: (reason: RefusalReason) => refused.inc({ reason }),
    dropped: (lost: Dropped) => {
      for (const [priority, count] of lost) dropped.inc({ priority: priorities[priority] ?? 'debug' }, count);
    },
    /** @param seconds from a batch's post to the hub's answer */
    delivered: (events: number, seconds: number) => {
      delivered.inc(events);
      latency.observe(seconds);
    },
    retried: (events: number) => retried.inc(events),
    rejected: (events: number) => rejected.inc(events),
  };
}
