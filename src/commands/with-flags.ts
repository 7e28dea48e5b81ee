import { messageOf } from '../reasons/message-of.ts';
import { type CommandIo, couldNot, done, wrongUse } from './command.ts';
import { wrongFlags } from './unknown.ts';

interface Frame<F> {
  readonly name: string;
  readonly help: string;
  /** What follows the command's name. */
  readonly argv: readonly string[];
  /** Throws an error that names the flag on wrong use. */
  readonly readFlags: () => F;
  readonly run: (flags: F) => Promise<number>;
}

/**
 * What commands have in common: help, wrong use, and errors as a line instead of a stack.
 *
 * @returns the exit status
 */
export async function withFlags<F>(
  { name, help, argv, readFlags, run }: Frame<F>,
  io: CommandIo,
): Promise<number> {
  const tell = (error: unknown): void => {
    io.stderr.write(`falco-federation ${name}: ${messageOf(error)}\n`);
  };
  if (argv.includes('--help')) {
    io.stdout.write(help);
    return done;
  }
  let flags: F;
  try {
    flags = readFlags();
  } catch (error) {
    tell(`${wrongFlags(error, help)}\nSee falco-federation ${name} --help.`);
    return wrongUse;
  }
  try {
    return await run(flags);
  } catch (error) {
    tell(error);
    return couldNot;
  }
}
