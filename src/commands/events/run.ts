/** What `forward` and `receive` have in common: their files, which are followed, their three ports, and how they end. */
import type { Logger } from 'pino';
import { type Credentials, type CredentialsResult, followCredentials } from '../../events/credentials.ts';
import { drain } from '../../server/drain.ts';
import { buildHealth, type Condition } from '../../server/health.ts';
import { listenOnAll, portOf } from '../../server/listen.ts';
import { buildMetricsServer } from '../../server/metrics.ts';
import type { Pages, PlainServer } from '../../server/plain-server.ts';
import type { Settings } from '../../settings/schema.ts';
import { done, stopSignal } from '../command.ts';
import { anyAddress } from '../flag-values.ts';
import { followSettings, lookEvery, settingsCheck } from '../followed-settings.ts';
import type { EventFlags } from './flags.ts';

export interface EventProgram {
  /** As its first line of the log and of /readyz is called. */
  readonly name: 'forwarding' | 'receiving';
  /** Where events go, for the log. */
  readonly to: Readonly<Record<string, unknown>>;
  readonly server: PlainServer;
  readonly metrics: Parameters<typeof buildMetricsServer>[0];
  readonly pages: { readonly health: Pages; readonly metrics: Pages };
  readonly checks: () => Readonly<Record<string, Condition>>;
  readonly settingsChanged: () => void;
  /** Goes by these from now on. @returns what is missing in them: then by the former */
  readonly useCredentials: (credentials: Credentials) => string | undefined;
  /** Whether it is of use without any. */
  readonly needsCredentials: boolean;
  /** Milliseconds behind the delay in which senders must have gone; absent: what is left of the grace period. */
  readonly lastEvents?: number;
  /** Everything listens. */
  readonly start: () => void;
  /** No more events come. @param until as performance.now(). @returns what there is to tell */
  readonly stop: (until: number) => Promise<object>;
}

/** What a program is made of. */
export interface Given {
  readonly settings: () => Settings;
  readonly settingsValid: () => boolean;
  readonly isDraining: () => boolean;
}

export async function runEvents(
  flags: EventFlags,
  first: Settings,
  logger: Logger,
  make: (given: Given) => EventProgram,
): Promise<number> {
  const stopped = stopSignal();
  let draining = false;
  const settings = followSettings(flags.settings, first, logger, () => program.settingsChanged());
  const program = make({
    settings: settings.current,
    settingsValid: () => settings.problems().length === 0,
    isDraining: () => draining,
  });
  let credentials: Condition = program.needsCredentials
    ? { ready: false, detail: 'not read yet' }
    : { ready: true, detail: 'ok' };
  const credentialsRead = (result: CredentialsResult): void => {
    const problem = result.ok ? program.useCredentials(result.credentials) : result.why;
    if (problem !== undefined || !result.ok) {
      credentials = { ...credentials, detail: `refused, the last good ones stay: ${problem}` };
      logger.error({ problem }, 'credentials refused; the last good ones stay');
      return;
    }
    credentials = { ready: true, detail: 'ok' };
    const { ca, client, headers } = result.credentials;
    logger.info(
      {
        ...{ authority: ca !== undefined, clientCertificate: client !== undefined },
        ...{ notAfter: client?.notAfter, headers: Object.keys(headers) },
      },
      'credentials read',
    );
  };
  const stopCredentials =
    flags.credentials === undefined
      ? () => {}
      : await followCredentials(flags.credentials, lookEvery, credentialsRead);
  try {
    const host = flags.host ?? anyAddress();
    const events = { server: program.server, host, port: flags.port, flag: '--port' };
    const readiness = () => ({
      [program.name]: { ready: !draining, detail: draining ? 'draining' : 'ok' },
      ...program.checks(),
      credentials,
      settings: settingsCheck(flags.settings, settings),
    });
    const health = {
      server: buildHealth(readiness, program.pages.health),
      ...{ host, port: flags.healthPort, flag: '--health-port' },
    };
    const metrics = {
      server: buildMetricsServer(program.metrics, program.pages.metrics),
      ...{ host, port: flags.metricsPort, flag: '--metrics-port' },
    };
    await listenOnAll([events, health, metrics]);
    program.start();
    const ports = { port: portOf(events), healthPort: portOf(health), metricsPort: portOf(metrics) };
    logger.info({ cluster: first.cluster, ...program.to, ...ports }, program.name);
    const signal = await stopped;
    draining = true;
    logger.info({ signal }, 'draining');
    const end = performance.now() + flags.drain.grace;
    // Events come in until nobody sends them here any more.
    const delay = signal === 'SIGINT' ? 0 : flags.drain.delay;
    const { lastEvents = Math.max(0, flags.drain.grace - delay) } = program;
    await drain(events.server, { delay, grace: delay + lastEvents });
    const left = await program.stop(end);
    await Promise.all([health.server.close(), metrics.server.close()]);
    logger.info(left, 'stopped');
    return done;
  } catch (error) {
    await program.stop(0);
    throw error;
  } finally {
    settings.stop();
    stopCredentials();
  }
}
