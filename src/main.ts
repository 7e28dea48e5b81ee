#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8';
import { runProgram } from './commands/program.ts';

const argv = process.argv.slice(2);

/** Of what is small and runs for long: a fifth less memory under load for a fifth more of processor time (docs/performance.md). */
const small = ['--no-opt', '--no-maglev', '--optimize-for-size', '--heap-growing-percent=20'];

/** Flags of V8 by command; V8 reads them whenever it decides, not only at the start. */
const flags = new Map([
  // It is done before code that was optimized further would pay, and the optimizer takes 7 MB.
  ['tag-rules', ['--no-opt']],
  // The heap would double before it is cleaned, and code that is optimized a second time is no faster here.
  ['serve', ['--heap-growing-percent=50', '--no-opt']],
  ['forward', small],
  ['receive', small],
]);
for (const flag of flags.get(argv[0] ?? '') ?? []) setFlagsFromString(flag);

// Who reads what is printed may have had enough, as `head` has.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  throw error;
});

process.exitCode = await runProgram(argv, process);
