import { messageOf } from '../reasons/message-of.ts';
import type { ReplicaList, StoredCertificates } from './store.ts';

/** Whether all replicas that the API server may call serve the stored certificate, and since when. */
export interface Agreement {
  /**
   * Asks which replicas are ready.
   *
   * @param certificate fingerprint of the stored one
   * @returns milliseconds for which this replica has seen all serve it; undefined: they do not, or it is not known
   */
  ask(stored: StoredCertificates, certificate: string): Promise<number | undefined>;
  /** Nothing depends on it now: the next time counts from then. */
  forget(): void;
  /** What replicas said, without those that are gone, where that is known. */
  withoutGone(serving: StoredCertificates['serving']): Promise<StoredCertificates['serving']>;
  /** Why the list of replicas could not be had, since this was asked last. */
  takeProblem(): string | undefined;
}

export function agreement(replicas: ReplicaList, replica: string, elapsed: () => number): Agreement {
  let since: { readonly certificate: string; readonly begin: number } | undefined;
  let problem: string | undefined;

  const ready = async (): Promise<readonly string[] | undefined> => {
    try {
      return await replicas.ready();
    } catch (error) {
      problem = `cannot list the ready replicas: ${messageOf(error)}`;
      return undefined;
    }
  };
  return {
    ask: async ({ serving }, certificate) => {
      const list = await ready();
      // A list without this replica is late, or not of our Service: nothing follows from it.
      const agreed = list?.includes(replica) && list.every((one) => serving[one] === certificate);
      if (!agreed) since = undefined;
      else if (since?.certificate !== certificate) since = { certificate, begin: elapsed() };
      return since === undefined ? undefined : elapsed() - since.begin;
    },
    forget: () => {
      since = undefined;
    },
    withoutGone: async (serving) => {
      const list = await ready();
      if (list === undefined) return serving;
      return Object.fromEntries(
        Object.entries(serving).filter(([name]) => name === replica || list.includes(name)),
      );
    },
    takeProblem: () => {
      const taken = problem;
      problem = undefined;
      return taken;
    },
  };
}
