/**
 * Whether Falco posts its alerts by itself: its keys `http_output` and `json_output` (FACTS 1.14). One that posts
 * nowhere can be made to post by a drop-in, unless the arguments say something about it: they are the user's word, and
 * from 0.41 the last one.
 */
import { readBoolean } from '../../yaml/boolean.ts';
import { absent, type ConfigNode } from './config-node.ts';

/**
 * - `nowhere`: a drop-in can turn it on;
 * - `somewhere`: it has an address of the user's already;
 * - `by_arguments`: an option decides, and not for us.
 */
export type Posting = 'nowhere' | 'somewhere' | 'by_arguments';

/** A variable that is not known here may hold anything. */
function isTurnedOn(node: ConfigNode): boolean {
  return node.kind === 'scalar' && (node.unknown.length > 0 || readBoolean(node.text) === true);
}

/**
 * @param after the configuration with all that Falco reads but our drop-in
 * @param options Falco's `-o` values
 */
export function postingOf(after: ReadonlyMap<string, ConfigNode>, options: readonly string[]): Posting {
  const output = after.get('http_output') ?? absent;
  if (output.kind === 'map' && isTurnedOn(output.entries.get('enabled') ?? absent)) return 'somewhere';
  const decides = options.some((option) => /^http_output\b/.test(option));
  // Alerts that are not JSON are refused by whoever takes them.
  const isText =
    options.some((option) => /^json_output\b/.test(option)) &&
    !isTurnedOn(after.get('json_output') ?? absent);
  return decides || isText ? 'by_arguments' : 'nowhere';
}
