/** Whether it is time to tell of something: the first time, and then once in so many milliseconds, each thing for itself. */
export function nowAndThen(every: number): (what: string) => boolean {
  const told = new Map<string, number>();
  return (what) => {
    const now = performance.now();
    if (now - (told.get(what) ?? Number.NEGATIVE_INFINITY) < every) return false;
    if (told.size > 1_000) told.clear();
    told.set(what, now);
    return true;
  };
}
