/** A cluster in memory: the Secret, the caBundle, an API server that learns of it late, replicas with clocks of their own. */
import { X509Certificate } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { certificatesIn, fingerprintOf, isIssuedBy } from '../../src/certificates/certificate.ts';
import type { KeyPair } from '../../src/certificates/files.ts';
import { type CertificateEvent, certificateLooks } from '../../src/certificates/look.ts';
import type { CertificateStore, StoredCertificates, TrustPublisher } from '../../src/certificates/store.ts';

export interface Chance {
  /** Of an answer that is an error or a conflict. */
  readonly trouble: number;
  readonly seed: number;
}

export interface SimulatedReplica {
  readonly name: string;
  readonly names: readonly string[];
  served: KeyPair | undefined;
  ready: boolean;
  nextLook: number;
  /** Until when its calls do not reach the API server, while the API server's reach it. */
  cutOffUntil: number;
  look(): Promise<void>;
  problem(): string | undefined;
}

/** A call of a replica; `conflict` is what it gets where someone was faster. */
type Call = <T>(act: () => T, conflict?: T) => Promise<T>;

/** Milliseconds until the API server uses a caBundle that was written. */
const apiServerDelay = 1_500;

/** How long it may take to mend a caBundle that was emptied, while the API answers. */
const mendingTime = 60_000;

function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** From when until when a client that has the bundle accepts the certificate; our authorities outlive their own. */
function trustedDuring(cert: string, bundle: string): readonly [number, number] {
  const leaf = new X509Certificate(cert);
  const issuer = certificatesIn(bundle).find((one) => isIssuedBy(leaf, one));
  if (issuer === undefined) return [0, 0];
  return [
    Math.max(leaf.validFromDate.getTime(), issuer.validFromDate.getTime()),
    Math.min(leaf.validToDate.getTime(), issuer.validToDate.getTime()),
  ];
}

export class SimulatedCluster {
  /** Milliseconds since 1970: the API server's clock. */
  time = Date.UTC(2030, 0, 1);
  secret: StoredCertificates | undefined;
  bundle = '';
  trouble: number;
  isDown = false;
  replicas: SimulatedReplica[] = [];
  readonly events: string[] = [];
  writes = 0;
  /** Whatever was served untrusted, outside the time that mending may take. */
  readonly untrusted: string[] = [];
  /** The longest time that a ready replica was not trusted, mending included. */
  longestUntrusted = 0;
  readonly lifetime: number;
  #version = 0;
  #bundleVersion = 0;
  #apiServer: { readonly at: number; readonly bundle: string }[] = [{ at: 0, bundle: '' }];
  #excusedUntil = 0;
  #untrustedSince: number | undefined;
  #started = 0;
  readonly #trusted = new Map<string, readonly [number, number]>();
  readonly #random: () => number;

  constructor(lifetime: number, { trouble, seed }: Chance) {
    this.lifetime = lifetime;
    this.trouble = trouble;
    this.#random = random(seed);
  }

