import { describeProblem, loadSettings } from '../settings/load.ts';
import type { Settings } from '../settings/schema.ts';
import { type CommandIo, couldNot } from './command.ts';
import { withFlags } from './with-flags.ts';

interface Frame<F> {
  readonly name: string;
  readonly help: string;
  readonly argv: readonly string[];
  /** Throws an error that names the flag on wrong use. */
  readonly readFlags: () => F;
  /** What needs no settings: an exit status where that was all. */
  readonly withoutSettings?: (flags: F) => Promise<number> | number | undefined;
  readonly run: (flags: F, settings: Settings) => Promise<number>;
}

/**
 * What commands with a settings file have in common: what all have, and settings that are refused.
 *
 * @returns the exit status
 */
export function withSettings<F extends { readonly settings: string }>(
  { withoutSettings, run, ...frame }: Frame<F>,
  io: CommandIo,
): Promise<number> {
  const runWithSettings = async (flags: F): Promise<number> => {
    const status = await withoutSettings?.(flags);
    if (status !== undefined) return status;
    const loaded = await loadSettings(flags.settings);
    if (loaded.ok) return await run(flags, loaded.settings);
    for (const problem of loaded.problems) io.stderr.write(`${describeProblem(flags.settings, problem)}\n`);
    return couldNot;
  };
  return withFlags({ ...frame, run: runWithSettings }, io);
}
