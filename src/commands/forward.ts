import { createServer } from 'node:http';
import { setFlagsFromString } from 'node:v8';
import { type Logger, pino } from 'pino';
import { followCredentials } from '../events/credentials.ts';
import { eventServer } from '../events/event-server.ts';
import { version } from '../federation/names.ts';
import { Forwarder } from '../forwarding/forwarder.ts';
import { rejectedEvents } from '../forwarding/spool.ts';
import { testPage } from '../forwarding/test-page.ts';
import { drain } from '../server/drain.ts';
import { buildHealth } from '../server/health.ts';
import { listenOnAll, portOf } from '../server/listen.ts';
import { buildMetricsServer } from '../server/metrics.ts';
import type { Settings } from '../settings/schema.ts';
import { type CommandIo, couldNot, done, stopSignal } from './command.ts';
import { anyAddress } from './flag-values.ts';
import { followSettings, lookEvery, settingsCheck } from './followed-settings.ts';
import { type ForwardFlags, help, readFlags } from './forward/flags.ts';
import { limitHeapGrowth } from './heap-growth.ts';
import { withSettings } from './with-settings.ts';

/** The servers of a forwarder. @throws Error that names the flag where a port is not to be had */
async function listen(
  flags: ForwardFlags,
  forwarder: Forwarder,
  readiness: Parameters<typeof buildHealth>[0],
  lowest: () => string,
  isDraining: () => boolean,
) {
  const host = flags.host ?? anyAddress();
  const pages = {
    'POST /test': testPage((batch) => forwarder.receiving().take(batch), lowest, flags.replica),
  };
  const listeners = {
    events: {
      server: eventServer({ create: createServer, ...forwarder.receiving(), isDraining }),
      ...{ host, port: flags.port, flag: '--port' },
    },
    health: { server: buildHealth(readiness, pages), host, port: flags.healthPort, flag: '--health-port' },
    metrics: {
      server: buildMetricsServer(forwarder.metrics),
      ...{ host, port: flags.metricsPort, flag: '--metrics-port' },
    },
  };
  await listenOnAll(Object.values(listeners));
  return listeners;
}

/** With small code: a third less memory under load for a sixth more of processor time (docs/performance.md). */
function saveMemory(): void {
  limitHeapGrowth(20);
  setFlagsFromString('--optimize-for-size');
}

async function run(flags: ForwardFlags, first: Settings, io: CommandIo, logger: Logger): Promise<number> {
  saveMemory();
  const stopped = stopSignal();
  let draining = false;
  const settings = followSettings(flags.settings, first, logger, () => forwarder.settingsChanged());
  const forwarder = new Forwarder({
    spool: flags.spool,
    replica: flags.replica,
    env: io.env,
    logger,
    settings: settings.current,
    settingsValid: () => settings.problems().length === 0,
  });
  const stopCredentials =
    flags.credentials === undefined
      ? () => {}
      : await followCredentials(flags.credentials, lookEvery, (result) => forwarder.credentialsRead(result));
  const stopWatching = (): void => {
    settings.stop();
    stopCredentials();
  };
  try {
    const { events, health, metrics } = await listen(
      flags,
      forwarder,
      () => ({
        forwarding: { ready: !draining, detail: draining ? 'draining' : 'ok' },
        ...forwarder.checks(),
        settings: settingsCheck(flags.settings, settings),
      }),
      () => settings.current().hub?.minimumPriority ?? 'debug',
      () => draining,
    );
    forwarder.start();
    logger.info(
      {
        cluster: first.cluster,
        hub: first.hub?.address,
        port: portOf(events),
        healthPort: portOf(health),
        metricsPort: portOf(metrics),
      },
      'forwarding',
    );
    const signal = await stopped;
    draining = true;
    logger.info({ signal }, 'draining');
    const end = performance.now() + flags.drain.grace;
    // Events come in until nobody sends them here any more, and each that was taken is kept.
    const delay = signal === 'SIGINT' ? 0 : flags.drain.delay;
    await drain(events.server, { delay, grace: delay + 2_000 });
    const waiting = await forwarder.stop(end);
    await Promise.all([health.server.close(), metrics.server.close()]);
    logger.info({ waiting }, 'stopped');
    return done;
  } catch (error) {
    await forwarder.stop(0);
    throw error;
  } finally {
    stopWatching();
  }
}

function listRejected(flags: ForwardFlags, io: CommandIo): number {
  try {
    for (const { at, status, text } of rejectedEvents(flags.spool)) {
      io.stdout.write(
        `${JSON.stringify({ at: new Date(at).toISOString(), status, event: JSON.parse(text) })}\n`,
      );
    }
    return done;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    io.stderr.write(`falco-federation forward: --spool ${flags.spool}: ${why}\n`);
    return couldNot;
  }
}

/** `falco-federation forward`: see its help. Runs until a signal. */
export function forward(argv: readonly string[], io: CommandIo): Promise<number> {
  return withSettings(
    {
      name: 'forward',
      help,
      readFlags: () => readFlags(argv, io.env),
      withoutSettings: (flags) => (flags.listRejected ? listRejected(flags, io) : undefined),
      run: (flags, settings) => run(flags, settings, io, pino({ level: flags.logLevel, base: { version } })),
    },
    io,
  );
}
