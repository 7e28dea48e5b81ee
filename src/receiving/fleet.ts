/** What spokes have said of themselves, and when. */
import type { Report } from '../events/report.ts';

/** One forwarder's last report. */
interface Reported {
  readonly report: Report;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** How a spoke stands: as a row of `falco-federation fleet`. */
export interface SpokeState {
  readonly spoke: string;
  /** When any of its forwarders reported last, milliseconds since 1970; 0 for never. */
  readonly reported: number;
  readonly versions: readonly string[];
  readonly waiting: { readonly events: number; readonly bytes: number };
  /** When the oldest of what waits was received, milliseconds since 1970. */
  readonly oldest: number | undefined;
  /** By state. */
  readonly pods: Readonly<Record<string, number>> | undefined;
  /** When its certificate ends, milliseconds since 1970. */
  readonly certificateUntil: number | undefined;
}

/** Milliseconds after which a forwarder that reports no more, as its pod is gone, does not count. */
const forgetAfter = 900_000;

/** Milliseconds without a report after which a spoke is silent: ten of them. */
export const silentAfter = 300_000;

export class Fleet {
  private readonly names: () => readonly string[] | undefined;
  /** By spoke, and by replica. */
  private readonly reports = new Map<string, Map<string, Reported>>();
  private readonly certificates = new Map<string, number>();

  /** @param names spokes that should report, where that is known */
  constructor(names: () => readonly string[] | undefined) {
    this.names = names;
  }

  reported(spoke: string, report: Report, at = Date.now()): void {
    const replicas = this.reports.get(spoke) ?? new Map<string, Reported>();
    for (const [replica, one] of replicas) if (at - one.at > forgetAfter) replicas.delete(replica);
    replicas.set(report.replica, { report, at });
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

  states(): SpokeState[] {
    const all = new Set([...(this.names() ?? []), ...this.certificates.keys()]);
    return [...all].sort().map((spoke) => this.state(spoke));
  }

  summary(now = Date.now()): string {
    const states = this.states();
    const silent = states.filter(({ reported }) => now - reported > silentAfter).map(({ spoke }) => spoke);
    const all = `${states.length} of them`;
    return silent.length === 0 ? `ok, ${all}` : `${all}; no report to this replica of ${silent.join(', ')}`;
  }

  private state(spoke: string): SpokeState {
    const replicas = [...(this.reports.get(spoke)?.values() ?? [])].sort((a, b) => b.at - a.at);
    const reports = replicas.map(({ report }) => report);
    const oldest = reports.flatMap(({ waiting }) =>
      waiting.oldest === undefined ? [] : [Date.parse(waiting.oldest)],
    );
    return {
      spoke,
      reported: replicas[0]?.at ?? 0,
      versions: [...new Set(reports.map(({ version }) => version))].sort(),
      waiting: {
        events: reports.reduce((sum, { waiting }) => sum + waiting.events, 0),
        bytes: reports.reduce((sum, { waiting }) => sum + waiting.bytes, 0),
      },
      oldest: oldest.length === 0 ? undefined : Math.min(...oldest),
      pods: reports.find(({ pods }) => pods !== undefined)?.pods,
      certificateUntil: this.certificates.get(spoke),
    };
  }
}
