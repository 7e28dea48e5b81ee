import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { injectStream, type ObjectReport } from '../documents/inject-stream.ts';
import { reasons, sentenceOf } from '../reasons/reasons.ts';
import { describeProblem, loadSettings } from '../settings/load.ts';
import { type CommandIo, couldNot, done, wrongUse } from './command.ts';

const defaultSettings = 'federation.yaml';

const help = `Usage: falco-federation inject [-f FILE|-] [--settings FILE] [--namespace NS]

Reads a stream of Kubernetes YAML or JSON, makes every Falco and falcosidekick in it part of the federation, and
writes the same stream; documents that need no change stay byte for byte. Works as Helm's --post-renderer. An
AdmissionReview is answered with an AdmissionReview.

  -f, --filename FILE  what to read; - is standard input (default)
      --settings FILE  federation.yaml of the cluster (default: ${defaultSettings})
  -n, --namespace NS   namespace of objects that name none
      --help           this text

A line for each object goes to standard error. Exit status: 0 done, 1 could not read the settings or some
document, 2 wrong use.
`;

function describe({ about, reason, findings }: ObjectReport): string {
  const warnings = findings.map((finding) => `  ${reasons[finding.code].severity}: ${sentenceOf(finding)}\n`);
  return `${about}: ${sentenceOf(reason)}\n${warnings.join('')}`;
}

function readFlags(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    options: {
      filename: { type: 'string', short: 'f', default: '-' },
      settings: { type: 'string', default: defaultSettings },
      namespace: { type: 'string', short: 'n' },
      help: { type: 'boolean', default: false },
    },
  }).values;
}

/** `falco-federation inject`: see its help. */
export async function inject(argv: readonly string[], io: CommandIo): Promise<number> {
  let flags: ReturnType<typeof readFlags>;
  try {
    flags = readFlags(argv);
  } catch (error) {
    io.stderr.write(`falco-federation inject: ${error instanceof Error ? error.message : String(error)}\n`);
    return wrongUse;
  }
  if (flags.help) {
    io.stdout.write(help);
    return done;
  }
  const loaded = await loadSettings(flags.settings);
  if (!loaded.ok) {
    for (const problem of loaded.problems) io.stderr.write(`${describeProblem(flags.settings, problem)}\n`);
    return couldNot;
  }
  let input: string;
  try {
    input = flags.filename === '-' ? await readAll(io.stdin) : await readFile(flags.filename, 'utf8');
  } catch (error) {
    io.stderr.write(`falco-federation inject: cannot read ${flags.filename}: ${String(error)}\n`);
    return couldNot;
  }
  const { output, reports, problems } = injectStream(input, {
    settings: loaded.settings,
    namespace: flags.namespace,
  });
  io.stdout.write(output);
  for (const report of reports) io.stderr.write(describe(report));
  for (const problem of problems) {
    io.stderr.write(`falco-federation inject: ${flags.filename}: ${problem}; it was passed on as it is\n`);
  }
  const failed =
    problems.length > 0 || reports.some(({ reason }) => reasons[reason.code].severity === 'error');
  return failed ? couldNot : done;
}
