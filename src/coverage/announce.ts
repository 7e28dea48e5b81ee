import { createHash } from 'node:crypto';
import { type Finding, needsAttention, type ReasonCode, reasons, sentenceOf } from '../reasons/reasons.ts';
import type { CountedFinding, WorkloadSurvey } from './survey.ts';
import { kubectlName, restartCommand, type Workload } from './workload.ts';

/** What is to be said of a workload, by an Event. */
export interface Announcement {
  /** The same for the same words about the same workload, in every replica: no two tell it twice. */
  readonly name: string;
  readonly workload: Workload;
  /** As Events spell it: `PodStale`. */
  readonly reason: string;
  readonly note: string;
}

/** What the API server takes as an Event's note. */
const longestNote = 1_024;

function inCamelCase(code: string): string {
  return code.replaceAll(/(?:^|_)([a-z0-9])/g, (_all, letter: string) => letter.toUpperCase());
}

/** What a restart of the workload mends. */
const mendedByRestart: ReadonlySet<ReasonCode> = new Set(['pod_not_federated', 'pod_stale']);

function textOf(finding: Finding, workload: Workload): string {
  const { code } = finding;
  if (!mendedByRestart.has(code)) return sentenceOf(finding);
  return `${code}: ${reasons[code].sentence} Run: ${restartCommand(workload.namespace, kubectlName(workload))}`;
}

function announcementOf(workload: Workload, { finding }: CountedFinding): Announcement {
  const text = textOf(finding, workload);
  const note = text.length > longestNote ? `${text.slice(0, longestNote - 1)}…` : text;
  const { key, uid = '' } = workload;
  const digest = createHash('sha256').update([key, uid, note].join('\n')).digest('hex').slice(0, 16);
  return { name: `falco-federation.${digest}`, workload, reason: inCamelCase(finding.code), note };
}

/** All that is to be said now. */
export function announcementsOf(workloads: ReadonlyMap<string, WorkloadSurvey>): readonly Announcement[] {
  return [...workloads.values()].flatMap(({ workload, findings }) =>
    [...findings.values()]
      .filter(({ finding }) => needsAttention(finding))
      .map((counted) => announcementOf(workload, counted)),
  );
}

/** Until what is new is told, milliseconds: what is over by then was the way to something else. */
const settles = 20_000;
/** A cluster forgets an Event after an hour: one that still holds is told again within so long. */
const repeats = 10 * 60_000;
/** After it could not be told. */
const retries = 60_000;

/** When each thing was told. */
export interface Telling {
  /** What is due, the longest waiting first, `most` at most; what is no longer true is forgotten. */
  readonly due: (announcements: readonly Announcement[], now: number) => readonly Announcement[];
  readonly told: (announcement: Announcement, now: number, ok: boolean) => void;
}

/**
 * @param most Events in one round: a mistake that strikes every workload must not flood the API server
 */
export function telling(most = 10): Telling {
  let next = new Map<string, number>();
  return {
    due: (announcements, now) => {
      next = new Map(announcements.map(({ name }) => [name, next.get(name) ?? now + settles]));
      const when = ({ name }: Announcement): number => next.get(name) ?? now;
      return announcements
        .filter((one) => when(one) <= now)
        .sort((a, b) => when(a) - when(b))
        .slice(0, most);
    },
    told: ({ name }, now, ok) => {
      next.set(name, now + (ok ? repeats : retries));
    },
  };
}
