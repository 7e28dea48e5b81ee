import { isUtf8 } from 'node:buffer';
import { canHoldFalco } from './can-hold-falco.ts';
import { injectStream, type StreamInjection, type StreamOptions } from './inject-stream.ts';

export interface BytesInjection extends StreamInjection {
  /** How the output becomes bytes. */
  readonly encoding: 'utf8' | 'latin1';
}

/**
 * As `injectStream`, for what comes from a file or pipe: what is not UTF-8 is passed on byte for byte. UTF-16, as
 * Windows PowerShell writes files, has a zero beside each letter.
 */
export function injectBytes(input: Buffer, options: StreamOptions): BytesInjection {
  if (isUtf8(input) && !input.includes(0))
    return { ...injectStream(input.toString('utf8'), options), encoding: 'utf8' };
  const output = input.toString('latin1');
  return {
    output,
    encoding: 'latin1',
    reports: [],
    problems: ['it is not UTF-8'],
    failed: canHoldFalco(output.replaceAll('\0', '')),
  };
}
