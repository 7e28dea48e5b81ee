/** What Prometheus sees of a forwarder; names after Prometheus' conventions. */
import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import type { RefusalReason } from '../events/refusal.ts';
import { gauge, prefix, programGauges } from '../server/gauges.ts';
import { priorities } from '../settings/schema.ts';
import type { Dropped } from './spool.ts';

/** What the gauges show; asked at each scrape. */
export interface ForwarderSources {
  readonly version: string;
  readonly settings: () => { readonly cluster: string; readonly role: string; readonly valid: boolean };
  readonly waiting: () => { readonly events: number; readonly bytes: number };
  /** Milliseconds since 1970. */
  readonly oldest: () => number | undefined;
  readonly spoolSize: () => number;
  readonly spoolLimit: () => number;
  readonly spoolWorks: () => boolean;
  readonly delayed: () => number;
  readonly hubReachable: () => boolean;
  readonly clientCertificateNotAfter: () => Date | undefined;
}

export interface ForwarderMetrics {
  readonly registry: Registry;
  readonly received: () => void;
  readonly notWanted: () => void;
  readonly refused: (reason: RefusalReason) => void;
  readonly dropped: (dropped: Dropped) => void;
  /** @param seconds from the request to the hub's answer */
  readonly delivered: (seconds: number) => void;
  readonly retried: () => void;
  readonly rejected: (status: number) => void;
  readonly heartbeat: (delivered: boolean) => void;
}

const forwarder = `${prefix}forwarder_`;

/** Seconds. */
const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15];

export function makeForwarderMetrics(sources: ForwarderSources): ForwarderMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    new Counter({ registers: [registry], name: `${forwarder}${name}_total`, help, labelNames });
  const received = counter('events_received', 'Events taken from falcosidekick and Falco.');
  const notWanted = counter('events_below_priority', 'Events taken but not kept: below hub.minimumPriority.');
  const refused = counter('requests_refused', 'Requests that were no event that can be taken, by reason.', [
    'reason',
  ]);
  const dropped = counter('events_dropped', 'Events that went because the spool was full, by priority.', [
    'priority',
  ]);
  const delivered = counter('events_delivered', 'Events that the hub has taken.');
  const retried = counter('deliveries_retried', 'Deliveries that failed and are tried again.');
  const rejected = counter('events_rejected', 'Events that the hub refused for good, by HTTP status.', [
    'status',
  ]);
  const heartbeats = counter('heartbeats', 'Heartbeats sent, by whether the hub took them.', ['delivered']);
  const latency = new Histogram({
    registers: [registry],
    name: `${forwarder}hub_duration_seconds`,
    help: "From an event's request to the hub's answer.",
    buckets,
  });
  programGauges(registry, sources);
  const own = (name: string, help: string, value: () => number | undefined): void =>
    gauge(registry, `forwarder_${name}`, help, value);
  own('waiting_events', 'Events that the hub does not have yet.', () => sources.waiting().events);
  own('waiting_bytes', 'Bytes of these events.', () => sources.waiting().bytes);
  own('oldest_waiting_seconds', 'Age of the oldest of these events; 0 where none waits.', () => {
    const oldest = sources.oldest();
    return oldest === undefined ? 0 : Math.max(0, (Date.now() - oldest) / 1000);
  });
  own('delayed_events', 'Events that have failed and go again while others arrive.', sources.delayed);
  own('spool_bytes', "Bytes that the spool's files take.", sources.spoolSize);
  own('spool_limit_bytes', 'Bytes that they may take (forwarder.spoolSize).', sources.spoolLimit);
  own('spool_writable', 'Whether events can be written to disk (1); 0: they are in memory only.', () =>
    Number(sources.spoolWorks()),
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
    refused: (reason) => refused.inc({ reason }),
    dropped: (lost) => {
      for (const [priority, count] of lost) dropped.inc({ priority: priorities[priority] ?? 'debug' }, count);
    },
    delivered: (seconds) => {
      delivered.inc();
      latency.observe(seconds);
    },
    retried: () => retried.inc(),
    rejected: (status) => rejected.inc({ status: String(status) }),
    heartbeat: (was) => heartbeats.inc({ delivered: String(was) }),
  };
}