  addReplica(skew: number, names: readonly string[]): void {
    const name = `webhook-${this.#started++}`;
    const call: Call = (act, conflict) => this.#call(act, conflict, replica.cutOffUntil > this.time);
    const { look, state } = certificateLooks({
      ...{ store: this.#store(call), trust: this.#trust(call), names, lifetime: this.lifetime },
      onPair: (pair) => {
        replica.served = pair;
        this.check();
      },
      tell: (event) => this.#tell(name, event),
      now: () => this.time + skew,
      elapsed: () => this.time,
    });
    const replica: SimulatedReplica = {
      ...{ name, names, served: undefined, ready: false, nextLook: this.time, cutOffUntil: 0 },
      look: async () => {
        const { next, failed } = await look();
        replica.nextLook = this.time + (failed ? 2_000 : Math.max(50, Math.min(15_000, next)));
        if (state().published) replica.ready = true;
      },
      problem: () => state().problem,
    };
    this.replicas.push(replica);
  }

  killReplica(at: number): void {
    this.replicas = this.replicas.filter((_, index) => index !== at % this.replicas.length);
  }

  /** A fault: someone writes what he likes, and the watches of all replicas tell of it. */
  setFiles(files: Readonly<Record<string, string>> | undefined): void {
    this.secret = files && { files, version: `${++this.#version}` };
    this.#wake();
  }

  /** A fault. */
  breakBundle(bundle: string): void {
    this.#setBundle(bundle);
    this.#excusedUntil = this.time + mendingTime;
  }

  /** Lets time pass second by second, with looks as they are due. */
  async wait(seconds: number): Promise<void> {
    for (let at = 0; at < seconds; at++) {
      this.time += 1_000;
      if (this.isDown || (this.isMending && this.isSomeoneCutOff)) this.#excusedUntil += 1_000;
      await this.#looks(this.replicas.filter(({ nextLook }) => nextLook <= this.time));
    }
  }

  /** Lets a long time pass, in which everybody looks now and then. */
  async jump(milliseconds: number): Promise<void> {
    const stride = this.lifetime / 20;
    for (let left = milliseconds; left > 0; left -= stride) {
      this.time += Math.min(left, stride);
      for (let at = 0; at < 3; at++) {
        this.time += 1_000;
        await this.#looks(this.replicas);
      }
    }
  }

  get isSomeoneCutOff(): boolean {
    return this.replicas.some(({ cutOffUntil }) => cutOffUntil > this.time);
  }

  get isMending(): boolean {
    return this.time < this.#excusedUntil;
  }

  /** Whether the API server trusts what each ready replica serves. */
  check(): void {
    const bundle = this.#apiServer.findLast(({ at }) => at <= this.time)?.bundle ?? '';
    const bad = this.replicas.filter(({ ready, served }) => ready && !this.isTrusted(served, bundle));
    if (bad.length > 0) this.#untrustedSince ??= this.time;
    this.longestUntrusted = Math.max(this.longestUntrusted, this.time - (this.#untrustedSince ?? this.time));
    if (bad.length === 0) this.#untrustedSince = undefined;
    if (bad.length > 0 && !this.isMending) {
      this.untrusted.push(`${new Date(this.time).toISOString()} ${bad.map(({ name }) => name).join(', ')}`);
    }
  }

  isTrusted(pair: KeyPair | undefined, bundle: string): boolean {
    if (pair === undefined) return false;
    const known = `${pair.cert}${bundle}`;
    const [begin, end] = this.#trusted.get(known) ?? trustedDuring(pair.cert, bundle);
    this.#trusted.set(known, [begin, end]);
    return begin <= this.time && this.time < end;
  }

  async #looks(replicas: readonly SimulatedReplica[]): Promise<void> {
    this.check();
    await Promise.all(replicas.map((one) => one.look()));
    this.check();
  }

  #tell(name: string, { kind, detail }: CertificateEvent): void {
    this.events.push(`${new Date(this.time).toISOString()} ${name} ${kind}: ${detail}`);
  }

  #wake(): void {
    for (const one of this.replicas) one.nextLook = Math.min(one.nextLook, this.time + 100);
  }

  #setBundle(bundle: string): void {
    this.bundle = bundle;
    this.#bundleVersion++;
    this.#apiServer.push({ at: this.time + apiServerDelay, bundle });
    this.#wake();
  }

  /** An API call takes a while, in which others may be faster; it may fail before or after it did what it should. */
  async #call<T>(act: () => T, conflict: T | undefined, isCutOff: boolean): Promise<T> {
    for (let turns = Math.floor(this.#random() * 3); turns >= 0; turns--) await turn();
    if (this.isDown || isCutOff) throw new Error('no connection');
    const dice = this.#random() / this.trouble;
    if (dice < 0.3) throw new Error('refused');
    if (dice < 0.6 && conflict !== undefined) return conflict;
    const result = act();
    if (dice < 1) throw new Error('the answer was lost');
    return result;
  }

  #store(call: Call): CertificateStore {
    return {
      read: () => call(() => this.secret),
      write: (files, over) =>
        call(() => {
          if (this.secret?.version !== over?.version) return false;
          this.secret = { files: { ...over?.files, ...files }, version: `${++this.#version}` };
          this.writes++;
          this.#wake();
          return true;
        }, false),
    };
  }

  #trust(call: Call): TrustPublisher {
    let read = 0;
    return {
      read: () =>
        call(() => {
          read = this.#bundleVersion;
          return this.bundle;
        }),
      publish: (bundle) =>
        call(() => {
          if (read !== this.#bundleVersion) return false;
          this.#setBundle(bundle);
          read = this.#bundleVersion;
          this.writes++;
          return true;
        }, false),
    };
  }
}

/** How a cluster stands, for a message when a property fails. */
export function describe({ replicas, secret, bundle, events }: SimulatedCluster): string {
  const short = (pem: string): string =>
    certificatesIn(pem)
      .map((one) => fingerprintOf(one).slice(0, 8))
      .join(' ');
  return [
    ...events.slice(-25),
    ...replicas.map(
      ({ name, ready, served, problem }) =>
        `${name} ${ready ? 'ready' : 'not ready'} serves ${short(served?.cert ?? '')} ${problem() ?? ''}`,
    ),
    `ca.crt ${short(secret?.files['ca.crt'] ?? '')}, tls.crt ${short(secret?.files['tls.crt'] ?? '')}, caBundle ${short(bundle)}`,
  ].join('\n');
}
