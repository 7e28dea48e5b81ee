/** Posts batches to the next hop, and says what came of each. */
import * as z from 'zod';
import type { Exchange, HttpClient } from './http-client.ts';

export interface BatchToSend {
  /** Compressed by zstd; undefined: nothing but a report. */
  readonly body: Buffer | undefined;
  /** Lines in it. */
  readonly events: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export type BatchOutcome =
  /** Each line has its answer. */
  | {
      readonly is: 'taken';
      readonly done: number;
      readonly later: readonly number[];
      readonly refused: readonly { readonly line: number; readonly reason: string }[];
    }
  | { readonly is: 'too large'; readonly why: string }
  /** Again later; `after` milliseconds at the earliest, where the other side says so. */
  | { readonly is: 'failed'; readonly why: string; readonly after?: number };

const count = z.number().int().nonnegative();

const answer = z.object({
  ...{ accepted: count, duplicates: count, refused: count, later: count },
  lines: z.array(
    z.object({ line: count, outcome: z.enum(['refused', 'later']), reason: z.string().optional() }),
  ),
});

/** Nobody is asked to wait for longer than this. */
export const longestRetryAfter = 300_000;

/** Milliseconds of a Retry-After header: seconds, or a date. */
function retryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  const wait = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isNaN(wait) ? undefined : Math.min(longestRetryAfter, Math.max(0, wait));
}

/** What is likely to be wrong. */
function remedy(status: number): string {
  if (status === 401 || status === 403)
    return ': see the certificate in Secret falco-federation-hub, and receiver.spokes of the hub';
  return (status >= 200 && status < 300) || status === 404 || status === 405 || status === 415
    ? ', and not as a receiver does: see hub.address'
    : '';
}

function outcomeOf(exchange: Exchange, events: number): BatchOutcome {
  if (exchange.is === 'failed') return exchange;
  const { status, headers, text } = exchange;
  if (status === 200) {
    const read = readAnswer(text);
    if (read !== undefined && read.accepted + read.duplicates + read.refused + read.later === events) {
      const later = read.lines.filter(({ outcome }) => outcome === 'later').map(({ line }) => line);
      const refused = read.lines
        .filter(({ outcome }) => outcome === 'refused')
        .map(({ line, reason = 'no reason given' }) => ({ line, reason }));
      if (later.length === read.later && refused.length === read.refused)
        return { is: 'taken', done: events - later.length, later, refused };
    }
  }
  const why = `the hub answers ${status}`;
  if (status === 413) return { is: 'too large', why };
  if (status >= 300 && status < 400) {
    // Not followed: a redirect would take events, and credentials, to wherever it says.
    const to = headers.location === undefined ? '' : ` to ${headers.location}`;
    return { is: 'failed', why: `${why}, a redirect${to}: set hub.address to where it is` };
  }
  const after = retryAfter(headers['retry-after'], Date.now());
  return { is: 'failed', why: `${why}${remedy(status)}`, ...(after === undefined ? {} : { after }) };
}

function readAnswer(text: string): z.output<typeof answer> | undefined {
  try {
    return answer.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** Never rejects. */
export async function postBatch(client: HttpClient, batch: BatchToSend): Promise<BatchOutcome> {
  const { body = Buffer.alloc(0), events, headers } = batch;
  const exchange = await client.send({
    ...{ method: 'POST', body },
    headers: {
      'content-type': 'application/x-ndjson',
      ...(batch.body === undefined ? {} : { 'content-encoding': 'zstd' }),
      ...headers,
    },
  });
  return outcomeOf(exchange, events);
}
