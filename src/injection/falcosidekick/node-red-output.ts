import type { V1EnvVar } from '@kubernetes/client-node';
import type { Finding } from '../../reasons/reasons.ts';
import { imageVersion, isBefore } from '../image.ts';
import type { ContainerStep } from './container-step.ts';
import { type Environment, readVariable, textOf, withEntry } from './environment.ts';

const addressAdded = 'falcosidekick/NODERED_ADDRESS';

/**
 * The variables of falcosidekick's Node-RED output, every one: what we left out would come from the user's Secret. It
 * posts the very same JSON as the webhook output, which users have uses of their own for (FACTS 2.11, 3.12).
 */
function nodeRedVariables(address: string): V1EnvVar[] {
  return [
    ['NODERED_ADDRESS', address],
    ['NODERED_USER', ''],
    ['NODERED_PASSWORD', ''],
    ['NODERED_CUSTOMHEADERS', ''],
    ['NODERED_CHECKCERT', 'true'],
    // The forwarder keeps to hub.minimumPriority, which then changes without a restart here.
    ['NODERED_MINIMUMPRIORITY', ''],
  ].map(([name = '', value]) => ({ name, value: value ?? '' }));
}

/**
 * Lets a spoke's falcosidekick post to the forwarder, and leaves all else of it as it is:
 *
 * | NODERED_ADDRESS                               | then                              |
 * | --------------------------------------------- | --------------------------------- |
 * | the user's, in `env` or a Secret that is read | kept, told                        |
 * | a reference that cannot be read               | kept, told                        |
 * | in an `envFrom` that cannot be read, perhaps  | ours, told                        |
 * | none, or the forwarder's own                  | ours                              |
 *
 * @param address of the forwarder
 */
export function nodeRedOutput(environment: Environment, address: string): ContainerStep {
  const { container } = environment;
  const present = readVariable(environment, 'NODERED_ADDRESS');
  const is = textOf(present);
  if (present.kind === 'reference' || (is !== '' && is !== address)) {
    const where = present.kind === 'text' && present.from !== undefined ? `, ${present.from}` : '';
    return {
      environment,
      added: [],
      findings: [{ code: 'forwarder_address_kept', detail: `container ${container.name}${where}` }],
    };
  }
  const findings: Finding[] = [];
  if (present.kind === 'unread') findings.push({ code: 'node_red_output_taken', detail: present.where });
  if (isBefore(imageVersion(container.image), 2, 27))
    findings.push({ code: 'node_red_output_unsupported', detail: String(container.image) });
  return {
    environment: nodeRedVariables(address).reduce(withEntry, environment),
    added: [addressAdded],
    findings,
  };
}
