import { type Pages, type PlainServer, pagesServer } from './plain-server.ts';

/** What one check came to; `detail` is told either way. */
export interface Condition {
  readonly ready: boolean;
  readonly detail: string;
}

const type = 'text/plain; charset=utf-8';

/** Liveness and readiness over plain HTTP, on a port of their own. */
export function buildHealth(
  readiness: () => Readonly<Record<string, Condition>>,
  others: Pages = {},
): PlainServer {
  return pagesServer({
    ...others,
    '/livez': () => ({ status: 200, type, text: 'ok\n' }),
    '/readyz': () => {
      const checks = Object.entries(readiness());
      const lines = checks.map(([name, { ready, detail }]) => `[${ready ? '+' : '-'}] ${name}: ${detail}\n`);
      const ready = checks.every(([, check]) => check.ready);
      return { status: ready ? 200 : 503, type, text: lines.join('') };
    },
  });
}
