/** The fake Falco (fake-falco.ts) as a program, as FALCO_BINARY names one. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rulesFolder } from './temporary-tree.ts';

/** `without`: an argument that it does not get. */
export function fakeFalco(without = ''): string {
  const program = join(rulesFolder(), 'falco');
  const source = new URL('fake-falco.ts', import.meta.url).pathname;
  const lines = [
    '#!/bin/bash',
    `for arg; do [ "$arg" = "${without}" ] || args+=("$arg"); done`,
    `exec ${process.execPath} ${source} "\${args[@]}"`,
  ];
  writeFileSync(program, `${lines.join('\n')}\n`, { mode: 0o755 });
  return program;
}
