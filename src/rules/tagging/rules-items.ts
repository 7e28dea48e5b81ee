/** What the items of a rules file are to Falco, as far as tags and loading twice are concerned. */
import { keyName, type MappingNode, type Node, resolve, textOf, valueUnder } from '../../yaml/falco-yaml.ts';

/**
 * - `rule`: a rule defined in full; its tags are those in the item;
 * - `tags_replaced`: an override that gives a rule new tags (FACTS 1.3);
 * - `definition`: a list, macro or requirement that stands for itself;
 * - `change`: an append, an override, an on/off switch: depends on what was loaded before;
 * - `unknown`: nothing that Falco knows.
 */
export type ItemKind = 'rule' | 'tags_replaced' | 'definition' | 'change' | 'unknown';

const keysOfFullRule = ['condition', 'output', 'desc', 'priority'];

/** Keys whose values are looked at here or where tags are added; of others it matters only that they are there. */
export const keysWithValues: ReadonlySet<string> = new Set(['rule', 'tags', 'append', 'override']);

/** The order of questions is the engine's: the first key it knows decides what an item is. */
export function kindOfItem(item: MappingNode): ItemKind {
  const keys = new Set(item.pairs.map(({ key }) => keyName(key)));
  if (keys.has('required_engine_version') || keys.has('required_plugin_versions')) return 'definition';
  const overridden = overriddenKeys(item);
  const changes = overridden.size > 0 || isTrue(valueUnder(item, 'append'));
  if (keys.has('list') || keys.has('macro')) return changes ? 'change' : 'definition';
  if (!keys.has('rule')) return 'unknown';
  if (overridden.get('tags') === 'replace') return 'tags_replaced';
  // Without any of these the item can only switch an earlier rule on or off, and its tags are ignored.
  return changes || !keysOfFullRule.some((key) => keys.has(key)) ? 'change' : 'rule';
}

/** The keys under `override` with what is to be done to them; an empty or null `override` is none. */
function overriddenKeys(item: MappingNode): ReadonlyMap<string, string> {
  const override = valueUnder(item, 'override');
  const map = override === undefined ? undefined : resolve(override);
  if (map?.is !== 'mapping') return new Map();
  return new Map(map.pairs.map(({ key, value }) => [textOf(key), textOf(value)]));
}

/** Falco's words for true, quoted or not. */
function isTrue(node: Node | undefined): boolean {
  return /^(?:y|yes|true|on)$/i.test(textOf(node));
}
