import type {
  V1ContainerState,
  V1ContainerStateTerminated,
  V1ContainerStatus,
  V1PodStatus,
} from '@kubernetes/client-node';
import { interned } from './interned.ts';
import { containersIn } from './pod-status.ts';
import { parsedReport } from './tagging-report.ts';

/** A container that does not start or keeps restarting. */
export interface Failure {
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

const failures = interned<Failure>();

export function failureOf(container: string, why: string, runningSince?: number): Failure {
  return failures(`${container}\n${why}\n${runningSince}`, () => ({ container, why, runningSince }));
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
 * | state now                      | last state | failure                             |
 * | ------------------------------ | ---------- | ----------------------------------- |
 * | waiting, stuck                 | any        | that word, and how it ended         |
 * | waiting for something else     | any        | none: it is about to start          |
 * | ended, not with 0              | any        | how it ended                        |
 * | ended with 0                   | any        | none                                |
 * | runs                           | not with 0 | how it ended, until it runs long    |
 */
function failureIn({ name, state, lastState }: V1ContainerStatus): Failure | undefined {
  const told = (why: string, runningSince?: number): Failure => failureOf(name, why, runningSince);
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

/** The first failure of the containers that are looked at. */
export function firstFailure(
  status: V1PodStatus,
  isLookedAt: (container: string) => boolean,
): Failure | undefined {
  for (const one of containersIn(status)) {
    const failure = isLookedAt(one.name) ? failureIn(one) : undefined;
    if (failure !== undefined) return failure;
  }
  return undefined;
}
