import { readFile } from 'node:fs/promises';
import { buffer as readAll } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { injectBytes } from '../documents/inject-bytes.ts';
import type { ObjectReport } from '../documents/inject-stream.ts';
import { settingsInResourceList } from '../documents/resource-list.ts';
import { messageOf } from '../reasons/message-of.ts';
import { reasons, sentenceOf } from '../reasons/reasons.ts';
import { describeProblem, loadSettings } from '../settings/load.ts';
import { defaultImage, type Settings, withImage } from '../settings/schema.ts';
import { type CommandIo, couldNot, done } from './command.ts';
import { withFlags } from './with-flags.ts';

const defaultSettings = 'federation.yaml';

const help = `Usage: falco-federation inject [-f FILE|-] [--settings FILE] [--namespace NS]

Reads a stream of Kubernetes YAML or JSON, makes every Falco and falcosidekick in it part of the federation, and
writes the same stream: documents that need no change stay byte for byte; the others keep their comments and what they
mean. YAML is read as kubectl reads it. An AdmissionReview is answered with an AdmissionReview. A ResourceList, as
kustomize and kpt send it to a function, may bring its settings as functionConfig.

  -f, --filename FILE  what to read; - is standard input (default)
      --settings FILE  federation.yaml of the cluster (default: ${defaultSettings}); not read where a functionConfig has them
  -n, --namespace NS   namespace of objects that name none
      --help           this text

As Helm's post-renderer, with further flags as further --post-renderer-args:
  Helm 3:  helm install … --post-renderer falco-federation --post-renderer-args inject
  Helm 4:  helm plugin install docs/helm/falco-federation
           helm install … --post-renderer falco-federation

Standard error gets a line for each object that was changed or needs attention, and one that counts the others. What
cannot be read is passed on as it is, with a line that says so.
Exit status: 0 done; 1 could not read the settings, or something that may be Falco was not injected; 2 wrong use.
`;

function describe({ about, reason, findings }: ObjectReport): string {
  const warnings = findings.map((finding) => `  ${reasons[finding.code].severity}: ${sentenceOf(finding)}\n`);
  return `${about}: ${sentenceOf(reason)}\n${warnings.join('')}`;
}

/** Whether somebody may want to do something about it, or to see that it was changed. */
function matters({ reason, findings }: ObjectReport): boolean {
  return reasons[reason.code].severity !== 'skipped' || findings.length > 0;
}

/** `1499 other objects unchanged (1200 kind_without_pod, 299 not_falco)` */
function countOf(others: readonly ObjectReport[]): string {
  const counts = new Map<string, number>();
  for (const { reason } of others) counts.set(reason.code, (counts.get(reason.code) ?? 0) + 1);
  const byReason = [...counts].map(([code, count]) => `${count} ${code}`).join(', ');
  return others.length === 0
    ? ''
    : `${others.length} other ${others.length === 1 ? 'object' : 'objects'} unchanged (${byReason})\n`;
}

function readFlags(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    options: {
      filename: { type: 'string', short: 'f', default: '-' },
      settings: { type: 'string', default: defaultSettings },
      namespace: { type: 'string', short: 'n' },
    },
  }).values;
}

async function readInput(filename: string, io: CommandIo): Promise<Buffer> {
  try {
    return filename === '-' ? await readAll(io.stdin) : await readFile(filename);
  } catch (error) {
    throw new Error(`cannot read ${filename}: ${messageOf(error)}`);
  }
}

type Flags = ReturnType<typeof readFlags>;

/** The settings that come with the input, or those of the file. */
async function settingsFor(input: Buffer, flags: Flags, io: CommandIo): Promise<Settings | undefined> {
  const given = settingsInResourceList(input.toString('utf8'));
  const loaded = given ?? (await loadSettings(flags.settings));
  if (loaded.ok) return loaded.settings;
  const from = given === undefined ? flags.settings : 'functionConfig';
  for (const problem of loaded.problems) io.stderr.write(`${describeProblem(from, problem)}\n`);
  return undefined;
}

async function run(flags: Flags, io: CommandIo): Promise<number> {
  const input = await readInput(flags.filename, io);
  const settings = await settingsFor(input, flags, io);
  if (settings === undefined) return couldNot;
  const { output, encoding, reports, problems, failed } = injectBytes(input, {
    settings: withImage(settings, defaultImage),
    namespace: flags.namespace,
  });
  io.stdout.write(output, encoding);
  for (const report of reports.filter(matters)) io.stderr.write(describe(report));
  io.stderr.write(countOf(reports.filter((report) => !matters(report))));
  for (const problem of problems) {
    io.stderr.write(`falco-federation inject: ${flags.filename}: ${problem}; it was passed on as it is\n`);
  }
  return failed ? couldNot : done;
}

/** `falco-federation inject`: see its help. */
export function inject(argv: readonly string[], io: CommandIo): Promise<number> {
  return withFlags(
    { name: 'inject', help, argv, readFlags: () => readFlags(argv), run: (flags) => run(flags, io) },
    io,
  );
}
