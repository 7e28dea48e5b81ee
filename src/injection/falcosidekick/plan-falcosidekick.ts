import type { EffectiveSettings } from '../../federation/effective-settings.ts';
import { type Additions, onlyFindings } from '../additions.ts';
import { type ReadPod, withEnvironment } from '../read-pod.ts';
import { type Environment, readVariable, type SecretOf, withoutVariable } from './environment.ts';
import { faultsOfOwnFields, fieldLabels } from './field-labels.ts';
import type { FalcosidekickContainer } from './find-falcosidekick.ts';
import { hubFields, hubTags } from './hub-fields.ts';
import { recordsBetween, settledIn } from './our-variables.ts';

/**
 * Takes an empty CUSTOMTAGS out: falcosidekick would put an empty tag on every event, and no other value stands for "no
 * tags" (FACTS 3.2).
 */
function withoutEmptyTags(environment: Environment): Environment {
  const variable = readVariable(environment, 'CUSTOMTAGS');
  const isEmpty = variable.kind === 'text' && variable.text.replaceAll(' ', '') === '';
  // One from a Secret is not ours to take out.
  return isEmpty && variable.from === undefined ? withoutVariable(environment, 'CUSTOMTAGS') : environment;
}

/**
 * What makes a hub's falcosidekick name the hub's own events. On a spoke it is nobody's business but its user's: alerts
 * reach the hub from Falco itself.
 *
 * It starts from the environment as its user wrote it, so that nothing of other settings stays in it.
 */
export function planFalcosidekick(
  { template }: ReadPod,
  { index, container }: FalcosidekickContainer,
  effective: EffectiveSettings,
  secretOf: SecretOf = () => undefined,
): Additions {
  if (effective.role === 'spoke') return onlyFindings([]);
  const users: Environment = { container, secretOf };
  const labels = fieldLabels(users, effective.labels);
  const fields = hubFields(users, labels.labels, effective.labels);
  const before = container.env ?? [];
  const wanted = withoutEmptyTags(fields.environment).container.env ?? [];
  const present = template.spec.containers[index] ?? container;
  return {
    ...onlyFindings([...faultsOfOwnFields(users), ...labels.findings, ...fields.findings, ...hubTags(users)]),
    changed: new Map([[index, withEnvironment(present, settledIn(present.env ?? [], wanted))]]),
    added: fields.added,
    records: recordsBetween(before, wanted),
  };
}
