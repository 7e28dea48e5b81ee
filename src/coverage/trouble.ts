import type {
  V1ContainerState,
  V1ContainerStateTerminated,
  V1ContainerStatus,
  V1PodStatus,
} from '@kubernetes/client-node';
import { isRecord } from '../injection/record.ts';
import { type Finding, type ReasonCode, reasons } from '../reasons/reasons.ts';
import { interned } from './interned.ts';

/** A container that does not start or keeps restarting. */
export interface Trouble {
  readonly container: string;
  /** The kubelet's word for it, or what the container said of its end. */
  readonly why: string;
  /** It runs again since then, milliseconds: whether it will stay is not known for a while. */
  readonly runningSince: number | undefined;
}

/** So long must a container that failed have been running to count as well: crash loops wait five minutes at most. */
export const wellAfter = 5 * 60_000;

/** Reasons of a waiting container that do not go away by waiting; one word for both states of a failed pull. */
const stuck: Readonly<Record<string, string>> = {
  CrashLoopBackOff: 'CrashLoopBackOff',
  ErrImagePull: 'ImagePullBackOff',
  ImagePullBackOff: 'ImagePullBackOff',
  ErrImageNeverPull: 'ErrImageNeverPull',
  InvalidImageName: 'InvalidImageName',
  CreateContainerConfigError: 'CreateContainerConfigError',
  CreateContainerError: 'CreateContainerError',
  RunContainerError: 'RunContainerError',
};

const troubles = interned<Trouble>();

export function troubleWith(container: string, why: string, runningSince?: number): Trouble {
  return troubles(`${container}\n${why}\n${runningSince}`, () => ({ container, why, runningSince }));
}

function isCode(value: unknown): value is ReasonCode {
  return typeof value === 'string' && Object.hasOwn(reasons, value);
}

/** What `tag-rules` came to, and what else it found. */
export interface TaggingReport {
  readonly outcome: Finding;
  readonly findings: readonly Finding[];
}

function findingIn(value: unknown): Finding | undefined {
  if (!isRecord(value) || !isCode(value.code)) return undefined;
  return typeof value.detail === 'string' ? { code: value.code, detail: value.detail } : { code: value.code };
}

/** Of its termination message; `undefined` for anything else. */
function parsedReport(message: string | undefined): TaggingReport | undefined {
  if (message === undefined || !message.startsWith('{')) return undefined;
  try {
    const report: unknown = JSON.parse(message);
    const outcome = findingIn(report);
    if (outcome === undefined || !isRecord(report)) return undefined;
    const listed: unknown[] = Array.isArray(report.findings) ? report.findings : [];
    return { outcome, findings: listed.flatMap((one) => findingIn(one) ?? []) };
  } catch {
    return undefined;
  }
}

/** How a container ended, in a few words. */
function endOf({ exitCode, reason, message }: V1ContainerStateTerminated): string {
  const code = parsedReport(message)?.outcome.code;
  if (code !== undefined) return code;
  return reason === undefined || reason === 'Error' ? `exit status ${exitCode}` : reason;
}

const failed = (state: V1ContainerState | undefined): V1ContainerStateTerminated | undefined =>
  state?.terminated && state.terminated.exitCode !== 0 ? state.terminated : undefined;

/** Times in what the API server sends are texts, whatever the client's types say. */
export function milliseconds(time: unknown): number {
  return typeof time === 'string' || time instanceof Date ? new Date(time).getTime() : Number.NaN;
}

/**
 * | state now                      | last state | trouble                             |
 * | ------------------------------ | ---------- | ----------------------------------- |
 * | waiting, stuck                 | any        | that word, and how it ended         |
 * | waiting for something else     | any        | none: it is about to start          |
 * | ended, not with 0              | any        | how it ended                        |
 * | ended with 0                   | any        | none                                |
 * | runs                           | not with 0 | how it ended, until it runs long    |
 */
function troubleOf({ name, state, lastState }: V1ContainerStatus): Trouble | undefined {
  const told = (why: string, runningSince?: number): Trouble => troubleWith(name, why, runningSince);
  const last = failed(lastState);
  if (state?.waiting) {
    const word = stuck[state.waiting.reason ?? ''];
    if (word === undefined) return undefined;
    return told(last === undefined ? word : `${word}, ${endOf(last)}`);
  }
  const now = failed(state);
  if (now !== undefined) return told(endOf(now));
  if (state?.running && last !== undefined) return told(endOf(last), milliseconds(state.running.startedAt));
  return undefined;
}

function statusesIn({ initContainerStatuses, containerStatuses }: V1PodStatus): readonly V1ContainerStatus[] {
  return [...(initContainerStatuses ?? []), ...(containerStatuses ?? [])];
}

/** The first trouble of the containers that are looked at. */
export function firstTrouble(
  status: V1PodStatus,
  isLookedAt: (container: string) => boolean,
): Trouble | undefined {
  for (const one of statusesIn(status)) {
    const trouble = isLookedAt(one.name) ? troubleOf(one) : undefined;
    if (trouble !== undefined) return trouble;
  }
  return undefined;
}

const needsAttention = (code: ReasonCode): boolean =>
  reasons[code].severity === 'warning' || reasons[code].severity === 'error';

/** Codes of one report that are kept: what it came to, and what was said of files and entries. */
const mostCodes = 4;

/** The latest report of a container: one that runs again has left it with its last end. */
export function taggingReport(status: V1PodStatus, container: string): TaggingReport | undefined {
  const found = statusesIn(status).find(({ name }) => name === container);
  return parsedReport(found?.state?.terminated?.message ?? found?.lastState?.terminated?.message);
}

/** What a container's last `tag-rules` found that needs attention. */
export function reportedCodes(status: V1PodStatus, container: string): readonly ReasonCode[] {
  const { outcome, findings } = taggingReport(status, container) ?? {};
  const codes = [outcome, ...(findings ?? [])].flatMap((one) => one?.code ?? []);
  return [...new Set(codes.filter(needsAttention))].slice(0, mostCodes);
}

/** Codes of a list that are known and need attention. */
export function attentionCodes(codes: readonly string[]): readonly ReasonCode[] {
  return codes.filter(isCode).filter(needsAttention);
}
