import { Gauge, type Registry } from 'prom-client';

/** What every metric's name begins with. */
export const prefix = 'falco_federation_';

/** A gauge that is asked at each scrape; `undefined` leaves it out. */
export function gauge(registry: Registry, name: string, help: string, value: () => number | undefined): void {
  new Gauge({
    registers: [registry],
    name: prefix + name,
    help,
    collect() {
      const now = value();
      if (now === undefined) this.remove();
      else this.set(now);
    },
  });
}

/** A gauge that is always 1: what it says is in its labels. */
export function info(
  registry: Registry,
  name: string,
  help: string,
  labels: () => Record<string, string>,
): void {
  new Gauge({
    registers: [registry],
    name: `${prefix}${name}_info`,
    help,
    labelNames: Object.keys(labels()),
    collect() {
      this.reset();
      this.set(labels(), 1);
    },
  });
}
