import type { X509Certificate } from 'node:crypto';
import { atPartOfLife, certificatesIn, fingerprintOf, namesMissing, namesOf, pemOf } from './certificate.ts';
import {
  type Files,
  ourAuthorities,
  usableAuthorities,
  type Whole,
  wholeOf,
  withoutDoubles,
} from './pieces.ts';

/** All that the next step depends on. Times are milliseconds. */
export interface Situation {
  /** Data of the Secret; undefined: there is none. */
  readonly stored: Files | undefined;
  /** What this replica last saw there whole. */
  readonly remembered: Files | undefined;
  /** caBundle as published; '' where it is empty or not known. */
  readonly published: string;
  /** Since 1970. */
  readonly now: number;
  readonly names: readonly string[];
  /** Of what is made. */
  readonly lifetime: number;
}

export type StepReason = 'made' | 'restored' | 'repaired' | 'renewed';

export type Step =
  /** What is stored is whole; nothing to do before then. */
  | { readonly kind: 'keep'; readonly until: number; readonly whole: Whole }
  | {
      readonly kind: 'replace';
      readonly why: StepReason;
      readonly detail: string;
      /** The serving certificate that comes back, or the names of a new one, whose authority comes in front. */
      readonly serving:
        | { readonly cert: string; readonly key: string }
        | { readonly names: readonly string[] };
      /** Authorities that stay trusted, the newest first. */
      readonly authorities: readonly X509Certificate[];
    };

/** A serving certificate is renewed at this part of its life. */
const due = 2 / 3;

/** How long what was published takes, at most, to be known to every API server. */
export function settlingTime(lifetime: number): number {
  return Math.min(30_000, lifetime / 20);
}

/**
 * What becomes of the shared certificates next. Nothing but the Secret's contents says how far a change has come, so
 * any replica goes on where another was stopped (FACTS 5: no leader, no lock).
 *
 * | the Secret                                          | what is next                                          |
 * | --------------------------------------------------- | ----------------------------------------------------- |
 * | missing or damaged                                  | what a replica remembers, or all anew                 |
 * | certificate at 2/3 of its life, or a name is missing | another, with an authority of its own in front        |
 *
 * Whoever serves the old certificate goes on with it until the API servers trust the new authority (look.ts), and the
 * old authority is trusted until it expires.
 */
export function nextStep(situation: Situation): Step {
  const { stored, now, names, lifetime } = situation;
  const whole = stored === undefined ? undefined : wholeOf(stored, now);
  if (whole === undefined) return mend(situation);
  const leaf = whole.serving.certificate;
  const dueAt = atPartOfLife(leaf, due, lifetime);
  const missing = namesMissing(leaf, names);
  if (dueAt > now && missing.length === 0) return { kind: 'keep', until: dueAt, whole };
  return {
    kind: 'replace',
    why: 'renewed',
    detail: missing.length > 0 ? `${missing.join(', ')} missing` : 'at two thirds of its life',
    // Where only names are missing, it keeps the others': in a rolling upgrade old and new replicas want different
    // ones, and must not undo each other's.
    serving: { names: dueAt <= now ? names : [...new Set([...names, ...namesOf(leaf)])] },
    authorities: whole.authorities,
  };
}

/**
 * Something is missing or damaged: what this replica remembers comes back, or all is made anew. What other replicas may
 * still serve stays trusted: authorities of ours that are stored or published are kept.
 */
function mend({ stored, remembered, published, now, names }: Situation): Step {
  const mine = remembered === undefined ? undefined : wholeOf(remembered, now);
  const kept = [...usableAuthorities(stored?.['ca.crt'] ?? '', now), ...ourAuthorities(published, now)];
  const what = stored === undefined ? 'there is no Secret' : 'the Secret is damaged';
  const why = stored === undefined ? (mine === undefined ? 'made' : 'restored') : 'repaired';
  return {
    ...{ kind: 'replace', why },
    detail: `${what}; ${mine === undefined ? 'new authority and certificate' : 'restored from memory'}`,
    serving: mine === undefined ? { names } : { cert: mine.serving.cert, key: mine.serving.key },
    authorities: withoutDoubles([...(mine?.authorities ?? []), ...kept]),
  };
}

/** How an authority is called in a line of log. */
export function shortly(authority: X509Certificate): string {
  return `authority ${fingerprintOf(authority).slice(0, 12)}`;
}

/**
 * The caBundle for what is stored: ca.crt, and behind it what is published of ours for as long as it is valid. So
 * whatever happened to the Secret, no replica's certificate loses its trust. What has expired leaves ca.crt with the
 * next renewal: replicas whose clocks differ would undo each other's bundles.
 */
export function bundleToPublish({
  stored,
  published,
  now,
}: Pick<Situation, 'published' | 'now'> & { readonly stored: Files }): string {
  const trusted = certificatesIn(stored['ca.crt'] ?? '').filter(({ ca }) => ca);
  return pemOf(withoutDoubles([...trusted, ...ourAuthorities(published, now)]));
}
