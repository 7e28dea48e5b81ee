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
function info(registry: Registry, name: string, help: string, labels: () => Record<string, string>): void {
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

/** What each program tells of itself: its version, and the settings in force. */
export interface ProgramSources {
  readonly version: string;
  readonly settings: () => { readonly cluster: string; readonly role: string; readonly valid: boolean };
}

export function programGauges(registry: Registry, { version, settings }: ProgramSources): void {
  info(registry, 'build', 'Version of the program and of Node.', () => ({
    version,
    node_version: process.versions.node,
  }));
  info(registry, 'settings', 'The settings in force.', () => {
    const { cluster, role } = settings();
    return { cluster, role };
  });
  gauge(
    registry,
    'settings_last_reload_successful',
    'Whether the settings file is good as it is now (1) or refused, with the last good settings in force (0).',
    () => Number(settings().valid),
  );
}
