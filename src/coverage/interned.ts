/**
 * One object for all that are alike: thousands of pods say the same. Past `most` texts it begins anew; what is in use
 * then stays as it is, and is merely not shared with what comes later.
 */
export function interned<T>(most = 1_000): (text: string, make: () => T) => T {
  const known = new Map<string, T>();
  return (text, make) => {
    const before = known.get(text);
    if (before !== undefined) return before;
    if (known.size >= most) known.clear();
    const made = make();
    known.set(text, made);
    return made;
  };
}
