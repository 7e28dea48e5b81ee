/** Whether Falco looks for changes of what it has loaded: its key `watch_config_files` (FACTS 1.7, 1.15). */
import { readBoolean } from '../../yaml/boolean.ts';
import { absent, type ConfigNode, Refused, readOption, setAt } from './config-node.ts';
import type { FalcoArguments } from './falco-arguments.ts';

export const watchKey = 'watch_config_files';

/** Whether the key's value turns looking off; Falco takes everything else for its default, true. A variable that is not known here may hold anything. */
export function isTurnedOff(node: ConfigNode): boolean {
  return node.kind === 'scalar' && node.unknown.length === 0 && readBoolean(node.text) === false;
}

/**
 * Whether Falco's own arguments turn looking off. From 0.41 they have the last word; before, a drop-in has
 * (FACTS 1.13), which only who sees the drop-ins can tell.
 */
export function watchTurnedOff({ options }: FalcoArguments): boolean {
  let node: ConfigNode = absent;
  for (const one of options.filter(({ key }) => key === watchKey)) {
    try {
      const { steps, value } = readOption(one, true) ?? { steps: [], value: node };
      node = setAt(node, steps, value);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
  }
  return isTurnedOff(node);
}
