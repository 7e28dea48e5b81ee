/** A shipper that runs in a test, and what stands for Falco. */
import { appendFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { until } from '../until.ts';
import { openFolder } from './compiled.ts';
import { type Decided, start } from './running.ts';

/** An alert as Falco writes it, but for its length. */
export const alert = (output: string, more = ''): string =>
  `${JSON.stringify({ hostname: 'n', output, output_fields: { 'evt.time': 1, more }, priority: 'Notice', rule: 'R' })}\n`;

export const live = (folder: string): string => join(folder, 'live/alerts.jsonl');

/** Opens, appends by one write, closes: as Falco does (FACTS 1.21). */
export const write = (folder: string, text: string): void => appendFileSync(live(folder), text);

export interface Shipping {
  readonly folder?: string;
  readonly decided?: Partial<Decided>;
  readonly args?: readonly string[];
  readonly how?: 'static';
  /** What starts it, in front of its path. */
  readonly through?: readonly string[];
}

/** Starts it; it may not be ready yet. */
export function startShipping(t: TestContext, to: string, shipping: Shipping = {}) {
  const { folder = openFolder(), decided, args = [], how, through } = shipping;
  const all = ['ship-alerts', '--folder', folder, '--to', to, ...args];
  const { child, said } = start(t, { NODE: '/nowhere', ...decided }, all, how, through);
  const says = (text: string, from = 0) =>
    until(`it says ${text}; it says ${said.err}`, () => said.err.slice(from).includes(text));
  return { folder, child, said, says, write: (text: string) => write(folder, text) };
}

export async function ship(t: TestContext, to: string, shipping: Shipping = {}) {
  const started = startShipping(t, to, shipping);
  await until('there is a file', () => existsSync(live(started.folder)));
  return started;
}
