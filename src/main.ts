#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8';
import { runProgram } from './commands/program.ts';

const argv = process.argv.slice(2);

// It is done before code that was optimized further would pay, and the optimizer takes 7 MB.
if (argv[0] === 'tag-rules') setFlagsFromString('--no-opt');

// Who reads what is printed may have had enough, as `head` has.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  throw error;
});

process.exitCode = await runProgram(argv, process);
