import { pauseAfter } from '../background/pause-after.ts';
import { type CertificateState, certificateLooks, type Keeping } from './look.ts';

export type { CertificateEvent, CertificateState, Keeping } from './look.ts';

export interface KeptCertificates {
  /** Something may have changed: looks soon. Many calls at once are one look. */
  look(): void;
  state(): CertificateState;
  stop(): void;
}

/** Milliseconds between a call of look and the look, and between two looks at the least. */
const gather = 50;

/** Around `ms`, so that replicas do not come all at once. */
function jittered(ms: number): number {
  return ms * (0.8 + 0.4 * Math.random());
}

/**
 * Keeps this replica's serving certificate and the caBundle up to date, with the other replicas, until stopped.
 * Whatever fails is tried again; what was served goes on being served.
 *
 * @param every milliseconds between two looks where nothing calls for one: watches tell of changes, and may miss some
 */
export function keepCertificates({
  every = 5 * 60_000,
  ...keeping
}: Keeping & { readonly every?: number }): KeptCertificates {
  let stopped = false;
  const { look, state } = certificateLooks({
    ...keeping,
    onPair: (pair) => stopped || keeping.onPair(pair),
    tell: (event) => stopped || keeping.tell(event),
  });
  let looking = false;
  let calledFor = false;
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;

  function lookIn(ms: number): void {
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(run, Math.max(gather, ms));
  }
  async function run(): Promise<void> {
    looking = true;
    calledFor = false;
    const { next, failed, asked } = await look();
    looking = false;
    failures = failed ? failures + 1 : 0;
    const pause = failed ? Math.max(pauseAfter(failures - 1), asked) : jittered(every);
    // Set while the look ran, which may have read before the change.
    lookIn(calledFor ? gather : Math.min(pause, next));
  }
  run();
  return {
    look: () => {
      calledFor = true;
      if (!looking) lookIn(gather);
    },
    state,
    stop: () => {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
