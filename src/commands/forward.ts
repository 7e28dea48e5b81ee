import { createServer } from 'node:http';
import { setFlagsFromString } from 'node:v8';
import { type Logger, pino } from 'pino';
import { followCredentials } from '../events/credentials.ts';
import { eventServer } from '../events/event-server.ts';
import { version } from '../federation/names.ts';
import { followPods } from '../forwarding/federated-pods.ts';
import { Forwarder } from '../forwarding/forwarder.ts';
import { forgetRejected, rejectedEvents } from '../forwarding/spool.ts';
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
  const followed = flags.webhookMetrics === undefined ? undefined : followPods(flags.webhookMetrics);
  const forwarder = new Forwarder({
    spool: flags.spool,
    replica: flags.replica,
    env: io.env,
    logger,
    settings: settings.current,
    settingsValid: () => settings.problems().length === 0,
    pods: () => followed?.pods(),
    // Kubernetes starts it again.
    onLost: () => process.exit(couldNot),
  });
  const stopCredentials =
    flags.credentials === undefined
      ? () => {}
      : await followCredentials(flags.credentials, lookEvery, (result) => forwarder.credentialsRead(result));
  const stopWatching = (): void => {
    settings.stop();
    followed?.stop();
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
    const left = await forwarder.stop(end);
    await Promise.all([health.server.close(), metrics.server.close()]);
    logger.info(left, 'stopped');
    return done;
  } catch (error) {
    await forwarder.stop(0);
    throw error;
  } finally {
    stopWatching();
  }
}

function listRejected(flags: ForwardFlags, io: CommandIo): number {
  for (const { at, reason, text } of rejectedEvents(flags.spool)) {
    const head = JSON.stringify({ at: new Date(at).toISOString(), reason }).slice(0, -1);
    // The very bytes: numbers may have more digits than ours.
    io.stdout.write(`${head},"event":${text}}\n`);
  }
  return done;
}

/** Posts what the hub has refused to the forwarder that runs here, which sends it again. */
async function sendRejected(flags: ForwardFlags, io: CommandIo): Promise<number> {
  const rejected = rejectedEvents(flags.spool);
  let sent = 0;
  for (const { id, text } of rejected) {
    const answer = await fetch(`http://${flags.host ?? 'localhost'}:${flags.port}/`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: text,
    });
    if (!answer.ok)
      throw new Error(`the forwarder answers ${answer.status}: ${(await answer.text()).trim()}`);
    forgetRejected(flags.spool, [id]);
    sent++;
  }
  io.stderr.write(`${sent} events are sent again\n`);
  return done;
}

function withoutSettings(flags: ForwardFlags, io: CommandIo): Promise<number> | number | undefined {
  if (flags.listRejected) return listRejected(flags, io);
  return flags.sendRejected ? sendRejected(flags, io) : undefined;
}

/** `falco-federation forward`: see its help. Runs until a signal. */
export function forward(argv: readonly string[], io: CommandIo): Promise<number> {
  return withSettings(
    {
      name: 'forward',
      help,
      readFlags: () => readFlags(argv, io.env),
      withoutSettings: (flags) => withoutSettings(flags, io),
      run: (flags, settings) => run(flags, settings, io, pino({ level: flags.logLevel, base: { version } })),
    },
    io,
  );
}
