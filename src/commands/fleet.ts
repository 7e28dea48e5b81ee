import { homedir } from 'node:os';
import { parseArgs } from 'node:util';
import { heardOfSpokes } from '../checks/spokes.ts';
import { type View, viewOf } from '../checks/view.ts';
import { connectAsKubectl } from '../cluster/index.ts';
import { inspectCluster } from '../cluster/inspect.ts';
import { isSilent, type SpokeState } from '../receiving/fleet.ts';
import { type CommandIo, couldNot, done } from './command.ts';
import { withFlags } from './with-flags.ts';

const help = `Usage: falco-federation fleet [-o text|json] [--kubeconfig FILE] [--context NAME] [--namespace NS]

Shows the hub's view of its spokes: when each last reported, what waits there and since when, versions, federated pods
of how many, and until when its certificate is valid. It asks each replica of the receiver through the API server
(pods/proxy, as check does), and changes nothing.

  ✓ reports   ✗ silent: no report for five minutes; one is due every 30 seconds

      --kubeconfig FILE   (default: as kubectl: $KUBECONFIG, ~/.kube/config, the pod's service account)
      --context NAME      of the hub, in the kubeconfig (default: its current one)
  -n, --namespace NS      of the receiver (default: where the webhook's configuration points)
  -o, --output FORM       text or json (default: text)
      --help              this text

Exit status: 0 all report, 1 a spoke is silent or a replica could not be asked, 2 wrong use.
`;

function readFlags(argv: readonly string[]) {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      kubeconfig: { type: 'string' },
      context: { type: 'string' },
      namespace: { type: 'string', short: 'n' },
      output: { type: 'string', short: 'o', default: 'text' },
    },
  });
  const { output } = values;
  if (output !== 'text' && output !== 'json')
    throw new Error(`--output must be text or json, not "${output}"`);
  return { ...values, asJson: output === 'json' };
}

type Flags = ReturnType<typeof readFlags>;

/** As kubectl says ages: `12s`, `3m`, `5h`, `2d`. */
function age(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`;
}

/** `3/4`: of the pods that are to be federated, those that are, with today's settings or older ones. */
function podsText(pods: Readonly<Record<string, number>> | undefined): string {
  if (pods === undefined) return '-';
  const { federated = 0, stale = 0, not_federated = 0, failing = 0 } = pods;
  return `${federated + stale}/${federated + stale + not_federated + failing}`;
}

function cells(state: SpokeState, now: number): readonly string[] {
  const { spoke, reported, waiting, oldest, versions, pods, certificateUntil } = state;
  return [
    `${isSilent(state, now) ? '✗' : '✓'} ${spoke}`,
    reported === undefined ? 'no' : `${age(now - reported)} ago`,
    reported === undefined ? '-' : String(waiting.events),
    oldest === undefined ? '-' : age(now - oldest),
    versions.join(',') || '-',
    podsText(pods),
    certificateUntil === undefined ? '-' : new Date(certificateUntil).toISOString().slice(0, 10),
  ];
}

function fleetText(states: readonly SpokeState[], now: number): string {
  const head = ['  SPOKE', 'REPORTED', 'WAITING', 'OLDEST', 'VERSION', 'FEDERATED', 'CERTIFICATE UNTIL'];
  const rows = [head, ...states.map((state) => cells(state, now))];
  const widths = head.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, at) => cell.padEnd(widths[at] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

const time = (at: number | undefined): string | undefined =>
  at === undefined ? undefined : new Date(at).toISOString();

function fleetJson(states: readonly SpokeState[], now: number): string {
  const spokes = states.map((state) => ({
    ...state,
    silent: isSilent(state, now),
    reported: time(state.reported),
    oldest: time(state.oldest),
    certificateUntil: time(state.certificateUntil),
  }));
  return `${JSON.stringify({ spokes }, undefined, 2)}\n`;
}

/** @param view of the hub's cluster */
export async function showFleet(view: View, asJson: boolean, io: CommandIo): Promise<number> {
  const { states, mute, replicas } = await heardOfSpokes(view);
  if (replicas === 0)
    throw new Error(
      `no receiver runs in namespace ${await view.place()} of ${view.cluster.server}: name the hub's cluster with --context`,
    );
  for (const { name, why } of mute)
    io.stderr.write(`falco-federation fleet: ${name} cannot be asked: ${why}\n`);
  if (mute.length === replicas) return couldNot;
  const now = Date.now();
  io.stdout.write(asJson ? fleetJson(states, now) : fleetText(states, now));
  return mute.length > 0 || states.some((state) => isSilent(state, now)) ? couldNot : done;
}

/** `falco-federation fleet`: see its help. */
export function fleet(argv: readonly string[], io: CommandIo): Promise<number> {
  const run = async (flags: Flags): Promise<number> => {
    const { kubeconfig, context, namespace, asJson } = flags;
    const home = io.env.HOME ?? homedir();
    const connection = await connectAsKubectl({ kubeconfig, context, env: io.env, home });
    if (connection === undefined) throw new Error('no cluster configured: use --kubeconfig or KUBECONFIG');
    return await showFleet(
      viewOf({
        ...{ cluster: inspectCluster(connection), namespace },
        ...{ now: Date.now, pause: async () => {} },
      }),
      asJson,
      io,
    );
  };
  return withFlags({ name: 'fleet', help, argv, readFlags: () => readFlags(argv), run }, io);
}
