import { readFile } from 'node:fs/promises';
import { Server as TlsServer } from 'node:tls';
import { type Logger, pino } from 'pino';
import { certificatesIn } from '../certificates/certificate.ts';
import { connect } from '../cluster/index.ts';
import { version } from '../federation/names.ts';
import { messageOf } from '../reasons/message-of.ts';
import { makeMetrics } from '../server/metrics.ts';
import { buildWebhook, type Callers } from '../server/webhook.ts';
import { withImage } from '../settings/schema.ts';
import type { CommandIo } from './command.ts';
import { type Given, runServer, type ServerProgram } from './run-server.ts';
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

async function program(
  flags: ServeFlags,
  { settings: inForce, settingsValid, isDraining }: Given,
  io: CommandIo,
  logger: Logger,
): Promise<ServerProgram> {
  // On a workstation the settings alone count, unless a cluster is named.
  const isAlone = flags.local && flags.kubeconfig === undefined;
  const found = isAlone ? undefined : await connect({ kubeconfig: flags.kubeconfig, env: io.env });
  const closing = new AbortController();
  const connection = found && { ...found, closed: closing.signal };
  const callers = await callersOf(flags);
  const certificate = await servingCertificate(flags.certificate, connection, logger);
  const namespaces = knownNamespaces(connection, logger);
  const image = ownImage(connection, flags.pod, logger);
  const settings = () => withImage(inForce(), image.current());
  const imageCheck = () => image.check(inForce().rules.image !== undefined);
  const isSettled = () => imageCheck().ready;
  const coverage = knownCoverage({ connection, settings, namespaces, isSettled }, flags.replica, logger);
  const metrics = makeMetrics({
    version,
    certificateNotAfter: () => certificate.pair()?.notAfter,
    settings: () => ({ ...settings(), valid: settingsValid() }),
    namespaces: namespaces.state,
    pods: coverage.counts,
  });
  const webhook = buildWebhook({
    sources: { settings, namespaceAnnotations: namespaces.annotations },
    tls: certificate.pair() ?? {},
    ...{ callers, logger, isDraining, metrics },
  });
  let stopCertificate = (): void => {};
  return {
    name: 'serving',
    about: { role: inForce().role },
    server: webhook,
    metrics,
    checks: () => ({
      certificate: certificate.check(),
      image: imageCheck(),
      namespaces: namespaces.check(),
      coverage: coverage.check(),
    }),
    start: (port) => {
      // For new connections only; those that are open go on (FACTS 5).
      stopCertificate = certificate.follow((pair) => {
        const clients = callers && { ca: callers.authority };
        if (webhook.server instanceof TlsServer) webhook.server.setSecureContext({ ...pair, ...clients });
      });
      if (flags.local) io.stdout.write(invitation(port));
    },
    stop: async () => {
      for (const stop of [image.stop, namespaces.stop, stopCertificate]) stop();
      closing.abort(new Error('the webhook is stopping'));
      await coverage.stop();
      return {};
    },
  };
}

/** `falco-federation serve`: see its help. Runs until a signal. */
export function serve(argv: readonly string[], io: CommandIo): Promise<number> {
  return withSettings(
    {
      name: 'serve',
      help,
      argv,
      readFlags: () => readFlags(argv, io.env),
      run: (flags, settings) => {
        const logger = pino({ level: flags.logLevel, base: { version } });
        return runServer(flags, settings, logger, (given) => program(flags, given, io, logger));
      },
    },
    io,
  );
}
