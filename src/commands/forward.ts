import { createServer } from 'node:http';
import { type Logger, pino } from 'pino';
import { eventServer } from '../events/event-server.ts';
import { version } from '../federation/names.ts';
import { followPods } from '../forwarding/federated-pods.ts';
import { Forwarder } from '../forwarding/forwarder.ts';
import { forgetRejected, rejectedEvents } from '../forwarding/rejected-events.ts';
import { testPage } from '../forwarding/test-page.ts';
import type { Settings } from '../settings/schema.ts';
import { type CommandIo, couldNot, done } from './command.ts';
import { type ForwardFlags, help, readFlags } from './forward/flags.ts';
import { runServer } from './run-server.ts';
import { withSettings } from './with-settings.ts';

function run(flags: ForwardFlags, first: Settings, io: CommandIo, logger: Logger): Promise<number> {
  return runServer(flags, first, logger, ({ settings, settingsValid, isDraining }) => {
    const followed = flags.webhookMetrics === undefined ? undefined : followPods(flags.webhookMetrics);
    const forwarder = new Forwarder({
      ...{ spool: flags.spool, replica: flags.replica, env: io.env, logger, settings, settingsValid },
      pods: () => followed?.pods(),
      // Kubernetes starts it again.
      onLost: () => process.exit(couldNot),
    });
    const receiving = forwarder.receiving();
    const lowest = () => settings().hub?.minimumPriority ?? 'debug';
    return {
      name: 'forwarding',
      about: { hub: first.hub?.address },
      server: eventServer({ create: createServer, ...receiving, isDraining }),
      metrics: forwarder.metrics,
      pages: { health: { 'POST /test': testPage(receiving.take, lowest, flags.replica) } },
      checks: () => forwarder.checks(),
      settingsChanged: () => forwarder.settingsChanged(),
      credentials: { use: (credentials) => forwarder.useCredentials(credentials), areNeeded: false },
      // The rest of the time is for what waits.
      lastCalls: 2_000,
      start: () => forwarder.start(),
      stop: (until) => {
        followed?.stop();
        return forwarder.stop(until);
      },
    };
  });
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
      argv,
      readFlags: () => readFlags(argv, io.env),
      withoutSettings: (flags) => withoutSettings(flags, io),
      run: (flags, settings) => run(flags, settings, io, pino({ level: flags.logLevel, base: { version } })),
    },
    io,
  );
}
