/** A Lease as it was read. */
export interface StoredLease {
  /** '' where nobody holds it. */
  readonly holder: string;
  /** Changes with every writing. */
  readonly version: string;
  /** What its holder has to remember, and to leave to the next. */
  readonly record: string;
}

/** An answer with the API server's time, milliseconds. */
export interface LeaseAnswer<T> {
  readonly lease: T;
  readonly at: number;
}

/** A Lease that several replicas write, each over what it has read. */
export interface LeaseStore {
  readonly read: () => Promise<LeaseAnswer<StoredLease | undefined>>;
  /** @returns `undefined`: it has changed since it was read, or went away, or is there already */
  readonly write: (
    next: { readonly holder: string; readonly record: string },
    over: StoredLease | undefined,
  ) => Promise<LeaseAnswer<StoredLease> | undefined>;
}

/** After so many seconds without a sign its holder has lost it. */
export const leaseSeconds = 30;

/**
 * Whether a Lease may be taken, as far as one who looks at it now and then can tell. No clocks are compared (FACTS 5:
 * a lock that never frees): its holder has lost it when nothing was written for so long by the clock of who looks.
 */
export function leaseWatch(me: string): (lease: StoredLease | undefined, now: number) => boolean {
  let seen: { readonly version: string; readonly since: number } | undefined;
  return (lease, now) => {
    if (lease === undefined || lease.holder === '' || lease.holder === me) return true;
    if (seen?.version !== lease.version) seen = { version: lease.version, since: now };
    return now - seen.since > leaseSeconds * 1_000;
  };
}
