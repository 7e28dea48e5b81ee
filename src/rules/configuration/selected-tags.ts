/** Tags by which Falco's own configuration switches rules on and off (FACTS 1.23). */
import { absent, type ConfigNode } from './config-node.ts';
import type { FalcoConfiguration } from './falco-configuration.ts';

/**
 * Whether Falco selects rules by a tag, in its key `rules` or by `-t` and `-T`: added to every rule, it would switch all of
 * them on, or off. A selection that holds a variable that is not known here may be by any tag.
 *
 * @throws NotKnown
 */
export function selectedTags(configuration: FalcoConfiguration): (tag: string) => boolean {
  const named = tagsIn(configuration.read().after.get('rules') ?? absent);
  const texts = new Set([
    ...configuration.given.selectedTags,
    ...named.flatMap((one) => (one.kind === 'scalar' ? [one.text] : [])),
  ]);
  const mayBeAny = named.some((one) => one.kind === 'scalar' && one.unknown.length > 0);
  return (tag) => mayBeAny || texts.has(tag);
}

/** Whatever stands at a key `tag`, in `- enable: {tag: X}` and in every other shape. */
function tagsIn(node: ConfigNode): readonly ConfigNode[] {
  if (node.kind === 'sequence') return node.items.flatMap(tagsIn);
  if (node.kind !== 'mapping') return [];
  return [...node.entries].flatMap(([key, value]) => (key === 'tag' ? [value] : tagsIn(value)));
}
