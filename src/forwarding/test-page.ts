import type { IncomingMessage } from 'node:http';
import { readOne } from '../events/batch.ts';
import type { EventServerOptions } from '../events/event-server.ts';
import { Refusal } from '../events/refusal.ts';
import { testEvent } from '../events/test-event.ts';
import type { Page } from '../server/plain-server.ts';

/** Milliseconds between two test events: the port is open to whoever reaches it. */
const testEvery = 1_000;

const type = 'text/plain; charset=utf-8';

/**
 * A page that has a test event kept and delivered like any other; `check` posts to it, as API servers reach the health
 * port and not that of events.
 *
 * @param lowest the lowest priority that is kept
 */
export function testPage(
  take: EventServerOptions['take'],
  lowest: () => string,
  replica: string,
): (request: IncomingMessage) => Promise<Page> {
  let last = Number.NEGATIVE_INFINITY;
  return async (request) => {
    const now = performance.now();
    if (now - last < testEvery) return { status: 429, type, text: 'one test event a second\n' };
    last = now;
    const priority = lowest();
    const read = readOne(testEvent(`${priority.charAt(0).toUpperCase()}${priority.slice(1)}`, replica));
    try {
      const outcome = (await take({ lines: [read], request })).get(0);
      return { status: outcome?.is === 'accepted' ? 200 : 503, type, text: `${outcome?.is ?? 'lost'}\n` };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return { status: error.status, type, text: `${error.message}\n` };
    }
  };
}
