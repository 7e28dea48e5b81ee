/** manifests/prometheus/rules.yaml, and the PrometheusRule that is made of it. */
import { parse } from 'yaml';
import { textOf } from '../manifests/files.ts';

export const rulesFile = 'prometheus/rules.yaml';

export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface RecordingRule {
  readonly record: string;
  readonly expr: string;
}

interface RulesFile {
  readonly groups: readonly {
    readonly name: string;
    readonly rules: readonly (AlertRule | RecordingRule)[];
  }[];
}

// Safe: promtool reads the same file as strictly.
const rules = (parse(textOf(rulesFile)) as RulesFile).groups.flatMap((group) => group.rules);

export const alerts = rules.filter((rule): rule is AlertRule => 'alert' in rule);
export const recordings = rules.filter((rule): rule is RecordingRule => 'record' in rule);

/** The same rules for the Prometheus operator, YAML. */
export function prometheusRule(): string {
  const text = textOf(rulesFile);
  const groups = text.slice(text.indexOf('\ngroups:') + 1);
  return `# Made by \`npm run docs\` from ../../prometheus/rules.yaml.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: falco-federation
  namespace: falco-federation
spec:
${groups.replaceAll(/^(?=.)/gm, '  ')}`;
}
