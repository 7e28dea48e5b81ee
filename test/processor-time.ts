/**
 * Processor time of one call, in milliseconds: the least of three measurements, as others on the machine only add to
 * it. A measurement makes calls until they took 50 ms: a kernel may count in ticks of 10.
 */
export function processorTime(call: () => void): number {
  const measure = (): number => {
    const start = process.cpuUsage();
    for (let calls = 1; ; calls += 1) {
      call();
      const { user, system } = process.cpuUsage(start);
      const used = (user + system) / 1000;
      if (used >= 50) return used / calls;
    }
  };
  return Math.min(measure(), measure(), measure());
}
