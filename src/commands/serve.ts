import { mkdir, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Server as TlsServer } from 'node:tls';
import { parseArgs } from 'node:util';
import type { FastifyInstance } from 'fastify';
import { type Logger, pino } from 'pino';
import { type CertificateFiles, type KeyPair, loadKeyPair, watchKeyPair } from '../certificates/files.ts';
import { makeServingCertificate } from '../certificates/self-signed.ts';
import { version } from '../federation/names.ts';
import { buildHealth, type Check } from '../server/health.ts';
import { buildWebhook, secureContext } from '../server/webhook.ts';
import { describeProblem } from '../settings/load.ts';
import type { Settings } from '../settings/schema.ts';
import { type WatchedSettings, watchSettings } from '../settings/watch.ts';
import { type CommandIo, done, stopSignal } from './command.ts';
import { withSettings } from './with-settings.ts';

const help = `Usage: falco-federation serve [--settings FILE] --tls-cert FILE --tls-key FILE [--host ADDRESS] [--port N]
       falco-federation serve --local [--settings FILE] [--port N]

Serves the admission webhook: POST /mutate over HTTPS; /livez and /readyz over HTTP on the health port.
Settings and certificate are reread when their files change; a bad file leaves the last good one in force.

      --settings FILE     federation.yaml of the cluster (default: federation.yaml)
      --tls-cert FILE     serving certificate, PEM
      --tls-key FILE      its key, PEM
      --host ADDRESS      address to listen on (default: all of them)
      --port N            HTTPS port (default: 8443)
      --health-port N     health port (default: 8080)
      --log-level LEVEL   trace, debug, info, warn, error or silent (default: info)
      --local             on loopback, with a certificate made on the spot; prints a request to try
      --help              this text

Exit status: 0 stopped by a signal, 1 could not serve, 2 wrong use.
`;

/** Milliseconds between two looks at the settings and the certificate. */
const lookEvery = 2_000;

/** How long connections may take to go away after SIGTERM; Kubernetes kills after 30 s by default. */
const drainMilliseconds = 20_000;

const caFile = path.join('certs', 'local-ca.crt');

function readFlags(argv: readonly string[]) {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      settings: { type: 'string', default: 'federation.yaml' },
      'tls-cert': { type: 'string' },
      'tls-key': { type: 'string' },
      host: { type: 'string' },
      port: { type: 'string', default: '8443' },
      'health-port': { type: 'string', default: '8080' },
      'log-level': { type: 'string', default: 'info' },
      local: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const port = (name: 'port' | 'health-port'): number => {
    const number = Number(values[name]);
    if (!Number.isInteger(number) || number < 0 || number > 65535) {
      throw new Error(`--${name} must be a port number, not "${values[name]}"`);
    }
    return number;
  };
  if (!Object.hasOwn(pino.levels.values, values['log-level']) && values['log-level'] !== 'silent') {
    throw new Error(`--log-level must be one of ${Object.keys(pino.levels.values).join(', ')}, silent`);
  }
  const { 'tls-cert': cert, 'tls-key': key } = values;
  const files = cert !== undefined && key !== undefined ? { cert, key } : undefined;
  if (!values.local && !values.help && files === undefined) {
    throw new Error('--tls-cert and --tls-key are needed, or --local to try it on this machine');
  }
  return { ...values, port: port('port'), healthPort: port('health-port'), files };
}

type Flags = ReturnType<typeof readFlags>;

/** Where the serving certificate comes from. */
interface ServingTls {
  readonly pair: KeyPair;
  /** Absent for one that was made on the spot. */
  readonly files: CertificateFiles | undefined;
}

async function readTls({ files }: Flags): Promise<ServingTls> {
  if (files !== undefined) {
    const loaded = await loadKeyPair(files);
    if (!loaded.ok) throw new Error(`--tls-cert ${files.cert}, --tls-key ${files.key}: ${loaded.why}`);
    return { pair: loaded.pair, files };
  }
  const made = await makeServingCertificate(['localhost', '127.0.0.1', '::1'], 30);
  await mkdir(path.dirname(caFile), { recursive: true });
  await writeFile(caFile, made.ca);
  return { pair: { cert: made.certificate, key: made.key, notAfter: made.notAfter }, files: undefined };
}

