import type { Readable } from 'node:stream';

/** What a command may touch of the process; tests give it something else. */
export interface CommandIo {
  readonly stdin: Readable;
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Exit statuses of every command. */
export const done = 0;
export const couldNot = 1;
export const wrongUse = 2;
