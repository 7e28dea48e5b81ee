import { homedir } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Group } from '../checks/line.ts';
import { asJson, groupText, shortText, summaryText } from '../checks/render.ts';
import { hasErrors, isUnsettled, runChecks } from '../checks/run-checks.ts';
import { checkSettingsFile } from '../checks/settings.ts';
import { viewOf } from '../checks/view.ts';
import { type ClusterConnection, connectAsKubectl } from '../cluster/index.ts';
import { inspectCluster } from '../cluster/inspect.ts';
import { version } from '../federation/names.ts';
import { type CommandIo, couldNot, done } from './command.ts';
import { duration } from './flag-values.ts';
import { withFlags } from './with-flags.ts';

const help = `Usage: falco-federation check [-o text|short|json] [--wait D] [--kubeconfig FILE] [--context NAME] [--namespace NS]
       falco-federation check --pre [-o text|short|json] [--kubeconfig FILE] [--context NAME] [--namespace NS]
       falco-federation check --settings FILE [-o text|short|json]

Checks whether this cluster is federated, and if not, why, with the command that fixes it. It changes nothing: a Falco
pod is created as a dry run only. Where nothing is wrong on a spoke, each forwarder sends a test event to the hub.
docs/check.md says what each line means, and which permissions it requires.

  ✓ ok   ‼ warning   ✗ error

      --pre               check whether this cluster can take an installation
      --settings FILE     check this federation.yaml instead of a cluster
      --kubeconfig FILE   (default: as kubectl: $KUBECONFIG, ~/.kube/config, the pod's service account)
      --context NAME      of the kubeconfig (default: its current one)
  -n, --namespace NS      of the webhook (default: where its configuration points)
      --wait D            check again until there are no errors and no rollout is in progress, up to this long, as in
                          5m (default: once)
  -o, --output FORM       text; short: what is wrong, one line each; or json (default: text)
      --help              this text

Exit status: 0 no errors, 1 errors or something that could not be checked, 2 wrong use.
`;

const sleep = (milliseconds: number): Promise<void> => setTimeout(milliseconds);

/** Milliseconds between two looks of `--wait`. */
const lookAgainAfter = 3_000;

function readFlags(argv: readonly string[]) {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      pre: { type: 'boolean', default: false },
      settings: { type: 'string' },
      kubeconfig: { type: 'string' },
      context: { type: 'string' },
      namespace: { type: 'string', short: 'n' },
      wait: { type: 'string' },
      output: { type: 'string', short: 'o', default: 'text' },
    },
  });
  const { output, settings } = values;
  if (output !== 'text' && output !== 'short' && output !== 'json')
    throw new Error(`--output must be text, short or json, not "${output}"`);
  const ofCluster = ['pre', 'kubeconfig', 'context', 'namespace', 'wait'] as const;
  const other = ofCluster.find((flag) => values[flag] !== undefined && values[flag] !== false);
  if (settings !== undefined && other !== undefined) {
    throw new Error(`--settings checks a file without a cluster, and --${other} is about a cluster`);
  }
  return {
    ...values,
    output,
    wait: values.wait === undefined ? 0 : duration('wait', values.wait),
  };
}

type Flags = ReturnType<typeof readFlags>;

/** How it is told: to people on a terminal group by group, with colours unless NO_COLOR says otherwise. */
function teller({ output }: Flags, io: CommandIo) {
  const coloured = io.stdout.isTTY === true && (io.env.NO_COLOR ?? '') === '';
  const shown = io.stderr.isTTY === true;
  const clear = shown ? '\r\u001b[K' : '';
  return {
    /** What is going on, while it waits; gone when something is told. */
    progress: (text: string): void => {
      if (shown) io.stderr.write(`${clear}${text}`);
    },
    group: (group: Group): void => {
      if (clear !== '') io.stderr.write(clear);
      if (output === 'text') io.stdout.write(groupText(group, coloured));
      if (output === 'short') io.stdout.write(shortText(group));
    },
    end: (groups: readonly Group[], server: string | undefined): void => {
      if (clear !== '') io.stderr.write(clear);
      io.stdout.write(output === 'json' ? asJson(groups, version, server) : summaryText(groups));
    },
  };
}

function statusOf(groups: readonly Group[]): number {
  return hasErrors(groups) ? couldNot : done;
}

async function checkFile(file: string, flags: Flags, io: CommandIo): Promise<number> {
  const groups = [{ name: 'settings', lines: await checkSettingsFile(file) }];
  const tell = teller(flags, io);
  for (const group of groups) tell.group(group);
  tell.end(groups, undefined);
  return statusOf(groups);
}

function wrongIn(groups: readonly Group[]): string {
  const wrong = groups.flatMap(({ lines }) => lines).filter(({ mark }) => mark === 'error');
  return `${wrong.length} wrong (${wrong[0]?.text ?? ''})`;
}

async function checkCluster(connection: ClusterConnection, flags: Flags, io: CommandIo): Promise<number> {
  const tell = teller(flags, io);
  const look = (onGroup?: (group: Group) => void) => {
    const cluster = inspectCluster(connection);
    return runChecks(
      viewOf({ cluster, namespace: flags.namespace, now: Date.now, pause: sleep }),
      onGroup,
      flags.pre,
    );
  };
  const until = performance.now() + flags.wait;
  tell.progress(`looking at ${connection.server} …`);
  if (flags.wait === 0) {
    const groups = await look(tell.group);
    tell.end(groups, connection.server);
    return statusOf(groups);
  }
  let groups = await look();
  while (isUnsettled(groups) && performance.now() + lookAgainAfter < until) {
    tell.progress(
      `waiting, ${Math.round((until - performance.now()) / 1000)} s at most: ${wrongIn(groups)} `,
    );
    await sleep(lookAgainAfter);
    groups = await look();
  }
  for (const group of groups) tell.group(group);
  tell.end(groups, connection.server);
  return statusOf(groups);
}

async function run(flags: Flags, io: CommandIo): Promise<number> {
  if (flags.settings !== undefined) return await checkFile(flags.settings, flags, io);
  const { kubeconfig, context } = flags;
  const home = io.env.HOME ?? homedir();
  const connection = await connectAsKubectl({ kubeconfig, context, env: io.env, home });
  if (connection === undefined) {
    throw new Error('no cluster configured: use --kubeconfig or KUBECONFIG, or check a file with --settings');
  }
  return await checkCluster(connection, flags, io);
}

/** `falco-federation check`: see its help. */
export function check(argv: readonly string[], io: CommandIo): Promise<number> {
  return withFlags(
    { name: 'check', help, argv, readFlags: () => readFlags(argv), run: (flags) => run(flags, io) },
    io,
  );
}
