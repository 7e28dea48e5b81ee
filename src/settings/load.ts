import { readFile } from 'node:fs/promises';
import { LineCounter, parseDocument } from 'yaml';
import * as z from 'zod';
import { messageOf } from '../reasons/message-of.ts';
import { nearest } from './nearest.ts';
import { type Settings, settingsSchema } from './schema.ts';

/** One thing that is wrong with the settings. */
export interface SettingsProblem {
  /** Path of the key, as in `hub.address` or `tags[1]`; empty for the file as a whole. */
  readonly path: string;
  /** `line:column` in the file, counted from 1; absent where the key is not in the file. */
  readonly position?: string;
  readonly message: string;
}

export type SettingsResult =
  | { readonly ok: true; readonly settings: Settings }
  | { readonly ok: false; readonly problems: readonly SettingsProblem[] };

/** A value as a person would recognise it in the file: short, and without the password of an address. */
function shown(value: unknown): string {
  const text = (JSON.stringify(value) ?? String(value)).replace(/:\/\/[^/@\s]*@/, '://***@');
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function pathOf(keys: readonly PropertyKey[]): string {
  return keys
    .map((key, at) => (typeof key === 'number' ? `[${key}]` : at === 0 ? String(key) : `.${String(key)}`))
    .join('');
}

/** The keys that the schema knows at a path, for suggestions; empty where any key goes. */
function knownKeys(path: readonly PropertyKey[]): readonly string[] {
  let schema: z.core.$ZodType = settingsSchema;
  for (const key of [...path, undefined]) {
    while (
      schema instanceof z.ZodDefault ||
      schema instanceof z.ZodPrefault ||
      schema instanceof z.ZodOptional
    ) {
      schema = schema.unwrap();
    }
    if (!(schema instanceof z.ZodObject)) return [];
    if (key === undefined) return Object.keys(schema.shape);
    const next: z.core.$ZodType | undefined = schema.shape[String(key)];
    if (next === undefined) return [];
    schema = next;
  }
  return [];
}

function unknownKeyMessage(key: string, known: readonly string[]): string {
  const meant = nearest(key, known);
  return meant === undefined
    ? `is not a setting; valid keys are ${known.join(', ')}`
    : `is not a setting; did you mean "${meant}"?`;
}

type Issue = z.core.$ZodIssue;
type RawProblem = { keys: readonly PropertyKey[]; message: string };

const typeNames: Readonly<Record<string, string>> = {
  object: 'a mapping',
  record: 'a mapping',
  array: 'a sequence',
  string: 'a string (quote numbers and booleans)',
  boolean: 'true or false',
};

function valueAt(root: unknown, keys: readonly PropertyKey[]): unknown {
  let value = root;
  for (const key of keys) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Reflect.get(value, key);
  }
  return value;
}

function problemsOf(issue: Issue, input: unknown): RawProblem[] {
  const keys = issue.path;
  const value = valueAt(input, keys);
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(keys);
    return issue.keys.map((key) => ({ keys: [...keys, key], message: unknownKeyMessage(key, known) }));
  }
  if (issue.code === 'invalid_key') {
    // A key of `labels`: zod puts the key last in the path, and its own issues inside.
    return issue.issues.map(({ message }) => ({ keys, message }));
  }
  if (issue.code === 'invalid_type' && value === undefined) {
    return [{ keys, message: 'is required' }];
  }
  if (issue.code === 'invalid_type' && issue.message.startsWith('Invalid input')) {
    return [{ keys, message: `must be ${typeNames[issue.expected] ?? issue.expected}, not ${shown(value)}` }];
  }
  if (issue.code === 'invalid_value') {
    return [{ keys, message: `must be one of ${issue.values.join(', ')}, not ${shown(value)}` }];
  }
  return [{ keys, message: value === undefined ? issue.message : `${issue.message}; got ${shown(value)}` }];
}

/**
 * Validates the text of a `federation.yaml`.
 *
 * @returns the settings with their defaults, or everything that is wrong with them. Never throws.
 */
export function parseSettings(text: string): SettingsResult {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${line}:${col}`;
  };
  if (document.errors.length > 0) {
    return {
      ok: false,
      problems: document.errors.map((error) => ({
        path: '',
        position: at(error.pos[0]),
        message: `is not valid YAML: ${error.message.split('; please use', 1)[0]}`,
      })),
    };
  }
  let input: unknown;
  try {
    input = document.toJS() ?? {};
  } catch (error) {
    // `yaml` refuses aliases that multiply beyond reason.
    return { ok: false, problems: [{ path: '', message: `cannot be read: ${String(error)}` }] };
  }
  const parsed = settingsSchema.safeParse(input);
  if (parsed.success) return { ok: true, settings: parsed.data };
  const problems = parsed.error.issues.flatMap((issue) => problemsOf(issue, input));
  return {
    ok: false,
    problems: problems.map(({ keys, message }) => {
      const node = document.getIn(keys, true);
      const range =
        typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range)
          ? node.range
          : undefined;
      return {
        path: pathOf(keys),
        ...(range === undefined ? {} : { position: at(Number(range[0])) }),
        message,
      };
    }),
  };
}

/** One problem as a line for people: `federation.yaml:3:10: labels.env: must …`. */
export function describeProblem(file: string, problem: SettingsProblem): string {
  const place = problem.position === undefined ? file : `${file}:${problem.position}`;
  return problem.path === ''
    ? `${place}: ${problem.message}`
    : `${place}: ${problem.path}: ${problem.message}`;
}

/** Reads and validates a settings file; a file that cannot be read is a problem like any other. Never throws. */
export async function loadSettings(file: string): Promise<SettingsResult> {
  try {
    return parseSettings(await readFile(file, 'utf8'));
  } catch (error) {
    const why = messageOf(error);
    return { ok: false, problems: [{ path: '', message: `cannot be read: ${why}` }] };
  }
}
