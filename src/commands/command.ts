import type { Readable } from 'node:stream';

export interface CommandOutput {
  write(text: string, encoding?: 'utf8' | 'latin1'): unknown;
  /** Somebody looks at it. */
  readonly isTTY?: boolean;
}

/** What a command may touch of the process; tests give it something else. */
export interface CommandIo {
  readonly stdin: Readable;
  readonly stdout: CommandOutput;
  readonly stderr: CommandOutput;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Exit statuses of every command. */
export const done = 0;
export const couldNot = 1;
export const wrongUse = 2;

/**
 * Waits until the process is asked to stop, and tells by which signal. As the first process of a container it gets
 * no signal that it does not ask for.
 */
export function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
}
