/**
 * Whether a drop-in can make Falco write its alerts to a file of ours (FACTS 1.21), without taking anything from its
 * user: there is one `file_output`, and `json_output` is one for all outputs (FACTS 1.22).
 */
import type { Finding } from '../../reasons/reasons.ts';
import { readBoolean } from '../../yaml/boolean.ts';
import { absent, type ConfigNode, literalScalar } from './config-node.ts';
import { type FalcoConfiguration, type Keys, NotKnown } from './falco-configuration.ts';

export interface AlertsQuestion {
  /** Where the alerts are to go. */
  readonly file: string;
  /** Whether `json_output` may be switched on: what collects alerts takes JSON. */
  readonly jsonOutput: 'set' | 'leave';
}

/** What the drop-in says of them. */
export interface AlertsKeys {
  readonly file: string;
  readonly setsJson: boolean;
}

export interface PlannedAlerts {
  /** undefined: Falco's outputs stay as they are. */
  readonly keys: AlertsKeys | undefined;
  readonly finding: Finding;
}

/** Outputs whose takers would get JSON; not syslog, on by default, which leads nowhere in a pod (FACTS 1.22). */
const otherOutputs = ['program_output', 'http_output', 'grpc_output'];

/**
 * | user's `file_output` | JSON already | other outputs   | `jsonOutput` | alerts                  |
 * | -------------------- | ------------ | --------------- | ------------ | ----------------------- |
 * | on                   |              |                 |              | left alone              |
 * | off                  | yes          |                 |              | to our file             |
 * | off                  | no           |                 | leave        | left alone              |
 * | off                  | no           | one or more     | set          | left alone              |
 * | off                  | no           | stdout at most  | set          | to our file, as JSON    |
 *
 * And only if that is what Falco then has: options may have the last word. Where the configuration is not known, or none,
 * nothing is known of its outputs either.
 */
export function planAlerts(configuration: FalcoConfiguration, question: AlertsQuestion): PlannedAlerts {
  try {
    return planKnown(configuration, question);
  } catch (error) {
    if (!(error instanceof NotKnown)) throw error;
    const { code, detail } = error.finding;
    return leave('alerts_configuration_unknown', [code, detail].join(': '));
  }
}

function planKnown(configuration: FalcoConfiguration, { file, jsonOutput }: AlertsQuestion): PlannedAlerts {
  if (!configuration.question.version.readsDropIns) throw new NotKnown('falco_too_old');
  const users = configuration.read();
  const taken = text(part(users.after, 'file_output', 'filename'));
  if (mayBeOn(users.after, 'file_output') && taken !== file) return leave('alerts_file_output_taken', taken);
  if (!isJson(users.after)) {
    if (jsonOutput === 'leave') return leave('alerts_not_json');
    const texts = otherOutputs.filter((output) => mayBeOn(users.after, output));
    if (texts.length > 0) return leave('alerts_text_output', texts.join(', '));
  }
  const keys = { file, setsJson: jsonOutput === 'set' };
  if (!isWrittenTo(configuration.read(asKeys(keys)).after, file)) return leave('alerts_option_conflict');
  return { keys, finding: { code: 'alerts_collected', detail: file } };
}

function leave(code: Finding['code'], detail?: string): PlannedAlerts {
  return { keys: undefined, finding: detail === undefined ? { code } : { code, detail } };
}

function asKeys({ file, setsJson }: AlertsKeys): Keys {
  const entries = Object.entries({ enabled: 'true', keep_alive: 'false', filename: file });
  const output: ConfigNode = {
    kind: 'mapping',
    entries: new Map(entries.map(([key, value]) => [key, literalScalar(value)])),
  };
  const json: [string, ConfigNode][] = setsJson ? [['json_output', literalScalar('true')]] : [];
  return new Map<string, ConfigNode>([['file_output', output], ...json]);
}

function isWrittenTo(keys: Keys, file: string): boolean {
  return (
    isOn(part(keys, 'file_output', 'enabled')) &&
    text(part(keys, 'file_output', 'filename')) === file &&
    isJson(keys)
  );
}

function isJson(keys: Keys): boolean {
  return isOn(keys.get('json_output') ?? absent);
}

function part(keys: Keys, output: string, name: string): ConfigNode {
  const node = keys.get(output) ?? absent;
  return (node.kind === 'mapping' ? node.entries.get(name) : undefined) ?? absent;
}

function text(node: ConfigNode): string | undefined {
  return node.kind === 'scalar' ? node.text : undefined;
}

/** A variable that is not known here may hold anything. */
function isOn(node: ConfigNode): boolean {
  return node.kind === 'scalar' && node.unknown.length === 0 && readBoolean(node.text) === true;
}

function mayBeOn(keys: Keys, output: string): boolean {
  const enabled = part(keys, output, 'enabled');
  return isOn(enabled) || (enabled.kind === 'scalar' && enabled.unknown.length > 0);
}
