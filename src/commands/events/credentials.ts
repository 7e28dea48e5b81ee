/** Credentials that `forward` and `receive` follow: told in the log, and in readiness. */
import type { Logger } from 'pino';
import { type Credentials, type CredentialsResult, followCredentials } from '../../events/credentials.ts';
import type { Condition } from '../../server/health.ts';
import { lookEvery } from '../followed-settings.ts';

export interface CredentialsUser {
  /** Goes by these from now on. @returns what is missing in them: then by the former */
  readonly use: (credentials: Credentials) => string | undefined;
  /** Whether it is of use without any. */
  readonly areNeeded: boolean;
}

export interface FollowedCredentials {
  readonly check: () => Condition;
  readonly stop: () => void;
}

/** @param folder undefined: there are none */
export async function followedCredentials(
  folder: string | undefined,
  { use, areNeeded }: CredentialsUser,
  logger: Logger,
): Promise<FollowedCredentials> {
  let state: Condition = areNeeded ? { ready: false, detail: 'not read yet' } : { ready: true, detail: 'ok' };
  const read = (result: CredentialsResult): void => {
    const problem = result.ok ? use(result.credentials) : result.why;
    if (problem !== undefined || !result.ok) {
      state = { ...state, detail: `refused, the last good ones stay: ${problem}` };
      logger.error({ problem }, 'credentials refused; the last good ones stay');
      return;
    }
    state = { ready: true, detail: 'ok' };
    const { ca, client, headers } = result.credentials;
    logger.info(
      {
        ...{ authority: ca !== undefined, clientCertificate: client !== undefined },
        ...{ notAfter: client?.notAfter, headers: Object.keys(headers) },
      },
      'credentials read',
    );
  };
  const stop = folder === undefined ? () => {} : await followCredentials(folder, lookEvery, read);
  return { check: () => state, stop };
}
