import { messageOf } from '../reasons/message-of.ts';
import { certificatesIn, fingerprintOf } from './certificate.ts';
import type { TrustPublisher } from './store.ts';

/** What this replica knows of the published caBundle, and since when, by its own steady clock. */
export interface TrustView {
  /** Reads again. Returns why it could not; what was known before stays. */
  read(): Promise<string | undefined>;
  /** False: someone else changed it meanwhile. */
  publish(bundle: string): Promise<boolean>;
  /** Undefined: no webhook of our names exists, or nothing is known yet. */
  bundle(): string | undefined;
  /** Whether no webhook of our names exists: nobody calls us, and there is nothing to wait for. */
  isAbsent(): boolean;
  /** Whether the last reading went well. */
  isKnown(): boolean;
  isPublished(authority: string): boolean;
  /** Milliseconds for which the authority has been seen published; 0: it is not. */
  publishedFor(authority: string): number;
}

export function trustView(trust: TrustPublisher, elapsed: () => number): TrustView {
  let bundle: string | undefined;
  let isKnown = false;
  let isAbsent = false;
  let since: ReadonlyMap<string, number> = new Map();

  const see = (seen: string | undefined): void => {
    isKnown = true;
    if (seen === bundle && isAbsent === (seen === undefined)) return;
    bundle = seen;
    isAbsent = seen === undefined;
    const now = elapsed();
    const authorities = certificatesIn(seen ?? '').map(fingerprintOf);
    since = new Map(authorities.map((authority) => [authority, since.get(authority) ?? now]));
  };
  return {
    read: async () => {
      try {
        see(await trust.read());
        return undefined;
      } catch (error) {
        isKnown = false;
        return `cannot read the caBundle: ${messageOf(error)}`;
      }
    },
    publish: async (next) => {
      const published = await trust.publish(next);
      if (published) see(next);
      return published;
    },
    bundle: () => bundle,
    isAbsent: () => isAbsent,
    isKnown: () => isKnown,
    isPublished: (authority) => isAbsent || since.has(authority),
    publishedFor: (authority) => {
      if (isAbsent) return Number.POSITIVE_INFINITY;
      const begin = since.get(authority);
      return begin === undefined ? 0 : elapsed() - begin;
    },
  };
}
