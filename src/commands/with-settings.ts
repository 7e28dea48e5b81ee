import { messageOf } from '../reasons/message-of.ts';
import { describeProblem, loadSettings } from '../settings/load.ts';
import type { Settings } from '../settings/schema.ts';
import { type CommandIo, couldNot, done, wrongUse } from './command.ts';

interface Frame<F> {
  readonly name: string;
  readonly help: string;
  /** Throws an error that names the flag on wrong use. */
  readonly readFlags: () => F;
  /** What needs no settings: an exit status where that was all. */
  readonly withoutSettings?: (flags: F) => number | undefined;
  readonly run: (flags: F, settings: Settings) => Promise<number>;
}

/**
 * What commands with a settings file have in common: help, wrong use, settings that are refused, and errors as a
 * line instead of a stack.
 *
 * @returns the exit status
 */
export async function withSettings<F extends { readonly help: boolean; readonly settings: string }>(
  { name, help, readFlags, withoutSettings, run }: Frame<F>,
  io: CommandIo,
): Promise<number> {
  const tell = (error: unknown): void => {
    const message = messageOf(error);
    io.stderr.write(`falco-federation ${name}: ${message}\n`);
  };
  let flags: F;
  try {
    flags = readFlags();
  } catch (error) {
    tell(error);
    return wrongUse;
  }
  if (flags.help) {
    io.stdout.write(help);
    return done;
  }
  const status = withoutSettings?.(flags);
  if (status !== undefined) return status;
  const loaded = await loadSettings(flags.settings);
  if (!loaded.ok) {
    for (const problem of loaded.problems) io.stderr.write(`${describeProblem(flags.settings, problem)}\n`);
    return couldNot;
  }
  try {
    return await run(flags, loaded.settings);
  } catch (error) {
    tell(error);
    return couldNot;
  }
}
