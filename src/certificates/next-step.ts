import type { X509Certificate } from 'node:crypto';
import {
  atPartOfLife,
  certificatesIn,
  fingerprintOf,
  isExpired,
  isSame,
  namesMissing,
  namesOf,
  pemOf,
} from './certificate.ts';
import {
  type Files,
  issuerOf,
  ourAuthorities,
  usableAuthorities,
  type Whole,
  wholeOf,
  withoutDoubles,
} from './pieces.ts';

export interface Lifetimes {
  /** Milliseconds. */
  readonly authority: number;
  readonly leaf: number;
}

/** All that the next step depends on. Times are milliseconds. */
export interface Situation {
  /** Data of the Secret; undefined: there is none. */
  readonly stored: Files | undefined;
  /** What this replica last saw there whole. */
  readonly remembered: Files | undefined;
  /** caBundle as published; '' where it is empty or not known. */
  readonly published: string;
  /** How long this replica has seen an authority (by fingerprint) published. */
  readonly publishedFor: (authority: string) => number;
  /** Since 1970. */
  readonly now: number;
  readonly names: readonly string[];
  readonly lifetimes: Lifetimes;
}

export type StepReason =
  | 'made'
  | 'restored'
  | 'repaired'
  | 'authority_introduced'
  | 'renewed'
  | 'switched'
  | 'pruned';

/** What the Secret shall hold next. */
export interface Plan {
  /** Authorities that stay, PEM, the newest first. */
  readonly authorities: readonly string[];
  /** Key of the first of them; undefined: a new authority comes in front. */
  readonly authorityKey: string | undefined;
  /** The serving certificate that stays, or the names of a new one. */
  readonly serving: { readonly cert: string; readonly key: string } | { readonly names: readonly string[] };
}

export type Step =
  /** What is stored is whole; nothing to do before then, as far as can be seen now. */
  | { readonly kind: 'keep'; readonly until: number; readonly whole: Whole }
  | { readonly kind: 'replace'; readonly why: StepReason; readonly detail: string; readonly plan: Plan };

/** Authorities and serving certificates are renewed at this part of their life, or of what it shall be now. */
const due = 2 / 3;

/** From here on a certificate is renewed even by an authority that is not known to be trusted yet. */
const urgent = 0.9;

/** How long what was published takes, at most, to be known to every API server. */
export function settlingTime({ leaf }: Lifetimes): number {
  return Math.min(30_000, leaf / 20);
}

/**
 * What becomes of the shared certificates next. Nothing but the Secret's contents says how far a change has come, so
 * any replica goes on where another was stopped (FACTS 5: no leader, no lock). A and B are authorities, `a` and `b`
 * certificates that they issued; what is published follows ca.crt (see {@link bundleToPublish}).
 *
 * | phase      | ca.crt | tls.crt | what leads on                                                                      |
 * | ---------- | ------ | ------- | ---------------------------------------------------------------------------------- |
 * | missing    | –      | –       | at once: what a replica remembers, or A and `a`                                    |
 * | damaged    | ?      | ?       | at once: what a replica remembers, or all anew                                     |
 * | steady     | A      | a       | `a` at 2/3 of its life, or a name is missing: another `a`                          |
 * |            | A      | a       | A at 2/3 of its life, or `a` would outlive it: introduce B                         |
 * | introduced | B A    | a       | published for the settling time, or `a` at 9/10 of its life: switch                |
 * | switched   | B A    | b       | A expired: it goes, and the next is steady                                          |
 */
export function nextStep(situation: Situation): Step {
  const { stored, now } = situation;
  if (stored === undefined) return mend(situation, undefined);
  const whole = wholeOf(stored, now);
  if (whole === undefined) return mend(situation, stored);
  const tidy = pemOf(whole.authorities);
  if (tidy !== stored['ca.crt']) {
    const expired = certificatesIn(stored['ca.crt'] ?? '').filter((one) => isExpired(one, now));
    return expired.length > 0
      ? replace('pruned', `${expired.length} expired of ca.crt`, { ...whole, serving: whole.serving })
      : replace('repaired', 'ca.crt was out of order', { ...whole, serving: whole.serving });
  }
  return advance(situation, whole);
}

function replace(
  why: StepReason,
  detail: string,
  { authorities, authorityKey, serving }: Pick<Whole, 'authorities'> & Pick<Plan, 'authorityKey' | 'serving'>,
): Step {
  const kept = 'names' in serving ? serving : { cert: serving.cert, key: serving.key };
  return {
    kind: 'replace',
    why,
    detail,
    plan: { authorities: authorities.map(String), authorityKey, serving: kept },
  };
}

