import { distance } from 'fastest-levenshtein';

/** The name that somebody may have meant; undefined where none is near. */
export function nearest(given: string, known: readonly string[]): string | undefined {
  const [first] = known
    .map((name) => ({ name, away: distance(given.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.away - b.away);
  return first !== undefined && first.away <= Math.max(2, Math.floor(given.length / 3))
    ? first.name
    : undefined;
}
