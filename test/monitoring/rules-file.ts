/** The PrometheusRule, and what a Prometheus without the operator takes of it. */
import { stringify } from 'yaml';
import { objectOf } from '../manifests/files.ts';

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

const { spec } = objectOf<{ kind: string; metadata: { name: string }; spec: RulesFile }>(
  'chart/files/alerts/prometheus-rule.yaml',
  'PrometheusRule',
);
const rules = spec.groups.flatMap((group) => group.rules);

/** As a file of `rule_files`. */
export const rulesFile = stringify(spec);

export const alerts = rules.filter((rule): rule is AlertRule => 'alert' in rule);
export const recordings = rules.filter((rule): rule is RecordingRule => 'record' in rule);
