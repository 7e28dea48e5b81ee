import type { EffectiveSettings } from '../../federation/effective-settings.ts';
import { type Additions, onlyFindings } from '../additions.ts';
import { type ReadPod, withEnvironment } from '../read-pod.ts';
import type { Environment, SecretOf } from './environment.ts';
import { fieldLabels } from './field-labels.ts';
import type { FalcosidekickContainer } from './find-falcosidekick.ts';
import { hubFields, hubTags } from './hub-fields.ts';
import { inPlacesOf } from './our-variables.ts';

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
  const present = template.spec.containers[index] ?? container;
  const env = inPlacesOf(present.env ?? [], fields.environment.container.env ?? []);
  return {
    ...onlyFindings([...labels.findings, ...fields.findings, ...hubTags(users)]),
    changed: new Map([[index, withEnvironment(present, env)]]),
    added: fields.added,
  };
}
