import { setFlagsFromString } from 'node:v8';

/**
 * Lets the heap grow by so many hundredths at most before it is cleaned, where V8 would double it under load. V8 reads the
 * flag whenever it decides, not only at the start.
 */
export function limitHeapGrowth(percent: number): void {
  setFlagsFromString(`--heap-growing-percent=${percent}`);
}
