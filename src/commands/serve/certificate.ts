import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from 'pino';
import { type CertificateFiles, type KeyPair, loadKeyPair, watchKeyPair } from '../../certificates/files.ts';
import { keepCertificates } from '../../certificates/keep.ts';
import { makeServingCertificate } from '../../certificates/self-signed.ts';
import { type ClusterConnection, certificateStore, onChange, trustPublisher } from '../../cluster/index.ts';
import type { Condition } from '../../server/health.ts';
import { lookEvery } from '../followed-settings.ts';
import type { CertificateFlags, SharedCertificateFlags } from './flags.ts';

/** The serving certificate, wherever it comes from. */
export interface ServingCertificate {
  /** The one to serve now; undefined: there is none yet, and whoever calls is refused by TLS. */
  readonly pair: () => KeyPair | undefined;
  readonly check: () => Condition;
  /**
   * Begins to keep it up to date.
   *
   * @param swap called with each new pair
   * @returns what stops it
   */
  readonly follow: (swap: (pair: KeyPair) => void) => () => void;
}

export const localCaFile = path.join('certs', 'local-ca.crt');

function lifeCheck({ notAfter }: KeyPair, remedy: string): Condition {
  const until = notAfter.toISOString();
  return notAfter.getTime() > Date.now()
    ? { ready: true, detail: `ok, until ${until}` }
    : { ready: false, detail: `expired at ${until}; ${remedy}` };
}

/** For `--local`: its authority is written to {@link localCaFile}, for clients on this machine. */
async function fromTheSpot(): Promise<ServingCertificate> {
  const names = ['localhost', '127.0.0.1', '::1'];
  const { ca, certificate, key, notAfter } = await makeServingCertificate(names, 30 * 86_400_000);
  const pair = { cert: certificate, key, notAfter };
  await mkdir(path.dirname(localCaFile), { recursive: true });
  await writeFile(localCaFile, ca);
  return { pair: () => pair, check: () => lifeCheck(pair, 'start again'), follow: () => () => {} };
}

async function fromFiles(files: CertificateFiles, logger: Logger): Promise<ServingCertificate> {
  const loaded = await loadKeyPair(files);
  if (!loaded.ok) throw new Error(`--tls-cert ${files.cert}, --tls-key ${files.key}: ${loaded.why}`);
  let pair = loaded.pair;
  let refused = '';
  return {
    pair: () => pair,
    check: () => {
      const { ready, detail } = lifeCheck(pair, 'renew the files of --tls-cert and --tls-key');
      return {
        ready,
        detail: refused === '' ? detail : `${detail}; the files were changed and cannot be used: ${refused}`,
      };
    },
    follow: (swap) =>
      watchKeyPair(files, pair, lookEvery, (result) => {
        refused = result.ok ? '' : result.why;
        if (!result.ok) {
          logger.error({ why: result.why }, 'new certificate refused; the last good one stays in use');
          return;
        }
        pair = result.pair;
        swap(pair);
        logger.info({ notAfter: pair.notAfter }, 'certificate reread');
      }),
  };
}

/** From the Secret that the replicas share. The server starts before it can be read, and is not ready. */
function fromSecret(
  flags: SharedCertificateFlags,
  connection: ClusterConnection | undefined,
  logger: Logger,
): ServingCertificate {
  if (connection === undefined) {
    throw new Error(
      '--tls-secret needs a cluster: run in a pod with a service account, or give --kubeconfig',
    );
  }
  const { namespace, secret, webhookConfiguration, names, lifetime } = flags;
  let keeper: ReturnType<typeof keepCertificates> | undefined;
  let wasPublished = false;
  return {
    pair: () => keeper?.state().pair,
    check: () => {
      const { pair, published, problem } = keeper?.state() ?? { pair: undefined, published: false };
      wasPublished ||= published;
      const why = problem === undefined ? '' : `: ${problem}`;
      if (pair === undefined)
        return { ready: false, detail: `not loaded from Secret ${namespace}/${secret} yet${why}` };
      // Once is enough: a caBundle that someone empties is no reason to take this replica's calls away.
      if (!wasPublished) return { ready: false, detail: `caBundle not published yet${why}` };
      const { ready, detail } = lifeCheck(
        pair,
        `the log says why Secret ${namespace}/${secret} was not renewed`,
      );
      return { ready, detail: `${detail}${why}` };
    },
    follow: (swap) => {
      const kept = keepCertificates({
        store: certificateStore(connection, namespace, secret),
        trust: trustPublisher(connection, webhookConfiguration),
        names,
        lifetime,
        onPair: swap,
        tell: ({ kind, detail }) =>
          logger[kind === 'problem' ? 'warn' : 'info']({ kind, detail }, 'serving certificate'),
      });
      keeper = kept;
      const stopWatching = onChange(connection, { namespace, secret, webhookConfiguration }, () =>
        kept.look(),
      );
      return () => {
        stopWatching();
        kept.stop();
      };
    },
  };
}

/** @throws Error that names the flag where there is no certificate to begin with */
export async function servingCertificate(
  flags: CertificateFlags,
  connection: ClusterConnection | undefined,
  logger: Logger,
): Promise<ServingCertificate> {
  switch (flags.from) {
    case 'files':
      return await fromFiles(flags.files, logger);
    case 'secret':
      return fromSecret(flags.shared, connection, logger);
    case 'spot':
      return await fromTheSpot();
  }
}
