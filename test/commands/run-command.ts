/** A command as `falco-federation …` runs it, without a process of its own. */
import { Readable } from 'node:stream';
import { runProgram } from '../../src/commands/program.ts';

interface Given {
  readonly input?: string | Buffer;
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * @param args with the command's name: `['inject', '--settings', file]`
 * @returns `bytes`: standard output as it was written, for what is not UTF-8
 */
export async function runCommand(args: readonly string[], { input = '', env = {} }: Given = {}) {
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  const into = (chunks: Buffer[]) => ({
    write: (text: string, encoding: 'utf8' | 'latin1' = 'utf8') => chunks.push(Buffer.from(text, encoding)),
  });
  const status = await runProgram(args, {
    stdin: Readable.from([Buffer.from(input)]),
    stdout: into(out),
    stderr: into(err),
    env,
  });
  const bytes = Buffer.concat(out);
  return { status, bytes, stdout: bytes.toString(), stderr: Buffer.concat(err).toString() };
}
