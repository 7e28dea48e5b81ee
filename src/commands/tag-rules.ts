/** `falco-federation tag-rules`: what the containers that we add to a Falco pod run. */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { falcoVariablePrefix } from '../federation/names.ts';
import { reasons } from '../reasons/reasons.ts';
import type { AlertsQuestion } from '../rules/configuration/alerts.ts';
import { readFalcoVersion } from '../rules/configuration/falco-version.ts';
import { falcoFileSystem, signatureOf } from '../rules/configuration/file-system.ts';
import { followStep, wokenWords } from '../rules/publishing/follow-step.ts';
import type { RulesReport } from '../rules/publishing/publication-plan.ts';
import { publishingDisk } from '../rules/publishing/publish.ts';
import { type TagAndPublish, tagAndPublish } from '../rules/publishing/tag-and-publish.ts';
import { linesForPeople, logLine, terminationMessage } from '../rules/publishing/tell-report.ts';
import { type CommandIo, couldNot, done, wrongUse } from './command.ts';
import { withFlags } from './with-flags.ts';

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

type Flags = ReturnType<typeof readFlags>;

/**
 * Runs the command. `argv` is what follows the command's name; the exit status is returned. The summary goes to
 * stdout as one JSON line, problems go to stderr.
 */
export async function tagRules(argv: readonly string[], io: CommandIo): Promise<number> {
  const own = ownOf(argv);
  const status = await withFlags(
    {
      name: 'tag-rules',
      help,
      argv: own,
      readFlags: () => readFlags(argv),
      run: async (flags) => (flags.follow ? runOneStep(flags, io) : runOnce(flags, io)),
    },
    io,
  );
  // Said outright, as injected containers do, it holds for a flag that only another version knows too.
  const isIgnored = own.some((arg, at) => arg === 'ignore' && own[at - 1] === '--on-failure');
  return status === wrongUse && isIgnored ? done : status;
}

function asRun(flags: Flags, io: CommandIo): TagAndPublish {
  return {
    fileSystem: falcoFileSystem(),
    disk: publishingDisk(),
    version: readFalcoVersion(flags.falcoVersion),
    falcoArguments: flags.falcoArguments,
    configFile: flags.config,
    lookup: (name) => io.env[`${falcoVariablePrefix}${name}`] ?? io.env[name],
    output: flags.output,
    tags: flags.tags,
    following: flags.follow,
    alerts: flags.alerts,
  };
}

function tell(report: RulesReport, { tags, terminationMessage: file }: Flags, io: CommandIo): void {
  io.stdout.write(`${logLine(report, tags, Date.now())}\n`);
  for (const line of linesForPeople(report)) io.stderr.write(`tag-rules: ${line}\n`);
  leaveMessage(file, terminationMessage(report, tags));
}

function runOnce(flags: Flags, io: CommandIo): number {
  const report = tagAndPublish(asRun(flags, io));
  tell(report, flags, io);
  const failed = reasons[report.outcome.code].severity === 'error';
  return failed && flags.onFailure === 'fail' ? couldNot : done;
}

/**
 * What the launcher (src/launcher/follow.c) starts: one step of following. What to wait for goes to the descriptor
 * that it reads: texts with a NUL behind each: the milliseconds, what to rename and to where, then each path and its
 * signature.
 */
function runOneStep(flags: Flags, io: CommandIo): number {
  const woken = wokenWords.find((word) => word === io.env.FALCO_FEDERATION_WOKEN);
  if (woken === undefined)
    throw new Error(
      "--follow needs the image's launcher (/usr/bin/falco-federation), which waits for changes",
    );
  const { report, seen, within, left } = followStep(asRun(flags, io), signatureOf, woken);
  if (report !== undefined) tell(report, flags, io);
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

/** What is not Falco's. */
function ownOf(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--');
  return end === -1 ? argv : argv.slice(0, end);
}

/** Throws an error that names the flag on wrong use. */
function readFlags(argv: readonly string[]) {
  const own = ownOf(argv);
  const { values } = parseArgs({
    args: [...own],
    options: {
      tag: { type: 'string', multiple: true, default: [] },
      output: { type: 'string', default: '' },
      config: { type: 'string' },
      'falco-version': { type: 'string' },
      follow: { type: 'boolean', default: false },
      'alerts-to': { type: 'string' },
      'json-output': { type: 'string', default: 'set' },
      'on-failure': { type: 'string', default: 'ignore' },
      'termination-message': { type: 'string', default: '/dev/termination-log' },
    },
  });
  const { tag, config, follow } = values;
  const bad = tag.find((one) => one === '' || /\p{Cc}|\p{Cs}/u.test(one));
  if (bad !== undefined)
    throw new Error(`--tag ${JSON.stringify(bad)}: a tag must not be empty or hold control characters`);
  checkOutput(values.output);
  if (tag.length === 0 && values['alerts-to'] === undefined) throw new Error('--tag is missing');
  if (config !== undefined && !config.startsWith('/'))
    throw new Error(`--config ${config}: must be a whole path`);
  return {
    tags: [...new Set(tag)],
    output: values.output.replace(/(?<=.)\/+$/, ''),
    ...{ config, follow, falcoVersion: values['falco-version'] },
    onFailure: oneOf('on-failure', values['on-failure'], ['ignore', 'fail']),
    alerts: alertsQuestion(
      values['alerts-to'],
      oneOf('json-output', values['json-output'], ['set', 'leave']),
    ),
    terminationMessage: values['termination-message'],
    falcoArguments: argv.slice(own.length + 1),
  };
}

function oneOf<T extends string>(flag: string, given: string, [first, second]: readonly [T, T]): T {
  if (given === first || given === second) return given === first ? first : second;
  throw new Error(`--${flag} ${given}: must be ${first} or ${second}`);
}

function checkOutput(output: string): void {
  if (output === '') throw new Error('--output is missing');
  if (!output.startsWith('/'))
    throw new Error(`--output ${output}: must be a whole path, Falco reads it from elsewhere`);
  if (/\.ya?ml/.test(output))
    throw new Error(`--output ${output}: Falco loads no rules from a folder named .yaml or .yml`);
}

function alertsQuestion(
  file: string | undefined,
  jsonOutput: AlertsQuestion['jsonOutput'],
): AlertsQuestion | undefined {
  if (file === undefined) return undefined;
  if (file.startsWith('/') && !/[$\p{Cc}\p{Cs}]/u.test(file)) return { file, jsonOutput };
  throw new Error(`--alerts-to ${file}: must be a whole path without "$", which Falco would expand`);
}
