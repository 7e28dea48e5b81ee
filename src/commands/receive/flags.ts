import { parseArgs } from 'node:util';
import { eventFlags, eventOptions } from '../events/flags.ts';

export const help = `Usage: falco-federation receive [--settings FILE] --credentials DIR

The hub's door: takes events of spokes' forwarders over mutual TLS (POST /, batches), marks them with the labels and tags
of the cluster whose certificate brought them, and passes them on to the hub's falcosidekick, as many at once as it can
take. It keeps nothing: an event is answered when falcosidekick has it. Settings and credentials are reread when they
change.

      --settings FILE     federation.yaml of the hub (default: federation.yaml)
      --credentials DIR   tls.crt and tls.key (its certificate), ca.crt (who signs spokes' certificates)
      --host ADDRESS      address to listen on (default: all of them)
      --port N            port for events (default: 2802)
      --health-port N     health port: /livez, /readyz (default: 8080)
      --metrics-port N    metrics port: /metrics, /fleet (default: 9090)
      --log-level LEVEL   trace, debug, info, warn, error or silent (default: info)
      --help              this text

When asked to stop:
      --drain-delay D     how long events may still come in after SIGTERM (default: 5s; none after Ctrl-C)
      --grace-period D    when it ends at the latest (default: 25s)

Exit status: 0 stopped by a signal, 1 could not receive, 2 wrong use.
`;

/** Throws an error that names the flag on wrong use. */
export function readFlags(argv: readonly string[]) {
  const options = { ...eventOptions, port: { type: 'string', default: '2802' } } as const;
  const { values } = parseArgs({ args: [...argv], options });
  if (values.credentials === undefined)
    throw new Error('--credentials is missing: a folder with tls.crt, tls.key and ca.crt');
  return eventFlags({ credentials: undefined, host: undefined, ...values });
}
