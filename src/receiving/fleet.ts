/** What spokes have said of themselves, and when. */
import * as z from 'zod';
import { reportSchema } from '../events/report.ts';

/** Milliseconds since 1970. */
const moment = z.number();

/** The last report of each of a spoke's forwarders, as one receiver has heard them. */
const spokeReports = z.object({
  spoke: z.string(),
  /** When the certificate ends that it came with. */
  certificateUntil: moment.optional(),
  reports: z.array(reportSchema.extend({ at: moment })),
});

export type SpokeReports = z.output<typeof spokeReports>;

type Heard = SpokeReports['reports'][number];

/** How a spoke stands: a row of `falco-federation fleet`. */
export interface SpokeState {
  readonly spoke: string;
  /** When any of its forwarders reported last; undefined: none has. */
  readonly reported: number | undefined;
  readonly versions: readonly string[];
  readonly waiting: { readonly events: number; readonly bytes: number };
  /** When the oldest of what waits was received. */
  readonly oldest: number | undefined;
  /** By state. */
  readonly pods: Readonly<Record<string, number>> | undefined;
  readonly certificateUntil: number | undefined;
}

/** Milliseconds after which a forwarder that reports no more, as its pod is gone, does not count. */
export const countsFor = 900_000;

/** Milliseconds for which a report is what is so now: three of them. */
const currentFor = 90_000;

/** Forwarders of one spoke, whatever it says. */
const mostForwarders = 32;

/** Milliseconds without a report after which a spoke is silent: ten of them. */
export const silentAfter = 300_000;

export function isSilent({ reported }: SpokeState, now: number): boolean {
  return reported === undefined || now - reported > silentAfter;
}

export function stateOf({ spoke, certificateUntil, reports }: SpokeReports): SpokeState {
  const newestFirst = reports.toSorted((a, b) => b.at - a.at);
  const reported = newestFirst[0]?.at;
  const counted = newestFirst.filter(({ at }) => at > (reported ?? 0) - countsFor);
  const sum = (of: (waiting: Heard['waiting']) => number): number =>
    counted.reduce((total, { waiting }) => total + of(waiting), 0);
  const oldest = counted.flatMap(({ waiting }) =>
    waiting.oldest === undefined ? [] : [Date.parse(waiting.oldest)],
  );
  return {
    ...{ spoke, certificateUntil, reported },
    versions: [...new Set(counted.map(({ version }) => version))].sort(),
    waiting: { events: sum(({ events }) => events), bytes: sum(({ bytes }) => bytes) },
    oldest: oldest.length === 0 ? undefined : Math.min(...oldest),
    pods: counted.find(({ pods }) => pods !== undefined)?.pods,
  };
}

/** What several receivers have heard, together: of each forwarder its newest report. */
export function merged(heard: readonly SpokeReports[]): SpokeReports[] {
  const spokes = new Map<string, { until: number; reports: Map<string, Heard> }>();
  for (const { spoke, certificateUntil = 0, reports } of heard) {
    const one = spokes.get(spoke) ?? { until: 0, reports: new Map() };
    spokes.set(spoke, one);
    one.until = Math.max(one.until, certificateUntil);
    for (const report of reports)
      if (report.at > (one.reports.get(report.replica)?.at ?? 0)) one.reports.set(report.replica, report);
  }
  return [...spokes].map(([spoke, { until, reports }]) => ({
    ...{ spoke, reports: [...reports.values()] },
    ...(until === 0 ? {} : { certificateUntil: until }),
  }));
}

/** @param text what a receiver answers to `/fleet`. @throws where it is none of it */
export function readFleet(text: string): readonly SpokeReports[] {
  return z.object({ spokes: z.array(spokeReports) }).parse(JSON.parse(text)).spokes;
}

export class Fleet {
  private readonly names: () => readonly string[] | undefined;
  /** By spoke, and by replica. */
  private readonly reports = new Map<string, Map<string, Heard>>();
  private readonly certificates = new Map<string, number>();

  /** @param names spokes that should report, where that is known */
  constructor(names: () => readonly string[] | undefined) {
    this.names = names;
  }

  reported(spoke: string, report: Omit<Heard, 'at'>, at = Date.now()): void {
    const replicas = this.reports.get(spoke) ?? new Map<string, Heard>();
    // The latest is the last.
    replicas.delete(report.replica);
    replicas.set(report.replica, { ...report, at });
    for (const [replica, one] of replicas)
      if (at - one.at > countsFor || replicas.size > mostForwarders) replicas.delete(replica);
    this.reports.set(spoke, replicas);
  }

  connected(spoke: string, certificateUntil: number): void {
    this.certificates.set(spoke, certificateUntil);
  }

  seen(): Iterable<string> {
    return this.certificates.keys();
  }

  forget(isGone: (spoke: string) => boolean): void {
    for (const one of [this.reports, this.certificates])
      for (const spoke of one.keys()) if (isGone(spoke)) one.delete(spoke);
  }

  /** What has been heard, by spoke in their names' order. */
  heard(): SpokeReports[] {
    const all = new Set([...(this.names() ?? []), ...this.certificates.keys()]);
    return [...all].sort().map((spoke) => {
      const certificateUntil = this.certificates.get(spoke);
      return {
        ...{ spoke, reports: [...(this.reports.get(spoke)?.values() ?? [])] },
        ...(certificateUntil === undefined ? {} : { certificateUntil }),
      };
    });
  }

  /** The latest reports: while a forwarder reports to one replica, another one has old ones of it. */
  current(now = Date.now()): SpokeReports[] {
    return this.heard().map((one) => ({
      ...one,
      reports: one.reports.filter(({ at }) => now - at < currentFor),
    }));
  }
}
