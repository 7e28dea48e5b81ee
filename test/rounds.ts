/** LONG=1: many rounds of random input in place of a few fixed ones. */
export const isLong = process.env.LONG === '1';

const seed = Number(process.env.SEED ?? (isLong ? Date.now() : 20_261_130));

if (isLong) process.stderr.write(`${process.argv[1]}: SEED=${seed}\n`);

/** How often, of what a test does by default. */
const times = Number(process.env.TIMES ?? (isLong ? 100 : 1));

/** How a property is tried: `few` times with the same seed each time, or many times as often with another one. */
export function rounds(few: number): { readonly numRuns: number; readonly seed: number } {
  return { numRuns: few * times, seed };
}
