/** Settings that a server follows: told in its log, and in its readiness. */
import type { Logger } from 'pino';
import type { Condition } from '../server/health.ts';
import { describeProblem } from '../settings/load.ts';
import { placeholders } from '../settings/placeholders.ts';
import { fingerprintOfSettings, type Settings } from '../settings/schema.ts';
import { type WatchedSettings, watchSettings } from '../settings/watch.ts';

/** Milliseconds between two looks at files: settings, certificates, credentials. */
export const lookEvery = 2_000;

/**
 * From when settings are followed on nothing but a signal ends a server: what a callback of a watch, a timer or a socket
 * throws is logged, and costs only what that callback was to do. Otherwise one file would end all replicas at once.
 */
export function keepRunning(logger: Pick<Logger, 'error'>): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) =>
      logger.error({ err: error }, 'internal error in the background; please report it'),
    );
  }
}

/** @param onReread called when other settings are in force */
export function followSettings(
  file: string,
  first: Settings,
  logger: Logger,
  onReread: () => void = () => {},
): WatchedSettings {
  const tellPlaceholders = (of: Settings): void => {
    for (const { key, value, why } of placeholders(of)) logger.warn({ [key]: value }, `${key} ${why}`);
  };
  keepRunning(logger);
  tellPlaceholders(first);
  const settings = watchSettings(file, first, lookEvery, (problems) => {
    const told = problems.map((problem) => describeProblem(file, problem));
    if (told.length > 0) {
      logger.error({ problems: told }, 'settings refused; the last good ones stay');
      return;
    }
    logger.info({ cluster: settings.current().cluster }, 'settings reread');
    tellPlaceholders(settings.current());
    onReread();
  });
  return settings;
}

/** Bad settings are no reason to stop serving: the last good ones are in force. Which, `check` compares. */
export function settingsCheck(file: string, settings: WatchedSettings): Condition {
  const told = settings.problems().map((problem) => describeProblem(file, problem));
  return {
    ready: true,
    detail:
      told.length === 0
        ? `ok, ${fingerprintOfSettings(settings.current())}`
        : `refused, the last good ones stay: ${told.join('; ')}`,
  };
}
