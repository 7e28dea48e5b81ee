#!/usr/bin/env node
import { runProgram } from './commands/program.ts';

// Who reads what is printed may have had enough, as `head` has.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  throw error;
});

process.exitCode = await runProgram(process.argv.slice(2), process);
