/** A request's lines, and what became of each. */
import { keyPattern, largestEvent, mostLines } from './bounds.ts';
import { type EventFields, type RefusedEvent, readEvent } from './event.ts';
import { membersOf } from './json-members.ts';
import { Refusal } from './refusal.ts';

/** What became of a line; of a refused one, and of one for later, why. */
export type LineOutcome =
  | { readonly is: 'accepted' | 'duplicate' }
  | ({ readonly is: 'refused' } & RefusedEvent)
  | { readonly is: 'later'; readonly message: string };

/** One event of a request. */
export interface SentEvent {
  /** Number of its line. */
  readonly line: number;
  /** What its sender calls it; undefined where it has no name: it is kept as often as it comes. */
  readonly key: string | undefined;
  /** Its JSON, as it came. */
  readonly text: string;
  readonly fields: EventFields;
}

export type ReadLine = SentEvent | ({ readonly line: number } & RefusedEvent);

/** How our own senders write an envelope; others' spellings are read all the same. */
const envelopeHead = /^\{"key":"([A-Za-z0-9._/:-]{1,200})","event":(?=\{)/;

function readLine(line: number, text: string): ReadLine {
  const [head, key] = envelopeHead.exec(text) ?? [];
  if (head !== undefined && text.endsWith('}')) {
    const event = readEvent(text.slice(head.length, -1));
    if (!('reason' in event)) return { ...event, line, key };
  }
  const event = readEvent(text);
  if (!('reason' in event)) return { ...event, line, key: undefined };
  const isJson = event.reason !== 'not_json' && event.reason !== 'too_deep';
  return (isJson ? readEnvelope(line, text) : undefined) ?? { ...event, line };
}

/** @param text JSON. @returns undefined where it is none */
function readEnvelope(line: number, text: string): ReadLine | undefined {
  const parsed: unknown = JSON.parse(text);
  if (typeof parsed !== 'object' || parsed === null || !('event' in parsed) || !('key' in parsed))
    return undefined;
  const { key } = parsed;
  if (typeof key !== 'string' || !keyPattern.test(key))
    return { line, reason: 'bad_key', message: '"key" must be 1 to 200 of A-Z a-z 0-9 . _ / : -' };
  const member = membersOf(text, text.indexOf('{')).findLast(({ key: name }) => name === 'event');
  return { ...readEvent(text.slice(member?.start, member?.end)), line, key };
}

const newline = 0x0a;

/**
 * The lines of a body that are not empty, as events or as what is wrong with them, one after the other: a parsed event
 * takes several times its text. What is not UTF-8 becomes U+FFFD, as it does for Go's decoder, falcosidekick's.
 *
 * @throws Refusal where there are too many
 */
export function readLines(body: Buffer): Iterable<ReadLine> {
  let breaks = 0;
  for (let at = body.indexOf(newline); at !== -1; at = body.indexOf(newline, at + 1)) breaks++;
  if (breaks > mostLines || (breaks === mostLines && body.at(-1) !== newline))
    throw new Refusal(413, 'too_large', `a request may have ${mostLines} lines at most`);
  return linesOf(body);
}

function* linesOf(body: Buffer): Generator<ReadLine> {
  let line = 0;
  for (let start = 0; start < body.length; line++) {
    const found = body.indexOf(newline, start);
    const end = found === -1 ? body.length : found;
    if (end - start > largestEvent)
      yield { line, reason: 'too_large', message: `an event may have ${largestEvent} bytes at most` };
    else {
      const text = body.toString('utf8', start, end).trim();
      if (text !== '') yield readLine(line, text);
    }
    start = end + 1;
  }
}

/** A body that is one event alone. @throws Refusal where it is none */
export function readOne(body: Buffer): SentEvent {
  if (body.length > largestEvent)
    throw new Refusal(413, 'too_large', `an event may have ${largestEvent} bytes at most`);
  // A byte order mark is not JSON.
  const event = readEvent(body.toString().replace(/^\ufeff/, ''));
  if ('reason' in event) throw new Refusal(400, event.reason, event.message);
  return { ...event, line: 0, key: undefined };
}

/** What is answered to a request of lines. */
export interface BatchAnswer {
  readonly accepted: number;
  readonly duplicates: number;
  readonly refused: number;
  readonly later: number;
  /** Only those that were refused, or are to come again. */
  readonly lines: readonly {
    readonly line: number;
    readonly outcome: 'refused' | 'later';
    readonly reason?: string;
  }[];
}

/** Lines of an answer that say why. */
const mostReasons = 100;

export function batchAnswer(outcomes: ReadonlyMap<number, LineOutcome>): BatchAnswer {
  const counts = { accepted: 0, duplicate: 0, refused: 0, later: 0 };
  const lines: BatchAnswer['lines'][number][] = [];
  for (const [line, outcome] of outcomes) {
    counts[outcome.is]++;
    if (outcome.is === 'refused' || outcome.is === 'later')
      lines.push({
        ...{ line, outcome: outcome.is },
        ...(counts[outcome.is] <= mostReasons ? { reason: outcome.message } : {}),
      });
  }
  const { accepted, duplicate: duplicates, refused, later } = counts;
  return { accepted, duplicates, refused, later, lines };
}
