import type { EffectiveSettings } from '../../federation/effective-settings.ts';
import { volumePath } from '../../federation/names.ts';
import type { Finding } from '../../reasons/reasons.ts';
import type { FalcoOption } from '../../rules/configuration/falco-arguments.ts';
import type { FalcoVersion } from '../../rules/configuration/falco-version.ts';
import type { FalcoInPod } from '../read-pod.ts';
import { type OurOptions, ourLast } from './our-options.ts';

export interface FalcoArgumentsPlan {
  /** Whether the rules may be tagged: nothing in the arguments speaks against it. */
  readonly tagRules: boolean;
  readonly options: OurOptions;
  readonly findings: readonly Finding[];
}

/** Our drop-in folder as a `config_files` item; 0.38 to 0.40 know plain strings only (FACTS 1.4). */
function configFilesOption(version: FalcoVersion): string {
  return version.optionsAfterDropIns
    ? `config_files[]={"path": "${volumePath}", "strategy": "override"}`
    : `config_files[]=${volumePath}`;
}

function appendOutputOption(labels: EffectiveSettings['labels']): string {
  const fields = Object.entries(labels).map(
    ([key, value]) => `{${JSON.stringify(key)}: ${JSON.stringify(value)}}`,
  );
  return `append_output[]={"extra_fields": [${fields.join(', ')}]}`;
}

function planRules(
  rulesArgument: string | undefined,
  users: readonly FalcoOption[],
  version: FalcoVersion,
): { tagRules: boolean; lastKey?: string; findings: Finding[] } {
  if (rulesArgument !== undefined) {
    return {
      tagRules: false,
      findings: [{ code: 'rules_given_by_argument', detail: `-r ${rulesArgument}` }],
    };
  }
  const ruled = users.filter(({ key }) => /^(rules_files?|config_files)$/.test(key));
  // FACTS 1.13: where the key is no list at that moment, our `[]` stops Falco.
  const whole = ruled.find(({ path }) => !path.startsWith('['));
  if (whole !== undefined) {
    return {
      tagRules: false,
      findings: [{ code: 'rules_option_conflict', detail: `-o ${whole.key}${whole.path}=…` }],
    };
  }
  // Up to 0.40 options apply before drop-ins: tag-rules takes them into our list (FACTS 1.13).
  if (!version.optionsAfterDropIns) return { tagRules: true, findings: [] };
  const files = ruled.filter(({ key }) => key !== 'config_files');
  const indexed = files.filter(({ path }) => path !== '[]');
  const appended = files.find(({ path }) => path === '[]');
  return {
    tagRules: true,
    ...(appended === undefined ? {} : { lastKey: appended.key }),
    findings: indexed.map(({ text }) => ({ code: 'rules_option_untagged', detail: `-o ${text}` })),
  };
}

/** What can be added to Falco's arguments without stopping it. */
export function planArguments(
  { given, version }: FalcoInPod,
  effective: EffectiveSettings,
): FalcoArgumentsPlan {
  const users = given.options;
  const findings: Finding[] = [];

  const wanted = effective.rules.enabled && effective.tags.length > 0;
  const rules = wanted ? planRules(given.rulesArgument, users, version) : { tagRules: false, findings: [] };
  findings.push(...rules.findings);

  let appendOutput: string | undefined;
  const wholeAppendOutput = users.some(({ key, path }) => key === 'append_output' && !path.startsWith('['));
  if (Object.keys(effective.labels).length === 0) appendOutput = undefined;
  else if (!version.objectOptions) findings.push({ code: 'falco_without_extra_fields' });
  else if (wholeAppendOutput) findings.push({ code: 'fields_option_conflict' });
  else appendOutput = appendOutputOption(effective.labels);

  return {
    tagRules: rules.tagRules,
    options: {
      ...(rules.tagRules ? { configFiles: configFilesOption(version) } : {}),
      ...(rules.lastKey === undefined ? {} : { rulesFilesLast: `${rules.lastKey}[]=${ourLast}` }),
      ...(appendOutput === undefined ? {} : { appendOutput }),
    },
    findings,
  };
}
