import Fastify, { type FastifyInstance } from 'fastify';

/** What one check came to; `detail` is told either way. */
export interface Check {
  readonly ready: boolean;
  readonly detail: string;
}

/** Liveness and readiness over plain HTTP, on a port of their own. */
export function buildHealth(readiness: () => Readonly<Record<string, Check>>): FastifyInstance {
  const server = Fastify({ logger: false });
  server.get('/livez', (_request, reply) => reply.type('text/plain').send('ok\n'));
  server.get('/readyz', (_request, reply) => {
    const checks = Object.entries(readiness());
    const lines = checks.map(([name, { ready, detail }]) => `[${ready ? '+' : '-'}] ${name}: ${detail}\n`);
    const ready = checks.every(([, check]) => check.ready);
    return reply
      .code(ready ? 200 : 503)
      .type('text/plain')
      .send(lines.join(''));
  });
  return server;
}