/**
 * Something is missing or damaged: what this replica remembers comes back, or all is made anew. What other replicas may
 * still serve stays trusted: authorities of ours that are stored or published are kept.
 */
function mend({ remembered, published, now, names }: Situation, stored: Files | undefined): Step {
  const mine = remembered === undefined ? undefined : wholeOf(remembered, now);
  const kept = [...usableAuthorities(stored?.['ca.crt'] ?? '', now), ...ourAuthorities(published, now)];
  const what = stored === undefined ? 'there is no Secret' : 'the Secret is damaged';
  if (mine === undefined) {
    const plan = { authorities: withoutDoubles(kept), authorityKey: undefined, serving: { names } };
    return replace(
      stored === undefined ? 'made' : 'repaired',
      `${what}; new authority and certificate`,
      plan,
    );
  }
  const authorities = withoutDoubles([...mine.authorities, ...kept]);
  return replace(stored === undefined ? 'restored' : 'repaired', `${what}; restored from memory`, {
    ...mine,
    authorities,
  });
}

/** The regular course of things, in order of urgency. */
function advance(situation: Situation, whole: Whole): Step {
  const { now, lifetimes, publishedFor } = situation;
  const { authorities, serving } = whole;
  const [newest] = authorities;
  if (newest === undefined) throw new Error('whole certificates have an authority');
  const leaf = serving.certificate;
  const isOfNewest = issuerOf(leaf, authorities) === newest;
  const leafDue = atPartOfLife(leaf, due, lifetimes.leaf);
  const authorityDue = atPartOfLife(newest, due, lifetimes.authority);
  const settling = settlingTime(lifetimes);
  const keep = (...waits: readonly number[]): Step => ({
    ...{ kind: 'keep', whole },
    until: Math.min(
      leafDue <= now ? Number.POSITIVE_INFINITY : leafDue,
      authorityDue,
      now + Math.min(...waits),
    ),
  });

  if (authorityDue <= now || (isOfNewest && leafDue <= now && wouldOutlive(situation, newest))) {
    return replace('authority_introduced', `besides ${shortly(newest)}`, {
      ...whole,
      authorityKey: undefined,
    });
  }
  if (!isOfNewest) {
    const settled = settling - publishedFor(fingerprintOf(newest));
    const urgentAt = atPartOfLife(leaf, urgent);
    if (settled > 0 && urgentAt > now) return keep(settled, urgentAt - now);
    return renew('switched', `to ${shortly(newest)}`, situation, whole);
  }
  const missing = namesMissing(leaf, situation.names);
  if (leafDue <= now || missing.length > 0) {
    const why = missing.length > 0 ? `${missing.join(', ')} missing` : 'at two thirds of its life';
    return renew('renewed', why, situation, whole);
  }
  return keep(...authorities.map((one) => one.validToDate.getTime() - now));
}

/** Whether a certificate made now would have to end early. */
function wouldOutlive({ now, lifetimes }: Situation, authority: X509Certificate): boolean {
  return now + lifetimes.leaf > authority.validToDate.getTime();
}

/**
 * A new serving certificate by the newest authority. Where only names are missing, it keeps the others': in a
 * rolling upgrade old and new replicas want different ones, and must not undo each other's.
 */
function renew(why: StepReason, detail: string, situation: Situation, whole: Whole): Step {
  const { now, names, lifetimes } = situation;
  const leaf = whole.serving.certificate;
  const isDue = atPartOfLife(leaf, due, lifetimes.leaf) <= now;
  const union = isDue ? names : [...new Set([...names, ...namesOf(leaf)])];
  return replace(why, detail, { ...whole, serving: { names: union } });
}

/** How an authority is called in a line of log. */
export function shortly(authority: X509Certificate): string {
  return `authority ${fingerprintOf(authority).slice(0, 12)}`;
}

/**
 * The caBundle for what is stored: ca.crt, and behind it what is published of ours for as long as it is valid. So
 * whatever happened to the Secret, no replica's certificate loses its trust.
 */
export function bundleToPublish({
  stored,
  published,
  now,
}: Pick<Situation, 'published' | 'now'> & { readonly stored: Files }): string {
  const trusted = certificatesIn(stored['ca.crt'] ?? '');
  const more = ourAuthorities(published, now);
  return pemOf([...trusted, ...more.filter((one) => !trusted.some((other) => isSame(one, other)))]);
}
