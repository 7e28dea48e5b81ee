const words = new Map([
  ...['y', 'yes', 'true', 'on'].map((word) => [word, true] as const),
  ...['n', 'no', 'false', 'off'].map((word) => [word, false] as const),
]);

/** What yaml-cpp takes a scalar for, quoted or not: a boolean in one case throughout or with a capital in front. */
export function readBoolean(text: string): boolean | undefined {
  const hasOneCase = /^(?:[a-z]+|[A-Z]+|[A-Z][a-z]+)$/.test(text);
  return hasOneCase ? words.get(text.toLowerCase()) : undefined;
}
