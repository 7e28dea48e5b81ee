/** `falco-federation tag-rules`: what the containers that we add to a Falco pod run. */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { falcoVariablePrefix } from '../federation/names.ts';
import { reasons } from '../reasons/reasons.ts';
import type { AlertsQuestion } from '../rules/configuration/alerts.ts';
import { readFalcoVersion } from '../rules/configuration/falco-version.ts';
import { falcoFileSystem, signatureOf } from '../rules/configuration/file-system.ts';
import { followStep, type Woken, wokenWords } from '../rules/publishing/follow-step.ts';
import type { RulesReport } from '../rules/publishing/publication-plan.ts';
import { publishingDisk } from '../rules/publishing/publish.ts';
import { type TagAndPublish, tagAndPublish } from '../rules/publishing/tag-and-publish.ts';
import { linesForPeople, logLine, terminationMessage } from '../rules/publishing/tell-report.ts';
import { type CommandIo, couldNot, done, wrongUse } from './command.ts';
import { wrongFlags } from './unknown.ts';

const help = `Usage: falco-federation tag-rules [--tag TAG…] --output FOLDER [options] [-- FALCO ARGUMENTS…]

Works out which rules files Falco would load, writes tagged copies of them and a drop-in configuration that lists
the copies in the same order. Falco reads it with -o config_files[]={"path": "FOLDER", "strategy": "override"}.

  --tag TAG                  a tag for every rule; may be given more than once, or not at all with --alerts-to
  --output FOLDER            where copies and drop-in go, for example /etc/falco-federation
  --config FILE              Falco's configuration where its arguments have no -c (/etc/falco/falco.yaml)
  --falco-version VERSION    Falco's version, for example 0.44.1; unknown: taken as new
  --alerts-to FILE           have Falco write its alerts to this file too (file_output), tags or not
  --json-output set|leave    leave: never set Falco's json_output, which --alerts-to needs to be on (set)
  --follow                   stay, and tag again whenever what Falco reads changes (in the image only)
  --on-failure ignore|fail   ignore: Falco then starts with its own rules (the default); fail: exit with 1
  --termination-message FILE where the summary goes as JSON (/dev/termination-log)
  --help                     this text
  --                         Falco's own arguments follow

Variables of Falco's container, which its configuration may name, are read from FALCO_ENV_NAME, then from NAME.

Exit status: 0 done, or failed and ignored; 1 failed; 2 wrong use (0 with --on-failure ignore written out: nothing
may hold Falco back then).
`;

/** Where the launcher reads what to wait for. */
const watchListDescriptor = 3;

interface Settings {
  readonly tags: readonly string[];
  readonly output: string;
  readonly config: string | undefined;
  readonly falcoVersion: string | undefined;
  readonly onFailure: 'ignore' | 'fail';
  readonly follow: boolean;
  readonly alerts: AlertsQuestion | undefined;
  readonly terminationMessage: string;
  readonly falcoArguments: readonly string[];
}

type Read =
  | { readonly is: 'help' }
  /** `ignored`: the command line says that no failure may hold Falco back, so this one must not either. */
  | { readonly is: 'wrong'; readonly why: string; readonly ignored: boolean }
  | ({ readonly is: 'run' } & Settings);

/**
 * Runs the command. `argv` is what follows the command's name; the exit status is returned. The summary goes to
 * stdout as one JSON line, problems go to stderr.
 */
export async function tagRules(argv: readonly string[], io: CommandIo): Promise<number> {
  const read = readSettings(argv);
  if (read.is === 'help') {
    io.stdout.write(help);
    return done;
  }
  if (read.is === 'wrong') {
    io.stderr.write(`tag-rules: ${read.why}\nSee falco-federation tag-rules --help.\n`);
    return read.ignored ? done : wrongUse;
  }
  if (!read.follow) return runOnce(read, io);
  const woken = wokenWords.find((word) => word === io.env.FALCO_FEDERATION_WOKEN);
  if (woken !== undefined) return runOneStep(read, io, woken);
  io.stderr.write(
    "tag-rules: --follow needs the image's launcher (/usr/bin/falco-federation), which waits for changes.\n",
  );
  return wrongUse;
}

function asRun(settings: Settings, io: CommandIo): TagAndPublish {
  return {
    fileSystem: falcoFileSystem(),
    disk: publishingDisk(),
    version: readFalcoVersion(settings.falcoVersion),
    falcoArguments: settings.falcoArguments,
    configFile: settings.config,
    lookup: (name) => io.env[`${falcoVariablePrefix}${name}`] ?? io.env[name],
    output: settings.output,
    tags: settings.tags,
    following: settings.follow,
    alerts: settings.alerts,
  };
}

function tell(report: RulesReport, settings: Settings, io: CommandIo): void {
  io.stdout.write(`${logLine(report, settings.tags, Date.now())}\n`);
  for (const line of linesForPeople(report)) io.stderr.write(`tag-rules: ${line}\n`);
  leaveMessage(settings.terminationMessage, terminationMessage(report, settings.tags));
}

