import { readFile } from 'node:fs/promises';
import { Server as TlsServer } from 'node:tls';
import { pino } from 'pino';
import { certificatesIn } from '../certificates/certificate.ts';
import { connect } from '../cluster/index.ts';
import { version } from '../federation/names.ts';
import { messageOf } from '../reasons/message-of.ts';
import { drain } from '../server/drain.ts';
import { buildHealth, type Condition } from '../server/health.ts';
import { listenOnAll, portOf } from '../server/listen.ts';
import { buildMetricsServer, makeMetrics } from '../server/metrics.ts';
import { buildWebhook, type Callers } from '../server/webhook.ts';
import { type Settings, withImage } from '../settings/schema.ts';
import { type CommandIo, done, stopSignal } from './command.ts';
import { anyAddress } from './flag-values.ts';
import { followSettings, settingsCheck } from './followed-settings.ts';
import { localCaFile, servingCertificate } from './serve/certificate.ts';
import { knownCoverage } from './serve/coverage.ts';
import { help, readFlags, type ServeFlags } from './serve/flags.ts';
import { knownNamespaces } from './serve/namespaces.ts';
import { ownImage } from './serve/own-image.ts';
import { withSettings } from './with-settings.ts';

/** What `--local` tells a newcomer: a request to paste, and how to read the answer. */
function invitation(port: number): string {
  return `
falco-federation-webhook ${version} serves https://localhost:${port}/mutate on this machine.

Send it a Falco pod, as the API server would, and print the JSON Patch that comes back:

  curl --silent --cacert ${localCaFile} https://localhost:${port}/mutate \\
    --header 'Content-Type: application/json' --data @docs/examples/review.json \\
    | node -e 'let t="";process.stdin.on("data",d=>t+=d).on("end",()=>{const r=JSON.parse(t).response;console.log(r.auditAnnotations,Buffer.from(r.patch??"","base64").toString())})'

"reason" says what became of the pod (docs/reasons.md has them all); the patch only adds to the pod.
Stop with Ctrl-C.
`;
}

/** @throws Error that names the flag */
async function callersOf({ callers }: ServeFlags): Promise<Callers | undefined> {
  if (callers === undefined) return undefined;
  const authority = await readFile(callers.ca, 'utf8').catch(messageOf);
  if (certificatesIn(authority).length === 0)
    throw new Error(`--client-ca ${callers.ca}: no PEM certificate: ${authority.slice(0, 200)}`);
  return { authority, name: callers.name };
}

async function run(flags: ServeFlags, first: Settings, io: CommandIo): Promise<number> {
  const logger = pino({ level: flags.logLevel, base: { version } });
  const stopped = stopSignal();
  // On a workstation the settings alone count, unless a cluster is named.
  const isAlone = flags.local && flags.kubeconfig === undefined;
  const found = isAlone ? undefined : await connect({ kubeconfig: flags.kubeconfig, env: io.env });
  const closing = new AbortController();
  const connection = found && { ...found, closed: closing.signal };
  const callers = await callersOf(flags);
  const certificate = await servingCertificate(flags.certificate, connection, logger);
  const namespaces = knownNamespaces(connection, logger);
  const file = followSettings(flags.settings, first, logger);
  const image = ownImage(connection, flags.pod, logger);
  const settings = () => withImage(file.current(), image.current());
  let draining = false;
  const imageCheck = () => image.check(file.current().rules.image !== undefined);
  const checks = (): Readonly<Record<string, Condition>> => ({
    serving: { ready: !draining, detail: draining ? 'draining' : 'ok' },
    certificate: certificate.check(),
    settings: settingsCheck(flags.settings, file),
    image: imageCheck(),
    namespaces: namespaces.check(),
  });
  const coverage = knownCoverage(
    {
      connection,
      settings,
      namespaces,
      isSettled: () => imageCheck().ready,
    },
    flags.replica,
    logger,
  );

  const metrics = makeMetrics({
    version,
    certificateNotAfter: () => certificate.pair()?.notAfter,
    settings: () => ({
      ...settings(),
      valid: file.problems().length === 0,
      readAt: file.readAt(),
    }),
    namespaces: namespaces.state,
    pods: coverage.counts,
  });
  const webhook = buildWebhook({
    sources: { settings, namespaceAnnotations: namespaces.annotations },
    tls: certificate.pair() ?? {},
    callers,
    logger,
    isDraining: () => draining,
    metrics,
  });
  const health = buildHealth(() => ({ ...checks(), coverage: coverage.check() }));
  const metricsServer = buildMetricsServer(metrics);

  const host = flags.host ?? (flags.local ? '127.0.0.1' : anyAddress());
  const listeners = {
    webhook: { server: webhook, host, port: flags.port, flag: '--port' },
    health: { server: health, host, port: flags.healthPort, flag: '--health-port' },
    metrics: { server: metricsServer, host, port: flags.metricsPort, flag: '--metrics-port' },
  };
  try {
    await listenOnAll(Object.values(listeners));
  } catch (error) {
    // What goes on watching would keep the process alive.
    for (const stop of [file.stop, image.stop, namespaces.stop, coverage.stop]) void stop();
    throw error;
  }
  // For new connections only; those that are open go on (FACTS 5).
  const stopCertificate = certificate.follow((pair) => {
    const clients = callers && { ca: callers.authority };
    if (webhook.server instanceof TlsServer) webhook.server.setSecureContext({ ...pair, ...clients });
  });
  const port = portOf(listeners.webhook);
  logger.info(
    {
      cluster: first.cluster,
      role: first.role,
      port,
      healthPort: portOf(listeners.health),
      metricsPort: portOf(listeners.metrics),
    },
    'serving',
  );
  if (flags.local) io.stdout.write(invitation(port));

  const signal = await stopped;
  draining = true;
  logger.info({ signal }, 'draining');
  // At a keyboard nobody's calls are on their way.
  await drain(webhook, flags.local || signal === 'SIGINT' ? { delay: 0, grace: 2_000 } : flags.drain);
  for (const stop of [file.stop, image.stop, namespaces.stop, stopCertificate]) stop();
  closing.abort(new Error('the webhook is stopping'));
  await Promise.all([coverage.stop(), health.close(), metricsServer.close()]);
  logger.info('stopped');
  return done;
}

/** `falco-federation serve`: see its help. Runs until a signal. */
export function serve(argv: readonly string[], io: CommandIo): Promise<number> {
  return withSettings(
    {
      name: 'serve',
      help,
      readFlags: () => readFlags(argv, io.env),
      run: (flags, settings) => run(flags, settings, io),
    },
    io,
  );
}
