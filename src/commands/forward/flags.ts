import path from 'node:path';
import { parseArgs } from 'node:util';
import type { CommandIo } from '../command.ts';
import { eventFlags, eventOptions } from '../events/flags.ts';
import { httpAddress, replicaName } from '../flag-values.ts';

export const help = `Usage: falco-federation forward [--settings FILE] [--spool DIR] [--credentials DIR]
       falco-federation forward --list-rejected|--send-rejected [--spool DIR]

Takes events of Falco's pods (POST /, one a line, or one JSON object), keeps them on disk, and sends them to the hub's
receiver until the hub has them. Labels and tags that an event lacks are added. Settings and credentials are reread
when they change.

      --settings FILE     federation.yaml of the cluster (default: federation.yaml)
      --spool DIR         where events are kept (default: spool)
      --credentials DIR   tls.crt and tls.key (client certificate), ca.crt (the hub's authority) and headers
                          ("Name: value", one a line), each optional (default: none)
      --webhook-metrics URL
                          metrics of the cluster's webhook, by which the hub is told how many pods are federated
                          (default: none)
      --host ADDRESS      address to listen on (default: all of them)
      --port N            port for events (default: 2801)
      --health-port N     health port: /livez, /readyz (default: 8080)
      --metrics-port N    metrics port (default: 9090)
      --log-level LEVEL   trace, debug, info, warn, error or silent (default: info)
      --list-rejected     print the events that the hub has refused, one JSON object a line, and exit
      --send-rejected     give them to the forwarder that runs here once more, and exit
      --help              this text

When asked to stop:
      --drain-delay D     how long events may still come in after SIGTERM (default: 5s; none after Ctrl-C)
      --grace-period D    when what waits must have gone out, to the hub or to the other replica (default: 25s)

HTTPS_PROXY, HTTP_PROXY and NO_PROXY count as for Go programs.

Exit status: 0 stopped by a signal, 1 could not forward, 2 wrong use.
`;

/** Throws an error that names the flag on wrong use. */
export function readFlags(argv: readonly string[], env: CommandIo['env']) {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      ...eventOptions,
      port: { type: 'string', default: '2801' },
      spool: { type: 'string', default: 'spool' },
      'webhook-metrics': { type: 'string' },
      'list-rejected': { type: 'boolean', default: false },
      'send-rejected': { type: 'boolean', default: false },
    },
  });
  return {
    ...eventFlags({ credentials: undefined, host: undefined, ...values }),
    spool: path.resolve(values.spool),
    webhookMetrics: httpAddress('webhook-metrics', values['webhook-metrics']),
    listRejected: values['list-rejected'],
    sendRejected: values['send-rejected'],
    replica: replicaName(env),
  };
}

export type ForwardFlags = ReturnType<typeof readFlags>;
