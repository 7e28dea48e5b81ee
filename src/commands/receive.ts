import { setFlagsFromString } from 'node:v8';
import { type Logger, pino } from 'pino';
import { followCredentials } from '../events/credentials.ts';
import { version } from '../federation/names.ts';
import { Receiver } from '../receiving/receiver.ts';
import { drain } from '../server/drain.ts';
import { buildHealth } from '../server/health.ts';
import { listenOnAll, portOf } from '../server/listen.ts';
import { buildMetricsServer } from '../server/metrics.ts';
import type { Settings } from '../settings/schema.ts';
import { type CommandIo, couldNot, done, stopSignal } from './command.ts';
import { anyAddress } from './flag-values.ts';
import { followSettings, lookEvery, settingsCheck } from './followed-settings.ts';
import { limitHeapGrowth } from './heap-growth.ts';
import { help, type ReceiveFlags, readFlags } from './receive/flags.ts';
import { withSettings } from './with-settings.ts';

async function run(flags: ReceiveFlags, first: Settings, io: CommandIo, logger: Logger): Promise<number> {
  if (first.receiver === undefined) {
    io.stderr.write(
      `falco-federation receive: ${flags.settings} has no section "receiver": set role: hub and receiver.falcosidekick\n`,
    );
    return couldNot;
  }
  limitHeapGrowth(20);
  setFlagsFromString('--optimize-for-size');
  const stopped = stopSignal();
  let draining = false;
  const settings = followSettings(flags.settings, first, logger, () => receiver.settingsChanged());
  const receiver = new Receiver({
    logger,
    settings: settings.current,
    settingsValid: () => settings.problems().length === 0,
  });
  const stopCredentials = await followCredentials(flags.credentials, lookEvery, (result) =>
    receiver.credentialsRead(result),
  );
  try {
    const host = flags.host ?? anyAddress();
    const { port, healthPort, metricsPort } = flags;
    const events = { server: receiver.serve(() => draining), host, port, flag: '--port' };
    const health = {
      server: buildHealth(() => ({
        receiving: { ready: !draining, detail: draining ? 'draining' : 'ok' },
        ...receiver.checks(),
        settings: settingsCheck(flags.settings, settings),
      })),
      ...{ host, port: healthPort, flag: '--health-port' },
    };
    const metrics = {
      server: buildMetricsServer(receiver.metrics, {
        '/fleet': () => ({
          ...{ status: 200, type: 'application/json' },
          text: `${JSON.stringify({ spokes: receiver.fleet.heard() })}\n`,
        }),
      }),
      ...{ host, port: metricsPort, flag: '--metrics-port' },
    };
    await listenOnAll([events, health, metrics]);
    logger.info(
      {
        cluster: first.cluster,
        falcosidekick: first.receiver.falcosidekick,
        port: portOf(events),
        healthPort: portOf(health),
        metricsPort: portOf(metrics),
      },
      'receiving',
    );
    const signal = await stopped;
    draining = true;
    logger.info({ signal }, 'draining');
    const delay = signal === 'SIGINT' ? 0 : flags.drain.delay;
    await drain(events.server, { delay, grace: Math.max(delay, flags.drain.grace) });
    await Promise.all([health.server.close(), metrics.server.close()]);
    logger.info('stopped');
    return done;
  } finally {
    receiver.stop();
    settings.stop();
    stopCredentials();
  }
}

/** `falco-federation receive`: see its help. Runs until a signal. */
export function receive(argv: readonly string[], io: CommandIo): Promise<number> {
  return withSettings(
    {
      name: 'receive',
      help,
      readFlags: () => readFlags(argv),
      run: (flags, settings) => run(flags, settings, io, pino({ level: flags.logLevel, base: { version } })),
    },
    io,
  );
}
