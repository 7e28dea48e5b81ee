import { type Logger, pino } from 'pino';
import { version } from '../federation/names.ts';
import { Receiver } from '../receiving/receiver.ts';
import type { Settings } from '../settings/schema.ts';
import { type CommandIo, couldNot } from './command.ts';
import type { EventFlags } from './events/flags.ts';
import { help, readFlags } from './receive/flags.ts';
import { runServer } from './run-server.ts';
import { withSettings } from './with-settings.ts';

async function run(flags: EventFlags, first: Settings, io: CommandIo, logger: Logger): Promise<number> {
  if (first.receiver === undefined) {
    io.stderr.write(
      `falco-federation receive: ${flags.settings} has no section "receiver": set role: hub and receiver.falcosidekick\n`,
    );
    return couldNot;
  }
  const { falcosidekick } = first.receiver;
  return await runServer(flags, first, logger, ({ settings, settingsValid, isDraining }) => {
    const receiver = new Receiver({ logger, settings, settingsValid });
    const fleet = () => ({
      ...{ status: 200, type: 'application/json' },
      text: `${JSON.stringify({ spokes: receiver.fleet.heard() })}\n`,
    });
    return {
      name: 'receiving',
      about: { falcosidekick },
      server: receiver.serve(isDraining),
      metrics: receiver.metrics,
      pages: { metrics: { '/fleet': fleet } },
      checks: () => receiver.checks(),
      settingsChanged: () => receiver.settingsChanged(),
      credentials: { use: (credentials) => receiver.useCredentials(credentials), areNeeded: true },
      start: () => {},
      stop: async () => {
        receiver.stop();
        return {};
      },
    };
  });
}

/** `falco-federation receive`: see its help. Runs until a signal. */
export function receive(argv: readonly string[], io: CommandIo): Promise<number> {
  return withSettings(
    {
      name: 'receive',
      help,
      argv,
      readFlags: () => readFlags(argv),
      run: (flags, settings) => run(flags, settings, io, pino({ level: flags.logLevel, base: { version } })),
    },
    io,
  );
}
