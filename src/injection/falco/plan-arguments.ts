import type { EffectiveSettings } from '../../federation/effective-settings.ts';
import { volumePath } from '../../federation/names.ts';
import type { Finding, ReasonCode } from '../../reasons/reasons.ts';
import type { FalcoOption } from '../../rules/configuration/falco-arguments.ts';
import type { FalcoVersion } from '../../rules/configuration/falco-version.ts';
import type { FalcoInPod } from '../read-pod.ts';
import { ourLast } from './our-options.ts';

/** What can be added to Falco's arguments without stopping it. */
export interface FalcoArgumentsPlan {
  /** The option that makes Falco read our drop-in; undefined where that cannot be. */
  readonly configFiles: string | undefined;
  /** Whether the rules may be tagged: nothing in the arguments speaks against it. */
  readonly tagRules: boolean;
  /** Where rules files are added by options, which Falco reads after our list. */
  readonly rulesFilesLast: string | undefined;
  readonly appendOutput: string | undefined;
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

interface TagsPlan {
  readonly tagRules: boolean;
  readonly lastKey?: string;
  readonly findings: readonly Finding[];
}

function untagged(code: ReasonCode, detail: string): TagsPlan {
  return { tagRules: false, findings: [{ code, detail }] };
}

/** FACTS 1.13: where the key is no list at that moment, our `[]` stops Falco. */
function setAsAWhole(users: readonly FalcoOption[], keys: RegExp): FalcoOption | undefined {
  return users.find(({ key, path }) => keys.test(key) && !path.startsWith('['));
}

function planTags({ given: { options, rulesArgument }, version }: FalcoInPod): TagsPlan {
  if (rulesArgument !== undefined) return untagged('rules_given_by_argument', `-r ${rulesArgument}`);
  const whole = setAsAWhole(options, /^(rules_files?|config_files)$/);
  if (whole !== undefined) return untagged('rules_option_conflict', `-o ${whole.key}${whole.path}=…`);
  // Up to 0.40 options apply before drop-ins: tag-rules takes them into our list (FACTS 1.13).
  if (!version.optionsAfterDropIns) return { tagRules: true, findings: [] };
  const files = options.filter(({ key }) => /^rules_files?$/.test(key));
  const appended = files.find(({ path }) => path === '[]');
  return {
    tagRules: true,
    ...(appended === undefined ? {} : { lastKey: appended.key }),
    findings: files
      .filter(({ path }) => path !== '[]')
      .map(({ text }) => ({ code: 'rules_option_untagged', detail: `-o ${text}` })),
  };
}

function planFields(
  { given, version }: FalcoInPod,
  { labels }: EffectiveSettings,
): string | Finding | undefined {
  if (Object.keys(labels).length === 0) return undefined;
  if (!version.objectOptions) return { code: 'falco_without_extra_fields' };
  return setAsAWhole(given.options, /^append_output$/)
    ? { code: 'fields_option_conflict' }
    : appendOutputOption(labels);
}

export function planArguments(falco: FalcoInPod, effective: EffectiveSettings): FalcoArgumentsPlan {
  const { given, version, container } = falco;
  if (!version.readsDropIns) {
    return {
      ...{ configFiles: undefined, tagRules: false, rulesFilesLast: undefined, appendOutput: undefined },
      findings: [{ code: 'falco_too_old', detail: container.image ?? 'no image' }],
    };
  }
  const wanted = effective.rules.enabled && effective.tags.length > 0;
  const tags: TagsPlan = wanted ? planTags(falco) : { tagRules: false, findings: [] };
  const fields = planFields(falco, effective);
  const readsOurs = setAsAWhole(given.options, /^config_files$/) === undefined;
  return {
    configFiles: readsOurs ? configFilesOption(version) : undefined,
    tagRules: tags.tagRules,
    rulesFilesLast: tags.lastKey && `${tags.lastKey}[]=${ourLast}`,
    appendOutput: typeof fields === 'string' ? fields : undefined,
    findings: [...tags.findings, ...(typeof fields === 'object' ? [fields] : [])],
  };
}
