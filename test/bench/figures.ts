/** Figures and how they are told. */

/** The middle one; of an even number the upper of the two. */
export function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1] ?? Number.NaN;
}

/** The value below which that part of the sorted values lies. */
export function percentile(sorted: ArrayLike<number>, part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

export interface Target {
  readonly what: string;
  readonly limit: number;
  readonly unit: string;
  readonly is: number;
  /** Whether more is better. */
  readonly atLeast?: boolean;
}

export function isMet({ limit, is, atLeast }: Target): boolean {
  return atLeast === true ? is >= limit : is <= limit;
}

/** What a part of the benchmark has found. */
export interface Section {
  readonly name: string;
  /** The first row is the head. */
  readonly table: readonly (readonly string[])[];
  readonly targets: readonly Target[];
  /** What a reader must know, for example what was left out. */
  readonly notes: readonly string[];
  /** Everything measured, for the JSON file. */
  readonly data: unknown;
}

/** `1.234` with as many digits as are worth reading. */
export function shown(value: number): string {
  if (!Number.isFinite(value)) return '-';
  return Math.abs(value) >= 100 ? String(Math.round(value)) : value.toPrecision(3).replace(/\.0+$/, '');
}

export function print({ name, table, targets, notes }: Section): void {
  console.log(`\n## ${name}\n`);
  const widths = (table[0] ?? []).map((_, at) => Math.max(...table.map((row) => (row[at] ?? '').length)));
  for (const row of table)
    console.log(
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    );
  for (const target of targets) {
    const { what, limit, unit, is, atLeast } = target;
    const words = isMet(target) ? 'met' : 'NOT MET';
    console.log(`target: ${what} ${atLeast ? '>=' : '<='} ${limit} ${unit}: ${shown(is)} ${unit}, ${words}`);
  }
  for (const note of notes) console.log(`note: ${note}`);
}
