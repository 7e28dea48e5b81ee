/** Whether Falco looks for changes of what it has loaded: its key `watch_config_files` (FACTS 1.7, 1.15). */
import { absent, type ConfigNode, readOption, setAt } from './config-node.ts';
import { readFalcoArguments } from './falco-arguments.ts';

export const watchKey = 'watch_config_files';

/** What yaml-cpp takes for false, quoted or not; Falco takes everything else for its default, true. */
const off = /^(?:n|N|no|No|NO|off|Off|OFF|false|False|FALSE)$/;

/** Whether the key's value turns looking off. A variable that is not known here may hold anything. */
export function isTurnedOff(node: ConfigNode): boolean {
  return node.kind === 'scalar' && node.unknown.length === 0 && off.test(node.text);
}

/**
 * Whether Falco's own arguments turn looking off. From 0.41 they have the last word; before, a drop-in has
 * (FACTS 1.13), which only who sees the drop-ins can tell.
 */
export function watchTurnedOff(falcoArguments: readonly string[]): boolean {
  let node: ConfigNode = absent;
  for (const text of readFalcoArguments(falcoArguments).options) {
    const option = readOption(text, true);
    if (option === undefined || 'why' in option || option.key !== watchKey) continue;
    const value = setAt(node, option.steps, option.value);
    if (value.kind !== 'refused') node = value;
  }
  return isTurnedOff(node);
}