function runOnce(settings: Settings, io: CommandIo): number {
  const report = tagAndPublish(asRun(settings, io));
  tell(report, settings, io);
  const failed = reasons[report.outcome.code].severity === 'error';
  return failed && settings.onFailure === 'fail' ? couldNot : done;
}

/**
 * What the launcher (src/launcher/follow.c) starts: one step of following. What to wait for goes to the descriptor
 * that it reads: texts with a NUL behind each: the milliseconds, what to rename and to where, then each path and its
 * signature.
 */
function runOneStep(settings: Settings, io: CommandIo, woken: Woken): number {
  const { report, seen, within, left } = followStep(asRun(settings, io), signatureOf, woken);
  if (report !== undefined) tell(report, settings, io);
  const list = [within, left?.draft ?? '', left?.path ?? '', ...[...seen].flat()];
  writeFileSync(watchListDescriptor, list.map((text) => `${text}\0`).join(''));
  return done;
}

function leaveMessage(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch {
    // Outside a pod there is no such file, and the log has said it all.
  }
}

const flags = {
  tag: { type: 'string', multiple: true },
  output: { type: 'string' },
  config: { type: 'string' },
  'falco-version': { type: 'string' },
  follow: { type: 'boolean' },
  'alerts-to': { type: 'string' },
  'json-output': { type: 'string' },
  'on-failure': { type: 'string' },
  'termination-message': { type: 'string' },
  help: { type: 'boolean' },
} as const;

function readSettings(argv: readonly string[]): Read {
  const end = argv.indexOf('--');
  const own = end === -1 ? argv : argv.slice(0, end);
  // Said outright, as injected containers do, it holds for a flag that only another version knows too.
  const ignored = own.some((arg, at) => arg === 'ignore' && own[at - 1] === '--on-failure');
  try {
    const { values } = parseArgs({ args: [...own], options: flags, strict: true, allowPositionals: false });
    if (values.help === true) return { is: 'help' };
    const wrong = wrongIn(values);
    if (wrong !== undefined) return { is: 'wrong', why: wrong, ignored };
    return {
      ...{
        is: 'run',
        tags: [...new Set(values.tag)],
        output: (values.output ?? '').replace(/(?<=.)\/+$/, ''),
      },
      ...{ config: values.config, falcoVersion: values['falco-version'] },
      ...{ onFailure: values['on-failure'] === 'fail' ? 'fail' : 'ignore', follow: values.follow === true },
      falcoArguments: end === -1 ? [] : argv.slice(end + 1),
      terminationMessage: values['termination-message'] ?? '/dev/termination-log',
      alerts: readAlerts(values),
    };
  } catch (error) {
    // parseArgs throws for unknown flags and missing values, and names the flag.
    return { is: 'wrong', why: wrongFlags(error, help), ignored };
  }
}

interface Values {
  readonly tag?: string[];
  readonly output?: string;
  readonly config?: string;
  readonly 'on-failure'?: string;
  readonly 'alerts-to'?: string;
  readonly 'json-output'?: string;
}

function wrongIn(values: Values): string | undefined {
  const { tag = [], output, config } = values;
  const bad = tag.find((one) => one === '' || /\p{Cc}|\p{Cs}/u.test(one));
  if (bad !== undefined)
    return `--tag ${JSON.stringify(bad)}: a tag must not be empty or hold control characters`;
  if (output === undefined) return '--output is missing';
  if (!output.startsWith('/'))
    return `--output ${output}: must be a whole path, Falco reads it from elsewhere`;
  if (/\.ya?ml/.test(output))
    return `--output ${output}: Falco loads no rules from a folder named .yaml or .yml`;
  if (config !== undefined && !config.startsWith('/')) return `--config ${config}: must be a whole path`;
  const onFailure = values['on-failure'] ?? 'ignore';
  if (!['ignore', 'fail'].includes(onFailure)) return `--on-failure ${onFailure}: must be ignore or fail`;
  return wrongInAlerts(values);
}

function readAlerts({ 'alerts-to': file, 'json-output': json }: Values): AlertsQuestion | undefined {
  return file === undefined ? undefined : { file, jsonOutput: json === 'leave' ? 'leave' : 'set' };
}

function wrongInAlerts({ tag, 'alerts-to': file, 'json-output': json = 'set' }: Values): string | undefined {
  if (!['set', 'leave'].includes(json)) return `--json-output ${json}: must be set or leave`;
  if (file === undefined) return tag === undefined ? '--tag is missing' : undefined;
  return file.startsWith('/') && !/[$\p{Cc}\p{Cs}]/u.test(file)
    ? undefined
    : `--alerts-to ${file}: must be a whole path without "$", which Falco would expand`;
}
