import { askedPause } from '../background/pause-after.ts';
import { messageOf } from '../reasons/message-of.ts';
import { certificatesIn, fingerprintOf, pemOf } from './certificate.ts';
import type { KeyPair } from './files.ts';
import { bundleToPublish, nextStep, type Step, type StepReason, settlingTime, shortly } from './next-step.ts';
import type { Files, Whole } from './pieces.ts';
import { makeServingCertificate } from './self-signed.ts';
import type { CertificateStore, StoredCertificates, TrustPublisher } from './store.ts';
import { trustView } from './trust-view.ts';

export interface CertificateEvent {
  /** What this replica did or met: a step that it wrote, what it published or serves now, a problem or its end. */
  readonly kind: StepReason | 'published' | 'serving' | 'problem' | 'recovered';
  readonly detail: string;
}

export interface Keeping {
  readonly store: CertificateStore;
  readonly trust: TrustPublisher;
  /** DNS names and IP addresses that the API server calls us by. */
  readonly names: readonly string[];
  /** Of what is made, milliseconds. */
  readonly lifetime: number;
  /** Called with each certificate to serve from now on. */
  readonly onPair: (pair: KeyPair) => void;
  /** Never told a key. */
  readonly tell: (event: CertificateEvent) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Milliseconds of a clock that is never set: for waiting. */
  readonly elapsed?: () => number;
}

export interface CertificateState {
  /** What is served; undefined: the store could not be read yet. */
  readonly pair: KeyPair | undefined;
  /** Whether the API server trusts it. */
  readonly published: boolean;
  /** What went wrong in the last look. */
  readonly problem?: string;
}

export interface Look {
  /** Milliseconds until there is something to do by the clock. */
  readonly next: number;
  readonly failed: boolean;
  /** Milliseconds for which the API server asked to be left alone; 0: it did not. */
  readonly asked: number;
}

/** How often one look reads again, after a step or after someone was faster. */
const rounds = 10;

/** How long an API server may take until it uses a caBundle; until then a new authority is not counted on. */
const propagation = 2_000;

type Round = { readonly is: 'again' } | { readonly is: 'rest'; readonly next: number };
const again: Round = { is: 'again' };

/** What this replica serves. */
interface Served {
  readonly pair: KeyPair;
  readonly fingerprint: string;
  /** Fingerprint of the authority that issued it. */
  readonly authority: string;
}

/** The authorities of a bundle, for a line of log. */
function authoritiesOf(bundle: string): string {
  return certificatesIn(bundle).map(shortly).join(', ');
}

/**
 * One replica's part in keeping the shared certificates: each look reads what is there and does what is next
 * ({@link nextStep}), so it may be stopped anywhere, and come late. Looks must not overlap.
 */
