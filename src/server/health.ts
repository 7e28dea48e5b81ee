import Fastify, { type FastifyInstance } from 'fastify';

/** Whether the webhook may get requests, and if not, why: each check by name with `true` or what is wrong. */
export type Readiness = Readonly<Record<string, true | string>>;

/** Liveness and readiness over plain HTTP, on a port of their own. */
export function buildHealth(readiness: () => Readiness): FastifyInstance {
  const server = Fastify({ logger: false });
  server.get('/livez', (_request, reply) => reply.type('text/plain').send('ok\n'));
  server.get('/readyz', (_request, reply) => {
    const checks = Object.entries(readiness());
    const ready = checks.every(([, state]) => state === true);
    const lines = checks.map(([name, state]) =>
      state === true ? `[+] ${name} ok` : `[-] ${name}: ${state}`,
    );
    return reply
      .code(ready ? 200 : 503)
      .type('text/plain')
      .send(`${lines.join('\n')}\n`);
  });
  return server;
}
