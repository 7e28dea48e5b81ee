/** What the main thread and the one that has the spool say to each other. */
import type { Dropped, NewEvent } from './spool.ts';

export interface StoreOptions {
  readonly folder: string;
  /** Bytes. */
  readonly limit: number;
  /** Milliseconds until a spool that fails is opened again; tests make it short. */
  readonly healEvery?: number;
}

/** Events to be sent, as a body of the protocol's. */
export interface Batch {
  readonly number: number;
  readonly events: number;
  /** Lines, compressed by zstd. */
  readonly body: Buffer;
  /** Of its first event: 0 is the highest. */
  readonly priority: number;
}

/** What has become of a batch: all of it is to be sent again, or these lines, and these never. */
export type Settled =
  | 'back'
  | {
      readonly later: readonly number[];
      readonly refused: readonly { readonly line: number; readonly reason: string }[];
    };

export interface Status {
  readonly events: number;
  readonly bytes: number;
  /** When the oldest waiting event was received, milliseconds since 1970. */
  readonly oldest: number | undefined;
  /** Bytes on disk. */
  readonly size: number;
  /** Why the spool fails. */
  readonly problem: string | undefined;
  /** Of this spool, for ever: keys are made of it. */
  readonly id: string;
}

export type Request =
  | { readonly is: 'keep'; readonly number: number; readonly events: readonly NewEvent[] }
  | {
      readonly is: 'next';
      readonly number: number;
      readonly mostEvents: number;
      /** Only events of this priority and above. */
      readonly lowest: number;
    }
  | { readonly is: 'settle'; readonly batch: number; readonly settled: Settled }
  | { readonly is: 'resize'; readonly limit: number }
  | { readonly is: 'close'; readonly number: number };

/** Of each event, in order; `unsafe`: none is on disk. */
export type KeptAll = 'unsafe' | readonly ('accepted' | 'duplicate')[];

export type Reply = { readonly status: Status } & (
  | { readonly is: 'kept'; readonly number: number; readonly kept: KeptAll }
  | {
      readonly is: 'next';
      readonly number: number;
      readonly batch: Omit<Batch, 'body'> | undefined;
      readonly body?: Uint8Array;
    }
  | { readonly is: 'status' }
  | { readonly is: 'dropped'; readonly dropped: Dropped }
  | { readonly is: 'damaged'; readonly saved: number }
  | { readonly is: 'closed'; readonly number: number }
);