export function certificateLooks(keeping: Keeping): {
  look(): Promise<Look>;
  state(): CertificateState;
} {
  const { store, names, lifetime, onPair, tell } = keeping;
  const { now = Date.now, elapsed = () => performance.now() } = keeping;
  const trust = trustView(keeping.trust, elapsed);
  const settling = settlingTime(lifetime);
  let remembered: Files | undefined;
  let served: Served | undefined;
  let published = false;
  let problem: string | undefined;

  async function write(
    step: Extract<Step, { kind: 'replace' }>,
    over: StoredCertificates | undefined,
  ): Promise<void> {
    const { serving, authorities, why, detail } = step;
    const { ca, certificate, key } =
      'names' in serving
        ? await makeServingCertificate(serving.names, lifetime, now())
        : { ca: '', certificate: serving.cert, key: serving.key };
    const files = { 'ca.crt': ca + pemOf(authorities), 'tls.crt': certificate, 'tls.key': key };
    const written = await store.write(files, over);
    if (written) tell({ kind: why, detail });
  }

  /** Whether to wait with the stored certificate, and serve the other one that long: milliseconds, or 0. */
  function waitWith(authority: string): number {
    if (served === undefined || served.authority === authority) return 0;
    const left = settling - trust.publishedFor(authority);
    const ends = served.pair.notAfter.getTime() - now();
    const isTrusted = !trust.isKnown() || trust.isPublished(served.authority);
    // What is served is of no use any more: nothing can be lost.
    if (ends <= 0 || !isTrusted) return 0;
    // Not knowing what is published, the end of what is served is all there is to go by.
    if (!trust.isKnown() && ends <= settling) return 0;
    return Math.max(0, Math.min(left, ends));
  }

  /** Serves the stored certificate as soon as the API server trusts it. Returns how long that is to wait. */
  function serve(whole: Whole): number {
    const { authority, serving } = whole;
    const { certificate, cert, key } = serving;
    const fingerprint = fingerprintOf(certificate);
    if (served?.fingerprint === fingerprint) return 0;
    const wait = waitWith(authority);
    if (wait > 0) return wait;
    const pair = { cert, key, notAfter: certificate.validToDate };
    onPair(pair);
    served = { pair, fingerprint, authority };
    tell({ kind: 'serving', detail: `${fingerprint}, until ${pair.notAfter.toISOString()}` });
    return 0;
  }

  /** Returns why it could not be published, or whether it has to be read again. */
  async function publish(stored: Files): Promise<string | boolean> {
    if (!trust.isKnown()) return true;
    if (trust.isAbsent()) return 'no MutatingWebhookConfiguration with our webhooks found';
    const current = trust.bundle() ?? '';
    const bundle = bundleToPublish({ stored, published: current, now: now() });
    if (bundle === current) return true;
    try {
      const done = await trust.publish(bundle);
      if (done) tell({ kind: 'published', detail: `caBundle of ${authoritiesOf(bundle)}` });
      return done;
    } catch (error) {
      return `cannot publish the caBundle: ${messageOf(error)}`;
    }
  }

  /** How long until {@link published} can be said; updates it. */
  function lookAtTrust(): number {
    if (served === undefined || !trust.isKnown() || trust.isAbsent()) return Number.POSITIVE_INFINITY;
    const left = Math.min(propagation, settling) - trust.publishedFor(served.authority);
    const isThere = trust.isPublished(served.authority);
    if (!isThere) published = false;
    else if (left <= 0) published = true;
    return isThere && !published ? left : Number.POSITIVE_INFINITY;
  }

  async function round(problems: string[]): Promise<Round> {
    // In this order: a bundle is only published over one that was read before the Secret was, so never an older one.
    const unread = await trust.read();
    const stored = await store.read();
    const step = nextStep({
      stored: stored?.files,
      remembered,
      published: trust.bundle() ?? '',
      now: now(),
      names,
      lifetime,
    });
    if (stored === undefined || step.kind === 'replace') {
      if (step.kind === 'replace') await write(step, stored);
      return again;
    }
    const rest = await use(stored.files, step.whole);
    if (rest === undefined) return again;
    problems.push(...[unread, rest.problem].filter((one) => one !== undefined));
    return { is: 'rest', next: Math.min(step.until - now(), rest.next) };
  }

  /** Serves and publishes what is stored. Undefined: it has to be read again. */
  async function use(
    stored: Files,
    whole: Whole,
  ): Promise<{ readonly problem: string | undefined; readonly next: number } | undefined> {
    remembered = stored;
    const wait = serve(whole);
    const outcome = await publish(stored);
    if (outcome === false) return undefined;
    return {
      problem: typeof outcome === 'string' ? outcome : undefined,
      next: Math.min(lookAtTrust(), wait > 0 ? wait : Number.POSITIVE_INFINITY),
    };
  }

  async function look(): Promise<Look> {
    const problems: string[] = [];
    let next = Number.POSITIVE_INFINITY;
    let asked = 0;
    try {
      let last = again;
      for (let at = 0; at < rounds && last.is === 'again'; at++) last = await round(problems);
      if (last.is === 'rest') next = last.next;
      else problems.push('something else keeps changing the Secret or the caBundle');
    } catch (error) {
      problems.push(messageOf(error));
      asked = askedPause(error);
    }
    note(problems.length === 0 ? undefined : problems.join('; '));
    return { next, failed: problems.length > 0, asked };
  }

  function note(found: string | undefined): void {
    if (found === problem) return;
    problem = found;
    tell(
      found === undefined
        ? { kind: 'recovered', detail: 'all problems are resolved' }
        : { kind: 'problem', detail: found },
    );
  }

  return {
    look,
    state: () => ({ pair: served?.pair, published, ...(problem === undefined ? {} : { problem }) }),
  };
}
