/** What `serve`, `forward` and `receive` have in common: their files, which are followed, their three ports, and how they end. */
import type { Logger } from 'pino';
import { drain } from '../server/drain.ts';
import { buildHealth, type Condition } from '../server/health.ts';
import { listenOnAll, portOf } from '../server/listen.ts';
import { buildMetricsServer } from '../server/metrics.ts';
import type { AnyServer, Pages } from '../server/plain-server.ts';
import type { Settings } from '../settings/schema.ts';
import { done, stopSignal } from './command.ts';
import { type CredentialsUser, type FollowedCredentials, followedCredentials } from './events/credentials.ts';
import { anyAddress, type serverFlags } from './flag-values.ts';
import { followSettings, settingsCheck } from './followed-settings.ts';

export interface ServerProgram {
  /** As its first line of the log and of /readyz is called. */
  readonly name: 'serving' | 'forwarding' | 'receiving';
  /** What else is told in the log. */
  readonly about: Readonly<Record<string, unknown>>;
  readonly server: AnyServer;
  readonly metrics: Parameters<typeof buildMetricsServer>[0];
  /** Besides those that all have. */
  readonly pages?: { readonly health?: Pages; readonly metrics?: Pages };
  readonly checks: () => Readonly<Record<string, Condition>>;
  readonly settingsChanged?: () => void;
  readonly credentials?: CredentialsUser;
  /** Milliseconds behind the delay in which senders must have gone; absent: what is left of the grace period. */
  readonly lastCalls?: number;
  /** Everything listens. */
  readonly start: (port: number) => void;
  /** Nobody calls any more. @param until as performance.now(). @returns what there is to tell */
  readonly stop: (until: number) => Promise<object>;
}

/** What a program is made of. */
export interface Given {
  /** Those in force. */
  readonly settings: () => Settings;
  /** Whether their file is good as it is now. */
  readonly settingsValid: () => boolean;
  readonly isDraining: () => boolean;
}

interface Flags extends ReturnType<typeof serverFlags> {
  readonly settings: string;
  readonly host: string | undefined;
  /** A folder. */
  readonly credentials?: string | undefined;
}

/** At a keyboard nobody's calls are on their way. */
const atKeyboard = { delay: 0, grace: 2_000 };

/** Runs until a signal. @returns the exit status */
export async function runServer(
  flags: Flags,
  first: Settings,
  logger: Logger,
  make: (given: Given) => ServerProgram | Promise<ServerProgram>,
): Promise<number> {
  const stopped = stopSignal();
  let draining = false;
  let program: ServerProgram | undefined;
  const settings = followSettings(flags.settings, first, logger, () => program?.settingsChanged?.());
  let credentials: FollowedCredentials | undefined;
  try {
    const made = await make({
      settings: settings.current,
      settingsValid: () => settings.problems().length === 0,
      isDraining: () => draining,
    });
    program = made;
    const { name, pages = {} } = made;
    if (made.credentials !== undefined)
      credentials = await followedCredentials(flags.credentials, made.credentials, logger);
    const host = flags.host ?? anyAddress();
    const readiness = () => ({
      [name]: { ready: !draining, detail: draining ? 'draining' : 'ok' },
      settings: settingsCheck(flags.settings, settings),
      ...made.checks(),
      ...(credentials === undefined ? {} : { credentials: credentials.check() }),
    });
    const calls = { server: made.server, host, port: flags.port, flag: '--port' };
    const health = {
      server: buildHealth(readiness, pages.health),
      ...{ host, port: flags.healthPort, flag: '--health-port' },
    };
    const metrics = {
      server: buildMetricsServer(made.metrics, pages.metrics),
      ...{ host, port: flags.metricsPort, flag: '--metrics-port' },
    };
    await listenOnAll([calls, health, metrics]);
    const ports = { port: portOf(calls), healthPort: portOf(health), metricsPort: portOf(metrics) };
    logger.info({ cluster: first.cluster, ...made.about, ...ports }, name);
    made.start(ports.port);
    const signal = await stopped;
    draining = true;
    logger.info({ signal }, 'draining');
    const { delay, grace } = flags.drain;
    const end = performance.now() + grace;
    // Calls come in until nobody sends them here any more.
    const { lastCalls = Math.max(0, grace - delay) } = made;
    await drain(made.server, signal === 'SIGINT' ? atKeyboard : { delay, grace: delay + lastCalls });
    const left = await made.stop(end);
    await Promise.all([health.server.close(), metrics.server.close()]);
    logger.info(left, 'stopped');
    return done;
  } catch (error) {
    // What goes on watching would keep the process alive.
    await program?.stop(0);
    throw error;
  } finally {
    settings.stop();
    credentials?.stop();
  }
}