/** What `--local` tells a newcomer: a request to paste, and how to read the answer. */
function invitation(port: number): string {
  return `
falco-federation-webhook ${version} serves https://localhost:${port}/mutate on this machine.

Send it a Falco pod, as the API server would, and print the JSON Patch that comes back:

  curl --silent --cacert ${caFile} https://localhost:${port}/mutate \\
    --header 'Content-Type: application/json' --data @docs/examples/review.json \\
    | node -e 'let t="";process.stdin.on("data",d=>t+=d).on("end",()=>{const r=JSON.parse(t).response;console.log(r.auditAnnotations,Buffer.from(r.patch??"","base64").toString())})'

"reason" says what became of the pod (docs/reasons.md has them all); the patch only adds to the pod.
Stop with Ctrl-C.
`;
}

/** Every address of both families, where the machine has both. */
function anyAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.some(({ family }) => family === 'IPv6') ? '::' : '0.0.0.0';
}

/** The port that a server got: the one asked for, or the system's choice for 0. */
function portOf(server: FastifyInstance, asked: number): number {
  const address = server.server.address();
  return typeof address === 'object' && address !== null ? address.port : asked;
}

async function run(flags: Flags, first: Settings, io: CommandIo): Promise<number> {
  const logger = pino({ level: flags['log-level'], base: { version } });
  const tls = await readTls(flags);
  const settings = followSettings(flags.settings, first, logger);
  let draining = false;
  const webhook = buildWebhook({
    sources: { settings: settings.current, namespaceAnnotations: () => undefined },
    tls: tls.pair,
    logger,
    isDraining: () => draining,
  });
  const certificate = followCertificate(tls, webhook, logger);
  const health = buildHealth(() => ({
    serving: { ready: !draining, detail: draining ? 'draining' : 'ok' },
    certificate: certificateCheck(certificate.notAfter()),
    settings: settingsCheck(flags.settings, settings),
  }));
  const host = flags.host ?? (flags.local ? '127.0.0.1' : anyAddress());
  const stopped = stopSignal();
  await webhook.listen({ host, port: flags.port });
  await health.listen({ host, port: flags.healthPort });
  const port = portOf(webhook, flags.port);
  const healthPort = portOf(health, flags.healthPort);
  logger.info({ cluster: first.cluster, role: first.role, port, healthPort }, 'serving');
  if (flags.local) io.stdout.write(invitation(port));

  const signal = await stopped;
  draining = true;
  logger.info({ signal }, 'draining');
  settings.stop();
  certificate.stop();
  await Promise.race([webhook.close(), wait(drainMilliseconds, undefined, { ref: false })]);
  await health.close();
  logger.info('stopped');
  return done;
}

function followSettings(file: string, first: Settings, logger: Logger): WatchedSettings {
  const settings = watchSettings(file, first, lookEvery, (problems) => {
    if (problems.length === 0) logger.info({ cluster: settings.current().cluster }, 'settings reread');
    const told = problems.map((problem) => describeProblem(file, problem));
    if (told.length > 0) logger.error({ problems: told }, 'settings refused; the last good ones stay');
  });
  return settings;
}

/** Swaps the certificate for new connections when its files change; those that are open go on (FACTS 5). */
function followCertificate(
  { pair, files }: ServingTls,
  server: FastifyInstance,
  logger: Logger,
): { readonly notAfter: () => Date; readonly stop: () => void } {
  let current = pair;
  if (files === undefined) return { notAfter: () => current.notAfter, stop: () => {} };
  const stop = watchKeyPair(files, pair, lookEvery, (result) => {
    if (!result.ok) {
      logger.error({ why: result.why }, 'certificate refused; the last good one stays');
      return;
    }
    current = result.pair;
    if (server.server instanceof TlsServer) server.server.setSecureContext(secureContext(current));
    logger.info({ notAfter: current.notAfter }, 'certificate reread');
  });
  return { notAfter: () => current.notAfter, stop };
}

function certificateCheck(notAfter: Date): Check {
  const until = notAfter.toISOString();
  return notAfter.getTime() > Date.now()
    ? { ready: true, detail: `ok, until ${until}` }
    : { ready: false, detail: `expired at ${until}; renew the files of --tls-cert and --tls-key` };
}

/** Bad settings are no reason to stop serving: the last good ones are in force. */
function settingsCheck(file: string, settings: WatchedSettings): Check {
  const told = settings.problems().map((problem) => describeProblem(file, problem));
  return {
    ready: true,
    detail: told.length === 0 ? 'ok' : `refused, the last good ones stay: ${told.join('; ')}`,
  };
}

/** `falco-federation serve`: see its help. Runs until a signal. */
export function serve(argv: readonly string[], io: CommandIo): Promise<number> {
  return withSettings(
    {
      name: 'serve',
      help,
      readFlags: () => readFlags(argv),
      run: (flags, settings) => run(flags, settings, io),
    },
    io,
  );
}
