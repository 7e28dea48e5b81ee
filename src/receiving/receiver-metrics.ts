/** What Prometheus sees of a receiver; names after Prometheus' conventions. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { RefusalReason } from '../events/refusal.ts';
import type { Report } from '../events/report.ts';
import { gauge, type ProgramSources, prefix, programGauges } from '../server/gauges.ts';
import { type Fleet, stateOf } from './fleet.ts';

/** What the gauges show; asked at each scrape. */
export interface ReceiverSources extends ProgramSources {
  readonly fleet: Fleet;
  readonly falcosidekickReachable: () => boolean;
  readonly heldBack: () => boolean;
  readonly certificateNotAfter: () => Date | undefined;
}

export type ReceiverMetrics = ReturnType<typeof makeReceiverMetrics>;

const receiver = `${prefix}receiver_`;

/** Seconds. */
const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15];

export function makeReceiverMetrics(sources: ReceiverSources) {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Counter({ registers: [registry], name: `${receiver}${name}_total`, help, labelNames });
  const passed = counter('events', 'Events that falcosidekick has taken, by spoke and priority.', [
    'spoke',
    'priority',
  ]);
  const claimed = counter('events_claimed', 'Events that said that they are of another cluster, by spoke.', [
    'spoke',
  ]);
  const refused = counter('requests_refused', 'Requests and lines that were not taken, by reason.', [
    'reason',
  ]);
  const latency = new Histogram({
    registers: [registry],
    name: `${receiver}falcosidekick_duration_seconds`,
    help: "From an event's post to falcosidekick's answer.",
    buckets,
  });
  const { fleet } = sources;
  programGauges(registry, sources);
  const own = (name: string, help: string, value: () => number | undefined): void =>
    gauge(registry, `receiver_${name}`, help, value);
  own('falcosidekick_reachable', 'Whether falcosidekick takes events (1).', () =>
    Number(sources.falcosidekickReachable()),
  );
  own('held_back', 'Whether events wait as falcosidekick has enough in memory (1).', () =>
    Number(sources.heldBack()),
  );
  own('certificate_not_after_timestamp_seconds', "When the receiver's certificate expires.", () => {
    const notAfter = sources.certificateNotAfter();
    return notAfter === undefined ? undefined : Math.floor(notAfter.getTime() / 1000);
  });
  const bySpoke = <Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    samples: () => readonly (readonly [Record<Label, string>, number])[],
  ): Gauge<Label> =>
    new Gauge({
      registers: [registry],
      name: `${receiver}spoke_${name}`,
      help,
      labelNames,
      collect() {
        this.reset();
        for (const [labels, value] of samples()) this.set(labels, value);
      },
    });
  bySpoke(
    'last_report_timestamp_seconds',
    'When the spoke reported last to this replica; 0: never.',
    ['spoke'],
    () =>
      fleet
        .heard()
        .map((heard) => [{ spoke: heard.spoke }, Math.floor((stateOf(heard).reported ?? 0) / 1000)]),
  );
  bySpoke('certificate_not_after_timestamp_seconds', "When the spoke's certificate expires.", ['spoke'], () =>
    fleet
      .heard()
      .flatMap(({ spoke, certificateUntil: until }) =>
        until === undefined ? [] : [[{ spoke }, Math.floor(until / 1000)]],
      ),
  );
  const byForwarder = (name: string, help: string, value: (waiting: Report['waiting']) => number) =>
    bySpoke(name, help, ['spoke', 'forwarder'], () =>
      fleet
        .current()
        .flatMap(({ spoke, reports }) =>
          reports.map(({ replica, waiting }) => [{ spoke, forwarder: replica }, value(waiting)] as const),
        ),
    );
  byForwarder('waiting_events', 'Events that wait at a forwarder, as it says.', ({ events }) => events);
  byForwarder(
    'oldest_waiting_seconds',
    'Age of the oldest of these events; 0 where none waits.',
    ({ oldest }) => (oldest === undefined ? 0 : Math.max(0, (Date.now() - Date.parse(oldest)) / 1000)),
  );
  const states = () => fleet.current().map(stateOf);
  bySpoke(
    'pods',
    "Pods of the spoke's opted-in namespaces by state, as its webhook sees them.",
    ['spoke', 'state'],
    () =>
      states().flatMap(({ spoke, pods = {} }) =>
        Object.entries(pods).map(([state, count]) => [{ spoke, state }, count] as const),
      ),
  );
  bySpoke('info', "Versions of the spoke's forwarders.", ['spoke', 'version'], () =>
    states().flatMap(({ spoke, versions }) => versions.map((version) => [{ spoke, version }, 1] as const)),
  );
  return {
    registry,
    passed: (spoke: string, priority: string) => passed.inc({ spoke, priority }),
    claimed: (spoke: string) => claimed.inc({ spoke }),
    refused: (reason: RefusalReason) => refused.inc({ reason }),
    /** @param seconds from a post to falcosidekick's answer */
    answered: (seconds: number) => latency.observe(seconds),
  };
}
